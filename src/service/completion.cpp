// SPDX-License-Identifier: BSL-1.0

// The completions of shells.

#include <algorithm>
#include <array>
#include <boost/algorithm/string/replace.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <cctype>
#include <sstream>
#include <string_view>

#include "service/documents.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

bool takes_value(const po::option_description& option) { return option.semantic()->max_tokens() > 0; }

// How shells complete a value: the arguments of bash's compgen, and the action of zsh's _arguments.
struct Completer {
  std::string_view placeholder;  // the value's, as the option's text shows it, begins with this
  const char* bash;
  const char* zsh;
};

constexpr std::array<Completer, 5> completers = {{{"FILE", "-f", "_files"},
                                                  {"DIRECTORY", "-d", "_files -/"},
                                                  {"USER", "-u", "_users"},
                                                  {"GROUP", "-g", "_groups"},
                                                  {"", "-W ''", " "}}};

const Completer& completer_of(const po::option_description& option) {
  const std::string value = option.semantic()->name();
  return *std::find_if(completers.begin(), completers.end(),
                       [&](const Completer& each) { return value.starts_with(each.placeholder); });
}

std::string function_name(const std::string& name) {
  std::string function = "_" + name;
  for (char& letter : function) letter = std::isalnum(static_cast<unsigned char>(letter)) != 0 ? letter : '_';
  return function;
}

// A text between single quotes, without the characters that _arguments and _describe give a meaning.
std::string zsh_text(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == ':' || letter == '[' || letter == ']' || letter == '\\') escaped += '\\';
    escaped += letter == '\n' ? ' ' : letter;
  }
  boost::replace_all(escaped, "'", "'\\''");
  return escaped;
}

}  // namespace

std::string bash_completion(const ServiceTexts& texts) {
  const std::string function = function_name(texts.name);
  std::string actions;
  for (const Entry& action : texts.actions) actions += ' ' + action.name;
  std::string options;
  std::ostringstream values;
  for (const auto& group : texts.groups) {
    for (const auto& option : group.options.options()) {
      if (option->long_name().empty()) continue;
      options += " --" + option->long_name();
      if (takes_value(*option))
        values << "    --" << option->long_name() << ") kind=\"" << completer_of(*option).bash << "\" ;;\n";
    }
  }
  std::ostringstream text;
  text << function << "() {\n  local word=${COMP_WORDS[COMP_CWORD]} kind=\"-W '" << actions.substr(1)
       << "'\"\n"
       << "  ((COMP_CWORD == 1)) || kind=-f\n"
       << "  [[ $word != -* ]] || kind=\"-W '" << options.substr(1) << "'\"\n"
       << "  case ${COMP_WORDS[COMP_CWORD-1]} in\n"
       << values.str() << "  esac\n"
       << "  mapfile -t COMPREPLY < <(eval \"compgen $kind\" -- '\"$word\"')\n}\n"
       << "complete -o filenames -F " << function << ' ' << texts.name << '\n';
  return text.str();
}

std::string zsh_completion(const ServiceTexts& texts) {
  const std::string function = function_name(texts.name);
  std::ostringstream text;
  text << "#compdef " << texts.name << "\n\n" << function << "() {\n  local -a actions=(\n";
  for (const Entry& action : texts.actions)
    text << "    '" << zsh_text(action.name) << ':' << zsh_text(action.text) << "'\n";
  text << "  )\n  _arguments '1:action:{_describe action actions}'";
  for (const auto& group : texts.groups) {
    for (const auto& option : group.options.options()) {
      if (option->long_name().empty()) continue;
      const std::string name = "--" + option->long_name();
      text << " \\\n    '" << name << '[' << zsh_text(option->description()) << ']';
      if (takes_value(*option))
        text << ':' << zsh_text(option->format_parameter()) << ':' << completer_of(*option).zsh;
      text << '\'';
    }
  }
  // Sourced, the file only defines the function; as an autoloaded file it also calls it.
  text << "\n}\n\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then " << function
       << " \"$@\"; else compdef " << function << ' ' << texts.name << "; fi\n";
  return text.str();
}

}  // namespace daemonctx
