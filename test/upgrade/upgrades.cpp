// SPDX-License-Identifier: BSL-1.0
#include "upgrades.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <sstream>

namespace upgrades {

namespace fs = boost::filesystem;
using daemonctx::ControlError;
using daemonctx::DaemonState;

namespace {

// -1, with errno, if it is refused.
int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const linger at_once{1, 0};  // leaves no port behind in TIME_WAIT
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

Service::Service(Scene& scene, const Times& times, const std::string& how)
    : pidfile_(scene.path("s.pid")), journal_(scene.path("journal")), good_(scene.path("good")) {
  if (!scene::exists(good_)) fs::create_symlink(scene::probe(), good_);
  words_ = {good_,
            pidfile_,
            journal_,
            std::to_string(times.ready),
            std::to_string(times.probation),
            std::to_string(times.drain),
            how};
  scene::write_file(journal_, "");
  if (how.rfind("stay", 0) == 0) {
    in_foreground_.emplace(Scene::start(words_));
  } else {
    const auto result = Scene::run(words_);
    BOOST_REQUIRE_MESSAGE(result.end.exited(0), result.err);
  }
  await("serves");
}

Service::~Service() {
  std::error_code ignored;
  control().stop(daemonctx::stop_policy(), ignored);
}

std::vector<std::string> Service::lines(const std::string& word) const {
  std::vector<std::string> found;
  std::istringstream text(scene::contents(journal_));
  for (std::string line; std::getline(text, line);) {
    if (line.rfind(word + ' ', 0) == 0) found.push_back(line);
  }
  return found;
}

void Service::await(const std::string& word, std::size_t count) const {
  BOOST_TEST_REQUIRE(scene::eventually([&] { return lines(word).size() >= count; }));
}

int Service::port() const {
  const std::string line = lines("serves").back();
  return std::stoi(line.substr(line.rfind(' ') + 1));
}

pid_t Service::server() const {
  const int fd = connect_to(port());
  std::array<char, 16> text{};
  BOOST_TEST_REQUIRE(::recv(fd, text.data(), text.size() - 1, 0) > 0);
  ::close(fd);
  return std::atoi(text.data());
}

std::string Service::upgrade(const std::string& binary) const {
  try {
    control().upgrade({.binary = binary});
    return {};
  } catch (const ControlError& error) {
    return error.what();
  }
}

Clients::Clients(int port) {
  for (auto& thread : threads_) {
    thread = std::thread([this, port] {
      while (!done_) connect_once(port);
    });
  }
}

void Clients::finish() {
  done_ = true;
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Clients::connect_once(int port) {
  const int fd = connect_to(port);
  std::array<char, 16> text{};
  if (fd == -1) {
    ++refused_;
    return;
  }
  if (::recv(fd, text.data(), text.size(), 0) <= 0) ++broken_;
  else ++answered_;
  ::close(fd);
}

std::string make_version(const Scene& scene, const std::string& kind) {
  const std::string file = scene.path(kind);
  if (kind == "missing" || scene::exists(file)) return file;
  if (kind == "not_executable") {
    scene::write_file(file, "#!/bin/sh\n");
    ::chmod(file.c_str(), 0644);
  } else if (kind == "other_architecture") {
    std::string header(
        "\x7f"
        "ELF\x02\x01\x01",
        7);
    header.resize(64);
    header[16] = 2;
    header[18] = '\xf3';  // RISC-V
    scene::write_file(file, header);
    ::chmod(file.c_str(), 0755);
  } else {
    fs::create_symlink(scene::probe(), file);
  }
  return file;
}

int rounds() { return scene::rounds(std::stoi(scene::argument(2))); }

bool has_pidfds() { return scene::argument(4) != "fallbacks"; }

void try_version(const Scene& scene, const Service& service, const Bad& version) {
  BOOST_TEST_CONTEXT(version.kind) {
    const pid_t before = service.server();
    const bool is_good = std::string(version.kind) == "good";
    const std::string outcome = service.upgrade(make_version(scene, version.kind));
    BOOST_TEST(outcome.empty() == is_good);
    BOOST_TEST(outcome.find(version.reason) != std::string::npos, outcome);
    if (is_good) BOOST_TEST(service.pid() != 0);
    else BOOST_TEST(scene::eventually([&] { return service.server() == before; }));
    BOOST_TEST((service.control().status().state == DaemonState::running));
    BOOST_TEST(scene::pid_in(service.pidfile()) == service.pid());
    Clients clients(service.port());
    BOOST_TEST(scene::eventually([&] { return clients.answered() > 10; }));
    clients.finish();
    BOOST_TEST(clients.refused() + clients.broken() == 0);
    service.control().reload();
  }
}

void start_meanwhile(const Service& service) {
  std::atomic<bool> done = false;
  std::atomic<int> starts = 0;
  std::atomic<int> started = 0;
  std::array<std::thread, 2> starters;
  for (std::thread& each : starters) {
    each = std::thread([&] {
      while (!done) {
        started += Scene::run(service.words()).end.exited(1) ? 0 : 1;
        ++starts;
      }
    });
  }
  const int wanted = rounds();
  int upgrades = 0;
  while (starts < wanted && started == 0) {
    BOOST_TEST_REQUIRE(service.upgrade() == "");
    ++upgrades;
  }
  done = true;
  for (std::thread& each : starters) each.join();
  BOOST_TEST(started == 0);
  BOOST_TEST_MESSAGE(starts << " starts during " << upgrades << " upgrades");
}

void upgrade_under_load(const Service& service) {
  Clients clients(service.port());
  const int upgrades = rounds() / 5;
  for (int n = 0; n < upgrades; ++n) {
    const int before = clients.answered();
    BOOST_TEST_REQUIRE(service.upgrade() == "");
    BOOST_TEST_REQUIRE(scene::eventually([&] { return clients.answered() > before; }));
  }
  clients.finish();
  BOOST_TEST(clients.refused() == 0);
  BOOST_TEST(clients.broken() == 0);
  BOOST_TEST(service.control().stop().pid != 0);
  BOOST_TEST_MESSAGE(upgrades << " upgrades, " << clients.answered() << " connections, none lost");
}

// In milliseconds after the request: up to the end of the old process.
std::vector<int> moments() {
  const int step = rounds() < 200 ? 8 : 2;
  std::vector<int> all;
  for (int moment = 0; moment < 50; moment += step) all.push_back(moment);
  return all;
}

// The server is not the process of the pidfile, where there is a monitor.
void disturb(const std::string& how, const std::function<void(const Service&, pid_t)>& disturbance) {
  for (const int moment : moments()) {
    BOOST_TEST_CONTEXT("moment " << moment) {
      Scene scene;
      const Service service(scene, {}, how);
      const pid_t old = service.server();
      std::thread upgrade([&] { service.upgrade(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(moment));
      disturbance(service, old);
      upgrade.join();
    }
  }
}

}  // namespace upgrades
