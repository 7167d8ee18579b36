// SPDX-License-Identifier: BSL-1.0
#include "service/command_line.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "service/placeholders.hpp"
#include "service/suggestion.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

// Boost puts the option's name in.
[[noreturn]] void refuse(const std::string& word, const std::string& wanted) {
  throw po::error_with_option_name("the argument ('" + word + "') for option '%canonical_option%' is no " +
                                   wanted);
}

// "action" and "excess" stand for words, and are no options that a user could write.
std::vector<po::option> parse(int argc, const char* const* argv, const po::options_description& options,
                              const po::positional_options_description& words, bool with_unknown) {
  po::options_description all;
  all.add(options);
  all.add_options()("action", po::value<std::string>())("excess", po::value<std::vector<std::string>>());
  // Options have no abbreviations: each would be a spelling to keep for ever.
  constexpr int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    for (const std::string& each : arguments) {
      const std::string placeholder = placeholder_in(each);
      if (!placeholder.empty()) throw UsageError('"' + placeholder + "\" is not allowed in an argument");
    }
    po::command_line_parser parser(arguments);
    parser.options(all).positional(words).style(style);
    if (with_unknown) parser.allow_unregistered();
    const po::parsed_options parsed = parser.run();
    for (const po::option& option : parsed.options) {
      const bool is_word = option.string_key == "action" || option.string_key == "excess";
      if (is_word && option.position_key == -1) throw po::unknown_option("--" + option.string_key);
    }
    po::variables_map values;
    if (!with_unknown) po::store(parsed, values);
    return parsed.options;
  } catch (const po::error& error) {
    throw UsageError(with_suggestion(error, options));
  }
}

po::positional_options_description behind_action(const po::positional_options_description& words) {
  po::positional_options_description all;
  all.add("action", 1);
  const unsigned count = words.max_total_count();
  const bool is_endless = count == std::numeric_limits<unsigned>::max();
  const std::string last = is_endless ? words.name_for_position(count - 1) : "excess";
  for (unsigned place = 0; place < count && words.name_for_position(place) != last; ++place)
    all.add(words.name_for_position(place).c_str(), 1);
  return all.add(last.c_str(), -1);
}

}  // namespace

void validate(boost::any& value, const std::vector<std::string>& words, Seconds*, int) {
  po::validators::check_first_occurrence(value);
  const std::string& word = po::validators::get_single_string(words);
  if (word == "forever") {
    value = Seconds{forever};
    return;
  }
  double seconds = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seconds);
  if (error != std::errc() || end != word.data() + word.size() || !(seconds >= 0))
    refuse(word, "time in seconds, as 10 or 0.5, or forever");
  value = Seconds{std::chrono::duration<double>(seconds)};
}

void validate(boost::any& value, const std::vector<std::string>& words, Mode*, int) {
  po::validators::check_first_occurrence(value);
  const std::string& word = po::validators::get_single_string(words);
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mode, 8);
  if (error != std::errc() || end != word.data() + word.size() || mode > 0777)
    refuse(word, "file mode in octal, as 022");
  value = Mode{static_cast<mode_t>(mode)};
}

po::options_description setting_options(const Path& default_pidfile, const std::string& stop_timeout) {
  po::options_description options;
  const auto text = [](const char* kind) { return po::value<std::string>()->value_name(kind); };
  const std::string& pidfile = default_pidfile.native();
  options.add_options()("pidfile", text("FILE"),
                        ("names the running daemon" + (pidfile.empty() ? "" : " (" + pidfile + ")")).c_str());
  options.add_options()("chdir", text("DIRECTORY"), "the daemon's working directory");
  options.add_options()("umask", po::value<Mode>()->value_name("MODE"), "the daemon's umask, in octal");
  options.add_options()("user", text("USER"), "the user that the daemon becomes");
  options.add_options()("group", text("GROUP"), "the daemon's group, if not the user's own");
  options.add_options()("log", text("FILE"), "where the daemon's output goes");
  options.add_options()("syslog", po::bool_switch(), "the output goes to syslog, under the service's name");
  options.add_options()("respawn", po::bool_switch(), "respawn the service when it has crashed");
  options.add_options()("ready-timeout", po::value<Seconds>()->value_name("SECONDS"),
                        "how long a start may take (forever)");
  options.add_options()(
      "stop-timeout", po::value<Seconds>()->value_name("SECONDS"),
      ("when a daemon that does not stop is killed" +
       (stop_timeout.empty() ? "" : " (" + stop_timeout + ")") + "; 0: at once; forever: never")
          .c_str());
  return options;
}

po::options_description command_options(const Path& default_file, bool has_version) {
  po::options_description options;
  const std::string file = default_file.empty() ? "" : " (" + default_file.native() + ")";
  options.add_options()("config", po::value<std::string>()->value_name("FILE"),
                        ("the configuration file" + file).c_str());
  options.add_options()("foreground", "of start, restart and try-restart: do not detach, as run does");
  options.add_options()("explain", "of start, restart and run: say what they would do, and do nothing");
  options.add_options()(
      "notify-fd", po::value<int>()->value_name("FD"),
      "of start and run: where a line end tells that the service is ready, as s6 and OpenRC want it");
  options.add_options()("oknodo", "already running and not running are no errors, as in the LSB");
  options.add_options()("binary", po::value<std::string>()->value_name("FILE"),
                        "of upgrade: the new program, by its absolute path");
  options.add_options()("json", "of status and stop: one JSON object");
  options.add_options()("ready", "of status: the exit code is 0 if it is ready, else 1, for health checks");
  options.add_options()("verbose", "of all that change something: say what was done");
  if (has_version) options.add_options()("version", "print the version");
  options.add_options()("help", "print this");
  return options;
}

bool Invocation::gives(const std::string& option) const {
  const auto& given = command_line.options;
  return std::any_of(given.begin(), given.end(), [&](const auto& each) { return each.string_key == option; });
}

std::string action_in(int argc, const char* const* argv, const po::options_description& options) {
  po::positional_options_description words;
  words.add("action", 1).add("excess", -1);
  for (const po::option& each : parse(argc, argv, options, words, true)) {
    if (each.unregistered) return "";  // `parse_command_line` reports it
    if (each.position_key == 0) return each.value.front();
  }
  return "";
}

Invocation parse_command_line(int argc, const char* const* argv, const po::options_description& options,
                              const po::positional_options_description& words) {
  Invocation invocation{{}, {}, po::parsed_options(&options)};
  for (const po::option& option : parse(argc, argv, options, behind_action(words), false)) {
    const std::string value = option.value.empty() ? "" : option.value.front();
    if (option.string_key == "config" && value.empty())
      throw UsageError("the argument for option '--config' is empty");
    if (option.string_key == "action") invocation.action = value;
    else if (option.string_key == "excess") invocation.words.push_back(value);
    else invocation.command_line.options.push_back(option);
  }
  return invocation;
}

}  // namespace daemonctx
