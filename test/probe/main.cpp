// SPDX-License-Identifier: BSL-1.0

// Becomes a daemon that a test observes. The command line says what the daemon does:
//
//   daemon_probe CHANNEL [action...] daemon|run|preflight|explain [option=value...] [action...]
//
// Actions before "daemon" run in the caller, those after it in the daemon. Reports go to the FIFO CHANNEL,
// one line each. The probe opens it by its path, so that the daemon need not inherit a descriptor.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "probe.hpp"

namespace probe {

std::string channel;

void say(const std::string& text) {
  const std::string line = text + '\n';
  const int fd = ::open(channel.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd == -1 || ::write(fd, line.data(), line.size()) == -1) ::_exit(99);
  ::close(fd);
}

}  // namespace probe

namespace {

using daemonctx::DaemonContext;
using daemonctx::DaemonOptions;

// Splits at the first separator; the second part may be empty.
std::pair<std::string, std::string> split(const std::string& word, char separator) {
  const auto at = word.find(separator);
  if (at == std::string::npos) return {word, {}};
  return {word.substr(0, at), word.substr(at + 1)};
}

bool respawns = false;
bool is_worker = false;

int act(DaemonContext& context, const std::vector<std::string>& words) {
  is_worker = respawns;
  try {
    for (const std::string& word : words) {
      const auto [name, value] = split(word, ':');
      probe::service_actions.at(name)(context, value);
    }
  } catch (const int status) {
    return status;
  }
  return 0;
}

struct Script {
  DaemonOptions options;
  std::vector<std::string> body;
  bool tells_failure = false;  // report the caller's facts if the start fails
  bool preflights = false;     // call preflight() and start nothing
  bool explains = false;       // print explain() and start nothing
  bool by_run = false;         // call daemonctx::run() instead of making a context in a try block
};

Script prepare(const std::vector<std::string>& words) {
  Script script;
  std::size_t at = 0;
  const auto ends_actions = [](const std::string& word) {
    return word == "daemon" || word == "run" || word == "preflight" || word == "explain";
  };
  for (; at < words.size() && !ends_actions(words[at]); ++at) {
    const auto [name, value] = split(words[at], ':');
    probe::caller_actions.at(name)(value);
  }
  script.preflights = at < words.size() && words[at] == "preflight";
  script.explains = at < words.size() && words[at] == "explain";
  script.by_run = at < words.size() && words[at] == "run";
  for (++at; at < words.size(); ++at) {
    const auto [name, value] = split(words[at], '=');
    if (name == "report_failure") script.tells_failure = true;
    if (name == "report_failure") continue;
    const auto setter = probe::option_setters.find(name);
    if (setter == probe::option_setters.end()) break;
    setter->second(script.options, value);
  }
  for (; at < words.size(); ++at) script.body.push_back(words[at]);
  return script;
}

// "again" ends a context and begins another with the same options.
int act_in_contexts(const Script& script) {
  auto rest = script.body;
  for (auto again = std::find(rest.begin(), rest.end(), "again"); again != rest.end();
       again = std::find(rest.begin(), rest.end(), "again")) {
    DaemonContext context(script.options);
    act(context, {rest.begin(), again});
    rest.erase(rest.begin(), again + 1);
  }
  DaemonContext context(script.options);
  return act(context, rest);
}

int guarded(const Script& script) {
  try {
    if (script.explains) return std::cout << daemonctx::explain(script.options), 0;
    if (script.preflights) return daemonctx::preflight(script.options), 0;
    return act_in_contexts(script);
  } catch (const daemonctx::DaemonError& error) {
    if (script.tells_failure) probe::tell_facts(nullptr);
    std::cerr << "step " << static_cast<int>(error.step()) << " code " << error.code().value() << " pid "
              << error.pid() << " subject \"" << error.subject() << "\"\n"
              << error.what() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}

}  // namespace

// LeakSanitizer calls this before it looks for leaks. To look, it attaches to the process that exits, and
// waits until its SIGSTOP has stopped the process. The SIGCONT that a monitor sends after a worker's SIGTERM
// can remove that SIGSTOP, and then the process hangs.
extern "C" int __lsan_is_turned_off();  // NOLINT(*-reserved-identifier)
int __lsan_is_turned_off() { return is_worker ? 1 : 0; }

int main(int argc, char** argv) {
  if (argc < 3) return 97;
  probe::channel = argv[1];
  const Script script = prepare({argv + 2, argv + argc});
  respawns = script.options.respawn;
  if (!script.by_run) return guarded(script);
  return daemonctx::run(script.options, [&](DaemonContext& context) { return act(context, script.body); });
}
