// SPDX-License-Identifier: BSL-1.0

// The service that the fault machine disturbs. The environment variable SUBJECT names its options, separated
// by commas. The service writes what happens to it into a journal: the descriptor `journal_fd`, whose writes
// the machine never disturbs.

#include <signal.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cstdlib>
#include <daemonctx/service.hpp>
#include <iostream>
#include <stdexcept>
#include <string>

#include "sandbox_paths.hpp"

namespace {

namespace po = boost::program_options;
using daemonctx::DaemonContext;
using daemonctx::DaemonOptions;
using daemonctx::StdioTarget;

void note(const std::string& text) {
  const std::string line = text + ' ' + std::to_string(::getpid()) + '\n';
  if (::write(faults::journal_fd, line.data(), line.size()) == -1) ::_exit(99);
}

bool wants(const std::string& word) {
  const char* const words = std::getenv("SUBJECT");
  return words != nullptr && (',' + std::string(words) + ',').find(',' + word + ',') != std::string::npos;
}

void print_line(const daemonctx::SignalInfo&) {
  std::cout << "a line" << std::endl;
  note("printed");
}

DaemonOptions options() {
  using namespace std::chrono_literals;
  DaemonOptions made = {.pidfile = faults::pidfile,
                        .signal_map = {{SIGUSR2, print_line}},
                        .files_preserve = {faults::journal_fd}};
  const auto log = StdioTarget::file(faults::log);
  if (wants("log")) made.stdio = {.out = log, .err = log};
  if (wants("syslog"))
    made.stdio = {.out = StdioTarget::syslog("subject"), .err = StdioTarget::syslog("subject")};
  if (wants("chroot")) made.chroot_directory = faults::jail;
  if (wants("directory")) made.create_directories = {{.path = faults::directory, .mode = 0750}};
  if (wants("kept")) made.create_directories = {{.path = faults::kept_directory, .mode = 0700}};
  if (wants("socket")) {
    made.sockets = {{.name = "file", .address = std::string(faults::socket)},
                    {.name = "port", .address = "127.0.0.1:0"}};
  }
  if (wants("user")) made.user = "nobody";
  if (wants("notified")) made.readiness = daemonctx::Readiness::when_notified;
  if (wants("upgrade")) made.signal_map[SIGWINCH] = daemonctx::Action::upgrade;
  made.upgrade = {.ready_timeout = 2s, .probation = wants("probation") ? 500ms : 20ms, .drain = 2s};
  made.ready_timeout = 4s;
  made.respawn = wants("monitor");
  made.respawn_policy = {.first_delay = 1ms, .stop_timeout = 1s};
  return made;
}

void keep_state(DaemonContext& context) {
  note("finds " + context.remembered().value_or("nothing"));
  context.remember("state");
}

int serve(DaemonContext& context, int number) {
  note("begins");
  context.on_exit([] { note("cleanup"); });
  if (wants("early")) ::kill(::getpid(), SIGHUP);  // held until this service waits
  if (wants("upgrade")) keep_state(context);
  if (wants("notified")) context.notify_ready();
  note("serves");
  std::cout << "serves" << std::endl;
  if (number == faults::number_that_ends) return 1;
  context.wait();
  note("stops");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::syscall(faults::marker);
  int number = 0;
  daemonctx::Service service("subject", options(),
                             [&](DaemonContext& context) { return serve(context, number); });
  service.options().add_options()("number", po::value<int>()->default_value(0), "is noted");
  service.on_configure([&](const auto& values) {
    number = values["number"].template as<int>();
    if (number < 0) throw std::runtime_error("number: must not be negative");
    note("number " + std::to_string(number));
  });
  service.config_file(faults::configuration, daemonctx::MissingFile::means_defaults);
  service.stop_policy(daemonctx::stop_policy(std::chrono::seconds(2)));
  return service.main(argc, argv);
}
