// SPDX-License-Identifier: BSL-1.0

// A service whose body does what its options say, in front of a test's eyes.

#include <fcntl.h>
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

struct Wishes {
  int number = 0;
  int bound = 0;
  std::string before_ready;  // throw:TEXT, sleep:MS
  std::string afterwards;    // throw:TEXT, return:STATUS, deaf, slow:MS
  std::string witness;       // a file
};

// What follows NAME and a colon.
const char* argument(const std::string& wish, const std::string& name) {
  return wish.compare(0, name.size() + 1, name + ':') == 0 ? wish.c_str() + name.size() + 1 : nullptr;
}

void sleep(const char* ms) { std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(ms))); }

// Held for as long as the service works, and by one at a time; whoever starts another one hears of it.
void witness(DaemonContext& context, const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd == -1 || ::flock(fd, LOCK_EX | LOCK_NB) == -1) throw std::runtime_error("not alone");
  context.on_exit([fd] { ::close(fd); });
}

int serve(DaemonContext& context, const Wishes& wishes) {
  if (!wishes.witness.empty()) witness(context, wishes.witness);
  if (const char* ms = argument(wishes.before_ready, "sleep")) sleep(ms);
  if (const char* text = argument(wishes.before_ready, "throw")) throw std::runtime_error(text);
  context.notify_ready();
  if (const char* text = argument(wishes.afterwards, "throw")) throw std::runtime_error(text);
  if (const char* status = argument(wishes.afterwards, "return")) return std::stoi(status);
  if (const char* ms = argument(wishes.afterwards, "slow")) context.on_exit([ms] { sleep(ms); });
  if (wishes.afterwards == "deaf") {
    for (;;) ::pause();
  }
  std::cout << "number " << wishes.number << " in " << std::filesystem::current_path().string() << std::endl;
  context.wait();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (::getenv("GROUP_DIGITS") != nullptr) probe::group_digits();
  Wishes wishes;
  daemonctx::Service service("probe", {.readiness = daemonctx::Readiness::when_notified},
                             [&](DaemonContext& context) { return serve(context, wishes); });
  service.options().add_options()("number", po::value<int>()->default_value(1), "what to print");
  service.options().add_options()("bound", po::value(&wishes.bound), "set when the rest is accepted");
  service.options().add_options()("peer", po::value<std::vector<std::string>>(), "as many as you like");
  service.options().add_options()("net.port", po::value<int>(), "in a section");
  service.options().add_options()("before-ready", po::value(&wishes.before_ready), "what to do first");
  service.options().add_options()("afterwards", po::value(&wishes.afterwards), "and what then");
  service.options().add_options()("witness", po::value(&wishes.witness), "what only one may hold");
  service.on_configure([&](const auto& values) {
    const int number = values["number"].template as<int>();
    if (number < 0) throw std::runtime_error("number: must not be negative");
    wishes.number = number;
    std::cout << "configured " << number;
    if (wishes.bound != 0) std::cout << ", was " << wishes.bound;
    std::cout << std::endl;
  });
  return service.main(argc, argv);
}
