// SPDX-License-Identifier: BSL-1.0

// A service that a test observes. Its own options say what it does.

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <daemonctx/service.hpp>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "grouping.hpp"

namespace {

namespace po = boost::program_options;
using daemonctx::DaemonContext;

struct Behaviour {
  int number = 0;
  int bound = 0;
  std::string before_ready;  // throw:TEXT, sleep:MS
  std::string afterwards;    // throw:TEXT, return:STATUS, deaf, slow:MS; at the end exit:STATUS, crash
  std::string witness;       // a file to lock
};

// Returns what follows NAME and a colon; nullptr if `setting` begins otherwise.
const char* argument(const std::string& setting, const std::string& name) {
  return setting.compare(0, name.size() + 1, name + ':') == 0 ? setting.c_str() + name.size() + 1 : nullptr;
}

void sleep(const char* ms) { std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(ms))); }

// Locks the file until the service ends. A second service fails to start, with the text "not alone".
void witness(DaemonContext& context, const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd == -1 || ::flock(fd, LOCK_EX | LOCK_NB) == -1) throw std::runtime_error("not alone");
  context.on_exit([fd] { ::close(fd); });
}

int serve(DaemonContext& context, const Behaviour& behaviour) {
  if (!behaviour.witness.empty()) witness(context, behaviour.witness);
  if (const char* ms = argument(behaviour.before_ready, "sleep")) sleep(ms);
  if (const char* text = argument(behaviour.before_ready, "throw")) throw std::runtime_error(text);
  if (behaviour.afterwards == "deaf to SIGQUIT") context.map_signal(SIGQUIT, daemonctx::Action::ignore);
  context.notify_ready();
  if (const char* text = argument(behaviour.afterwards, "throw")) throw std::runtime_error(text);
  if (const char* status = argument(behaviour.afterwards, "return")) return std::stoi(status);
  if (const char* ms = argument(behaviour.afterwards, "slow")) context.on_exit([ms] { sleep(ms); });
  if (behaviour.afterwards == "remember") context.remember("no configuration");
  if (behaviour.afterwards == "deaf") {
    for (;;) ::pause();
  }
  std::cout << "number " << behaviour.number << " in " << std::filesystem::current_path().string()
            << std::endl;
  context.wait();
  if (behaviour.afterwards == "crash") std::abort();
  const char* exit_code = argument(behaviour.afterwards, "exit");
  return exit_code != nullptr ? std::stoi(exit_code) : 0;
}

// An absolute home becomes the working directory, and is made.
void set_home(const daemonctx::Service::Values& values, daemonctx::DaemonOptions& options) {
  if (::getenv("SERVICE_COUNTS") != nullptr) std::cout << "sets options" << std::endl;
  options.respawn_policy = {};
  if (values.count("home") == 0) return;
  const auto& home = values["home"].as<std::string>();
  if (home == "pidfile") options.pidfile = "/run/another";
  else if (home[0] != '/') throw std::runtime_error("home: must be absolute");
  options.create_directories.push_back({.path = home});
  options.working_directory = home;
}

daemonctx::ServiceAction submit() {
  daemonctx::ServiceAction action{.name = "submit", .text = "queue jobs", .run = [](const auto& values) {
                                    const auto& jobs = values["job"].template as<std::vector<std::string>>();
                                    for (const auto& job : jobs) std::cout << job << std::endl;
                                    std::cout << "number " << values["number"].template as<int>();
                                    if (jobs.front() == "none") throw std::runtime_error("no such job");
                                    std::cout << ", priority " << values["priority"].template as<int>()
                                              << std::endl;
                                    return static_cast<int>(jobs.size());
                                  }};
  action.options.add_options()("job", po::value<std::vector<std::string>>()->required(), "what to do");
  action.options.add_options()("priority", po::value<int>()->default_value(0), "which comes first");
  action.words.add("job", -1);
  return action;
}

// What a test chooses by variables of the environment.
void set_up(daemonctx::Service& service) {
  const char* const file = ::getenv("SERVICE_FILE");
  const bool may_miss = ::getenv("SERVICE_FILE_MAY_MISS") != nullptr;
  if (file != nullptr)
    service.config_file(
        file, may_miss ? daemonctx::MissingFile::means_defaults : daemonctx::MissingFile::is_refused);
  if (::getenv("SERVICE_DRAINS") != nullptr)
    service.stop_policy({{SIGQUIT, std::chrono::milliseconds(50)}, {SIGKILL, std::chrono::seconds(5)}});
  service.description("Does nothing, and tells what it was told.");
  service.on_options(set_home);
  service.add_action(submit());
  service.add_action({.name = "bare", .text = "a daemon that does not reload", .run = [](const auto& values) {
                        DaemonContext context({.pidfile = values["pidfile"].template as<std::string>()});
                        context.wait();
                        return 0;
                      }});
  try {
    service.add_action({.name = "start", .run = [](const auto&) { return 0; }});
  } catch (const std::invalid_argument&) {
    return;
  }
  std::cout << "start can be replaced" << std::endl;
}

int run_service(const char* name, int argc, char** argv) {
  if (::getenv("GROUP_DIGITS") != nullptr) probe::group_digits();
  Behaviour behaviour;
  daemonctx::Service service(name, {.readiness = daemonctx::Readiness::when_notified},
                             [&](DaemonContext& context) { return serve(context, behaviour); });
  service.options().add_options()("number", po::value<int>()->default_value(1), "what to print");
  service.options().add_options()("bound", po::value(&behaviour.bound), "bound to a variable of the service");
  service.options().add_options()("peer", po::value<std::vector<std::string>>(),
                                  "may be given several times");
  service.options().add_options()("net.port", po::value<int>(), "in the section net");
  service.options().add_options()("before-ready", po::value(&behaviour.before_ready),
                                  "throw:TEXT or sleep:MS");
  service.options().add_options()("afterwards", po::value(&behaviour.afterwards),
                                  "throw:TEXT, return:STATUS, deaf or slow:MS");
  service.options().add_options()("witness", po::value(&behaviour.witness), "the file to lock");
  service.options().add_options()("odd", po::value<int>(), "a [b:c] \\ 'd'");
  service.options().add_options()("needs", po::value<std::string>(), "a file that must be there");
  service.options().add_options()("home", po::value<std::string>(), "to be made");
  set_up(service);
  service.on_configure([&](const auto& values) {
    const int number = values["number"].template as<int>();
    const bool lacks =
        values.count("needs") != 0 && !std::filesystem::exists(values["needs"].template as<std::string>());
    if (lacks) throw std::runtime_error("needs: it is not there");
    if (number < 0) throw std::runtime_error("number: must not be negative");
    behaviour.number = number;
    std::cout << "configured " << number;
    if (behaviour.bound != 0) std::cout << ", was " << behaviour.bound;
    std::cout << std::endl;
  });
  return service.main(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  const char* const name = ::getenv("SERVICE_NAME");
  try {
    return run_service(name != nullptr ? name : "probe", argc, argv);
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
