// SPDX-License-Identifier: BSL-1.0
#include "service/documents.hpp"

#include <boost/algorithm/string/replace.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <cctype>
#include <sstream>

namespace daemonctx {
namespace {

namespace po = boost::program_options;

constexpr const char* exit_status = R"(.SH EXIT STATUS
.TP
.B 0
Done. Of \fBstatus\fR: it runs, or is starting.
.TP
.B 1
Failed, or already running. Of \fBstatus\fR: dead, and its pidfile is still there.
.TP
.B 2
Wrong arguments, or values that the program refuses.
.TP
.B 3
It does not reload. Of \fBstatus\fR: not running.
.TP
.B 4
No permission. Of \fBstatus\fR: unknown.
.TP
.B 6
The configuration file is wrong or not there.
.TP
.B 7
Not running.
)";

bool takes_value(const po::option_description& option) { return option.semantic()->max_tokens() > 0; }

// roff prints a plain hyphen as a dash, and takes a dot or an apostrophe that begins a line for a request.
std::string roff(std::string text) {
  boost::replace_all(text, "\\", "\\e");
  boost::replace_all(text, "-", "\\-");
  boost::replace_all(text, "\n", " ");
  return text.empty() || (text[0] != '.' && text[0] != '\'') ? text : "\\&" + text;
}

void add_entry(std::ostream& page, const std::string& term, const std::string& value,
               const std::string& text) {
  page << ".TP\n\\fB" << roff(term) << "\\fR";
  if (!value.empty()) page << " \\fI" << roff(value) << "\\fR";
  page << '\n' << roff(text) << '\n';
}

// The arguments of bash's compgen for an option's value; the placeholder of the value decides.
std::string completer(const po::option_description& option) {
  const std::string value = option.semantic()->name();
  if (value.rfind("FILE", 0) == 0) return "-f";
  if (value.rfind("DIRECTORY", 0) == 0) return "-d";
  if (value.rfind("USER", 0) == 0) return "-u";
  if (value.rfind("GROUP", 0) == 0) return "-g";
  return "-W ''";
}

}  // namespace

std::string usage(const ServiceTexts& texts) {
  std::ostringstream text;
  text << "usage: " << texts.name << " ACTION [option...]\n\nActions:\n";
  for (const ActionText& action : texts.actions) {
    text << "  " << action.name << std::string(12 - action.name.size(), ' ') << action.help << '\n';
  }
  for (const auto& group : texts.groups) text << '\n' << group;
  return text.str();
}

std::string man_page(const ServiceTexts& texts) {
  const std::string name = roff(texts.name);
  std::ostringstream page;
  page << ".TH \"" << name << "\" 8\n.SH NAME\n" << name << " \\- a service, and its control\n";
  page << ".SH SYNOPSIS\n.B " << name << "\n\\fIACTION\\fR [\\fIoption\\fR...]\n.SH ACTIONS\n";
  for (const ActionText& action : texts.actions) add_entry(page, action.name, "", action.help);
  page << ".SH OPTIONS\n";
  for (const auto& group : texts.groups) {
    std::ostringstream caption;  // Boost has no accessor for it
    caption << po::options_description(group);
    page << ".SS " << roff(caption.str().substr(0, caption.str().find(":\n"))) << '\n';
    for (const auto& option : group.options()) {
      add_entry(page, option->format_name(), option->format_parameter(), option->description());
    }
  }
  page << exit_status;
  return page.str();
}

std::string bash_completion(const ServiceTexts& texts) {
  std::string function = "_" + texts.name;
  for (char& letter : function) letter = std::isalnum(static_cast<unsigned char>(letter)) != 0 ? letter : '_';
  std::string actions;
  for (const ActionText& action : texts.actions) actions += ' ' + action.name;
  std::string options;
  std::ostringstream values;
  for (const auto& group : texts.groups) {
    for (const auto& option : group.options()) {
      if (option->long_name().empty()) continue;
      options += " --" + option->long_name();
      if (takes_value(*option))
        values << "    --" << option->long_name() << ") kind=\"" << completer(*option) << "\" ;;\n";
    }
  }
  std::ostringstream text;
  text << function << "() {\n  local word=${COMP_WORDS[COMP_CWORD]} kind=\"-W '" << actions.substr(1)
       << "'\"\n"
       << "  [[ $word != -* ]] || kind=\"-W '" << options.substr(1) << "'\"\n"
       << "  case ${COMP_WORDS[COMP_CWORD-1]} in\n"
       << values.str() << "  esac\n"
       << "  mapfile -t COMPREPLY < <(eval \"compgen $kind\" -- '\"$word\"')\n}\n"
       << "complete -o filenames -F " << function << ' ' << texts.name << '\n';
  return text.str();
}

}  // namespace daemonctx
