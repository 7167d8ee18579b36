// SPDX-License-Identifier: BSL-1.0
#include "daemons.hpp"

#include <unistd.h>

#include <map>
#include <set>

#include "paths.hpp"
#include "table.hpp"

namespace bench {
namespace {

Words words_or_none(const std::string& program) { return program.empty() ? Words{} : Words{program}; }

Words python_words(const std::string& script) {
  return paths::python.empty() ? Words{} : Words{paths::python, script};
}

Words words_of(const std::string& name) {
  static const std::map<std::string, Words> all = {
      {names::reference, {paths::reference_daemon}},
      {names::reference_cxx, {paths::reference_daemon_cxx}},
      {names::subject, {paths::subject_daemon}},
      {names::subject_static, {paths::subject_daemon_static}},
      {names::subject_fully_static, {paths::subject_daemon_fully_static}},
      {names::libdaemon, words_or_none(paths::peer_libdaemon)},
      {names::daemon3, {paths::peer_daemon3}},
      {names::python, python_words(paths::peer_python_daemon)},
      {names::asio, words_or_none(paths::peer_asio)},
      {names::poco, words_or_none(paths::peer_poco)},
      {names::go_daemon, words_or_none(paths::peer_go_daemon)},
      {names::daemonize, words_or_none(paths::peer_daemonize)},
  };
  return all.at(name);
}

}  // namespace

Command Program::command(const std::string& pidfile, const Words& options) const {
  Words all = words;
  all.push_back(pidfile);
  all.insert(all.end(), options.begin(), options.end());
  return Command(all);
}

Program daemon_program(const std::string& name) { return {name, words_of(name)}; }

bool is_installed(const std::string& name) { return !words_of(name).empty(); }

bool is_peer(const std::string& name) { return name == names::libdaemon || leaves_early(name); }

bool leaves_early(const std::string& name) {
  const std::set<std::string> all = {names::python, names::asio, names::poco, names::go_daemon,
                                     names::daemonize};
  return all.count(name) != 0;
}

void list_missing_peers() {
  for (const auto& name :
       {names::libdaemon, names::python, names::asio, names::poco, names::go_daemon, names::daemonize}) {
    if (!is_installed(name)) Table::skip(name, "not installed");
  }
}

double start(const Command& command) {
  const double begin = now();
  const int status = wait_for(command.start());
  const double end = now();
  if (status != 0) throw WrongBehaviour("a start failed, wait status " + std::to_string(status));
  return end - begin;
}

double start_until_pidfile(const Command& command, const std::string& pidfile) {
  ::unlink(pidfile.c_str());
  const double begin = now();
  start(command);
  while (contents(pidfile).empty()) check_interruption();
  return now() - begin;
}

pid_t only_daemon() {
  const auto found = settled_children();  // python-daemon's caller ends before its intermediate
  if (found.size() == 1) return found.front();
  throw WrongBehaviour(std::to_string(found.size()) + " daemons where there should be one");
}

void stop_only_daemon() { time_to_stop(only_daemon()); }

}  // namespace bench
