// SPDX-License-Identifier: BSL-1.0
#include "service/documents.hpp"

#include <algorithm>
#include <boost/algorithm/string/replace.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <sstream>

namespace daemonctx {
namespace {

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
The daemon does not support reload. Of \fBstatus\fR: not running.
.TP
.B 4
No permission. Of \fBstatus\fR: unknown.
.TP
.B 6
The configuration file is wrong or missing.
.TP
.B 7
Not running.
.TP
.B 150
Of \fBstop\fR: a signal killed it.
.PP
An action that the program adds has its own codes. These are the codes of the Linux Standard Base, with one
difference: there, \fBstart\fR of a running and \fBstop\fR of a stopped service are successes.
\fB\-\-oknodo\fR makes them so.
)";

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

void add_section(std::ostream& page, const std::string& title, const std::vector<Entry>& entries) {
  if (!entries.empty()) page << ".SH " << title << '\n';
  for (const Entry& entry : entries) add_entry(page, entry.name, "", entry.text);
}

}  // namespace

std::string usage(const ServiceTexts& texts) {
  std::ostringstream text;
  text << "usage: " << texts.name << " ACTION [option...]\n";
  if (!texts.description.empty()) text << '\n' << texts.description << '\n';
  text << "\nActions:\n";
  std::size_t width = 0;
  for (const Entry& action : texts.actions) width = std::max(width, action.name.size());
  for (const Entry& action : texts.actions) {
    text << "  " << action.name << std::string(width + 2 - action.name.size(), ' ') << action.text << '\n';
  }
  for (const auto& group : texts.groups) text << '\n' << group.caption << ":\n" << group.options;
  return text.str();
}

std::string man_page(const ServiceTexts& texts) {
  const std::string name = roff(texts.name);
  std::ostringstream page;
  page << ".TH \"" << boost::replace_all_copy(name, "\"", "\\(dq") << "\" 8\n.SH NAME\n"
       << name << " \\- a service, and its control\n";
  page << ".SH SYNOPSIS\n.B " << name << "\n\\fIACTION\\fR [\\fIoption\\fR...]\n";
  if (!texts.description.empty()) page << ".SH DESCRIPTION\n" << roff(texts.description) << '\n';
  add_section(page, "ACTIONS", texts.actions);
  page << ".SH OPTIONS\n";
  for (const auto& [caption, options] : texts.groups) {
    page << ".SS " << roff(caption) << '\n';
    for (const auto& option : options.options()) {
      add_entry(page, option->format_name(), option->format_parameter(), option->description());
    }
  }
  add_section(page, "FILES", texts.files);
  add_section(page, "SIGNALS", texts.signals);
  page << exit_status;
  return page.str();
}

}  // namespace daemonctx
