// SPDX-License-Identifier: BSL-1.0
#include "service/command_line.hpp"

#include <boost/filesystem/operations.hpp>
#include <charconv>
#include <cstdlib>

#include "service/placeholders.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;

// The message names only the word. The option's description says what the value must be.
[[noreturn]] void refuse(const std::string& word) { throw po::invalid_option_value(word); }

// Made absolute before any change of directory. An absolute path needs no working directory, which may be
// gone.
fs::path absolute(const fs::path& path) { return path.is_absolute() ? path : fs::absolute(path); }

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
  if (error != std::errc() || end != word.data() + word.size() || !(seconds >= 0)) refuse(word);
  value = Seconds{std::chrono::duration<double>(seconds)};
}

void validate(boost::any& value, const std::vector<std::string>& words, Mode*, int) {
  po::validators::check_first_occurrence(value);
  const std::string& word = po::validators::get_single_string(words);
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mode, 8);
  if (error != std::errc() || end != word.data() + word.size() || mode > 0777) refuse(word);
  value = Mode{static_cast<mode_t>(mode)};
}

po::options_description setting_options(const Path& default_pidfile) {
  po::options_description options("Settings, also in the configuration file");
  const auto text = [](const char* kind) { return po::value<std::string>()->value_name(kind); };
  const std::string& pidfile = default_pidfile.native();
  options.add_options()("pidfile", text("FILE"),
                        ("names the running daemon" + (pidfile.empty() ? "" : " (" + pidfile + ")")).c_str());
  options.add_options()("chdir", text("DIRECTORY"), "the daemon's working directory");
  options.add_options()("umask", po::value<Mode>()->value_name("MODE"), "the daemon's umask, in octal");
  options.add_options()("user", text("USER"), "whom the daemon becomes");
  options.add_options()("group", text("GROUP"), "the daemon's group, if not the user's own");
  options.add_options()("log", text("FILE"), "where the daemon's output goes");
  options.add_options()("syslog", po::bool_switch(), "the output goes to syslog, under the service's name");
  options.add_options()("respawn", po::bool_switch(), "start the service anew when it has crashed");
  options.add_options()("ready-timeout", po::value<Seconds>()->value_name("SECONDS"),
                        "how long a start may take (forever)");
  options.add_options()("stop-timeout", po::value<Seconds>()->value_name("SECONDS"),
                        "when a daemon that does not stop is killed (10); 0: at once; forever: never");
  return options;
}

po::options_description command_options(bool has_version) {
  po::options_description options("Options");
  options.add_options()("config", po::value<std::string>()->value_name("FILE"), "the configuration file");
  options.add_options()("foreground", "of start and restart: do not detach, as run does");
  options.add_options()("explain", "of start, restart and run: say what they would do, and do nothing");
  options.add_options()(
      "notify-fd", po::value<int>()->value_name("FD"),
      "of start and run: where a line end tells that the service is ready, as s6 and OpenRC want it");
  options.add_options()("oknodo", "already running and not running are no errors");
  options.add_options()("json", "of status and stop: one JSON object");
  options.add_options()("ready", "of status: the exit code is 0 if it is ready, else 1, for health checks");
  options.add_options()("verbose", "say what was done");
  if (has_version) options.add_options()("version", "print the version");
  options.add_options()("help", "print this");
  return options;
}

Invocation parse_command_line(int argc, const char* const* argv, const po::options_description& options) {
  po::options_description all;
  all.add(options);
  all.add_options()("action", po::value<std::string>())("excess", po::value<std::vector<std::string>>());
  po::positional_options_description words;
  words.add("action", 1).add("excess", -1);
  // Options have no abbreviations: each would be a spelling to keep for ever.
  constexpr int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    for (const std::string& each : arguments) {
      const std::string placeholder = placeholder_in(each);
      if (!placeholder.empty()) throw UsageError('"' + placeholder + "\" is not allowed in an argument");
    }
    po::parsed_options parsed =
        po::command_line_parser(arguments).options(all).positional(words).style(style).run();
    Invocation invocation{{}, {}, po::parsed_options(&options)};
    for (po::option& option : parsed.options) {
      const std::string value = option.value.empty() ? "" : option.value.front();
      const bool is_word = option.string_key == "action" || option.string_key == "excess";
      if (is_word && option.position_key == -1) throw po::unknown_option("--" + option.string_key);
      if (option.string_key == "config" && value.empty())
        throw UsageError("the argument for option '--config' is empty");
      if (option.string_key == "excess") throw UsageError("unexpected argument \"" + value + '"');
      if (option.string_key == "action") invocation.action = value;
      else invocation.command_line.options.push_back(option);
      if (option.string_key == "config") invocation.file = absolute(value);
    }
    po::variables_map values;
    po::store(invocation.command_line, values);
    return invocation;
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace daemonctx
