// SPDX-License-Identifier: BSL-1.0

// A complete service: writes a line to its log every so often, reads its configuration again on `heartbeat reload`
// and stops cleanly. `heartbeat help` says what else it understands.

#include <boost/program_options.hpp>
#include <daemonctx/service.hpp>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

namespace po = boost::program_options;
using daemonctx::DaemonContext;
using daemonctx::StdioTarget;

struct Settings {
  std::string message;
  std::chrono::nanoseconds interval = {};
};

Settings read(const daemonctx::Service::Values& values) {
  const double seconds = values["interval"].as<double>();
  if (!(seconds > 0 && seconds <= 86400)) {
    throw std::runtime_error("interval: must be above 0 and at most 86400 seconds");
  }
  return {values["message"].as<std::string>(),
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds))};
}

int beat(DaemonContext& context, const Settings& settings) {
  context.on_exit([] { std::cout << "stopped" << std::endl; });
  std::cout << "started, pid " << context.pid()
            << std::endl;  // on the terminal: nobody waits for us any more
  context.notify_ready();  // after this, in the log
  do std::cout << settings.message << std::endl;
  while (!context.wait_for(settings.interval));
  return 0;
}

}  // namespace

// tag::program[]
int main(int argc, char** argv) {
  Settings settings;
  const auto log = StdioTarget::file("/tmp/heartbeat.log");
  daemonctx::Service service("heartbeat",
                             {.pidfile = "/tmp/heartbeat.pid",
                              .stdio = {.out = log, .err = log},
                              .readiness = daemonctx::Readiness::when_notified},
                             [&](DaemonContext& context) { return beat(context, settings); });
  service.options().add_options()("interval", po::value<double>()->default_value(1, "1"),
                                  "seconds between two beats");
  service.options().add_options()("message", po::value<std::string>()->default_value("beat"),
                                  "what a beat says");
  service.on_configure([&](const auto& values) { settings = read(values); });  // throws: the old ones stay
  service.version("1.0");
  return service.main(argc, argv);
}
// end::program[]
