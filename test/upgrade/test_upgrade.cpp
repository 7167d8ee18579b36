// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE upgrade

// A running service is replaced by a new version of its program.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <daemonctx/controller.hpp>
#include <optional>
#include <sstream>
#include <thread>

#include "scene.hpp"

namespace fs = boost::filesystem;
using daemonctx::ControlError;
using daemonctx::Controller;
using daemonctx::DaemonState;
using scene::Scene;

namespace {

struct Times {
  int ready = 20'000;
  int probation = 20;
  int drain = 20'000;
};

class Service {
 public:
  explicit Service(Scene& scene, const Times& times = {}, const std::string& how = "detach")
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
    if (how == "stay") {
      in_foreground_.emplace(Scene::start(words_));
    } else {
      const auto result = Scene::run(words_);
      BOOST_REQUIRE_MESSAGE(result.end.exited(0), result.err);
    }
    await("serves");
  }
  ~Service() {
    std::error_code ignored;
    control().stop(daemonctx::stop_policy(), ignored);
  }

  Controller control() const { return Controller(pidfile_); }
  pid_t pid() const { return control().status().pid; }
  const std::string& pidfile() const { return pidfile_; }
  const scene::Words& words() const { return words_; }

  /// The journal's lines that begin with a word.
  std::vector<std::string> lines(const std::string& word) const {
    std::vector<std::string> found;
    std::istringstream text(scene::contents(journal_));
    for (std::string line; std::getline(text, line);) {
      if (line.rfind(word + ' ', 0) == 0) found.push_back(line);
    }
    return found;
  }
  void await(const std::string& word, std::size_t count = 1) const {
    BOOST_TEST_REQUIRE(scene::eventually([&] { return lines(word).size() >= count; }));
  }
  int port() const {
    const std::string line = lines("serves").back();
    return std::stoi(line.substr(line.rfind(' ') + 1));
  }

  /// The outcome of an upgrade: empty, or why not.
  std::string upgrade(const std::string& binary = {}) const {
    try {
      control().upgrade({.binary = binary});
      return {};
    } catch (const ControlError& error) {
      return error.what();
    }
  }

 private:
  std::string pidfile_;
  std::string journal_;
  std::string good_;
  scene::Words words_;
  std::optional<scene::Running> in_foreground_;
};

/// Connects without pause in several threads.
class Clients {
 public:
  explicit Clients(int port) {
    for (auto& thread : threads_) {
      thread = std::thread([this, port] {
        while (!done_) connect_once(port);
      });
    }
  }
  ~Clients() { finish(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void finish() {
    done_ = true;
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  int answered() const { return answered_; }
  int refused() const { return refused_; }
  int broken() const { return broken_; }

 private:
  void connect_once(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const linger at_once{1, 0};  // leaves no port behind in TIME_WAIT
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::array<char, 16> text{};
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == -1) ++refused_;
    else if (::recv(fd, text.data(), text.size(), 0) <= 0) ++broken_;
    else ++answered_;
    ::close(fd);
  }

  std::array<std::thread, 8> threads_;
  std::atomic<bool> done_ = false;
  std::atomic<int> answered_ = 0;
  std::atomic<int> refused_ = 0;
  std::atomic<int> broken_ = 0;
};

/// A version of the program, by its name; or another file that is to be none.
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

struct Bad {
  const char* kind;
  const char* reason;  ///< is part of the outcome
};
constexpr std::array<Bad, 11> bad_versions = {{{"missing", "No such file or directory"},
                                               {"not_executable", "Permission denied"},
                                               {"other_architecture", "Exec format error"},
                                               {"exits", "exits: cannot read its licence"},
                                               {"throws", "broken state"},
                                               {"crashes", "the new program"},
                                               {"crashes_soon", "within its probation"},
                                               {"refuses", "cannot read the state of version 1"},
                                               {"other_record",
                                                "its record has version 2, and this program "
                                                "knows only version 1"},
                                               {"no_memory", "std::bad_alloc"},
                                               {"good", ""}}};

bool has_pidfds() { return scene::argument(4) != "fallbacks"; }

}  // namespace

BOOST_AUTO_TEST_CASE(without_pidfds_an_upgrade_is_refused) {
  if (has_pidfds()) return;
  Scene scene;
  const Service service(scene);
  BOOST_TEST(service.upgrade() == "the kernel has no pidfds, or no descriptor is left");
  BOOST_TEST((service.control().status().state == DaemonState::running));
}

BOOST_AUTO_TEST_SUITE(with_pidfds, *boost::unit_test::precondition([](auto) { return has_pidfds(); }))

BOOST_AUTO_TEST_CASE(the_new_program_becomes_the_service) {
  Scene scene;
  const Service service(scene);
  const pid_t before = service.pid();
  const auto result = service.control().upgrade();
  BOOST_TEST(result.pid != before);
  const auto status = service.control().status();
  BOOST_TEST((status.state == DaemonState::running));
  BOOST_TEST(status.pid == result.pid);
  BOOST_TEST(scene::pid_in(service.pidfile()) == result.pid);
  service.await("ends");
  BOOST_TEST(service.lines("makes room").back() == "makes room " + std::to_string(before));
  BOOST_TEST(scene::await_end(before).exited(0));
  // The same socket.
  BOOST_TEST(service.lines("serves").size() == 2U);
  const std::string first = service.lines("serves").front();
  BOOST_TEST(service.port() == std::stoi(first.substr(first.rfind(' ') + 1)));
  // What the old one offered, the new one offers.
  service.control().reload();
  BOOST_TEST(service.lines("reloads").back() == "reloads " + std::to_string(result.pid));
  BOOST_TEST(service.upgrade().empty());
  const pid_t last = service.pid();
  BOOST_TEST(service.control().stop().pid == last);
  BOOST_TEST(!scene::exists(service.pidfile()));
}

BOOST_AUTO_TEST_CASE(a_service_without_a_pidfile_is_upgraded_by_its_signal) {
  Scene scene;
  const std::string journal = scene.path("journal");
  BOOST_TEST(Scene::run({scene::probe(), "", journal, "20000", "20", "20000", "detach"}).end.exited(0));
  const auto ends_with = [&](const std::string& word) {
    return scene::eventually([&] { return scene::contents(journal).find(word) != std::string::npos; });
  };
  BOOST_TEST_REQUIRE(ends_with("serves "));
  const std::string first = scene::contents(journal).substr(std::string("serves ").size());
  const pid_t before = std::stoi(first);
  ::kill(before, SIGUSR2);
  BOOST_TEST(ends_with("makes room " + std::to_string(before)));
  BOOST_TEST(scene::await_end(before).exited(0));
  BOOST_TEST(scene::contents(journal).find("serves ", 7) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_connection_is_lost_by_an_upgrade) {
  Scene scene;
  const Service service(scene);
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

// Its clients would wait for ever.
BOOST_AUTO_TEST_CASE(a_socket_that_the_new_version_does_not_have_is_closed) {
  Scene scene;
  const Service service(scene);
  const pid_t before = service.pid();
  const int port = service.port();
  BOOST_TEST_REQUIRE(service.upgrade(make_version(scene, "other_socket")) == "");
  service.await("ends");
  BOOST_TEST(scene::await_end(before).exited(0));
  BOOST_TEST(service.port() != port);
  Clients clients(port);
  BOOST_TEST(scene::eventually([&] { return clients.refused() > 0; }));
  clients.finish();
  BOOST_TEST(clients.answered() + clients.broken() == 0);
}

void try_version(const Scene& scene, const Service& service, const Bad& version) {
  BOOST_TEST_CONTEXT(version.kind) {
    const pid_t before = service.pid();
    const bool is_good = std::string(version.kind) == "good";
    const std::string outcome = service.upgrade(make_version(scene, version.kind));
    BOOST_TEST(outcome.empty() == is_good);
    BOOST_TEST(outcome.find(version.reason) != std::string::npos, outcome);
    BOOST_TEST((service.pid() == before) == !is_good);
    BOOST_TEST((service.control().status().state == DaemonState::running));
    BOOST_TEST(scene::pid_in(service.pidfile()) == service.pid());
    Clients clients(service.port());
    BOOST_TEST(scene::eventually([&] { return clients.answered() > 10; }));
    clients.finish();
    BOOST_TEST(clients.refused() + clients.broken() == 0);
    service.control().reload();
  }
}

BOOST_AUTO_TEST_CASE(a_bad_version_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.probation = 1000});
  for (int round = 0; round < std::max(1, rounds() / 200); ++round) {
    for (const Bad& each : bad_versions) try_version(scene, service, each);
  }
}

BOOST_AUTO_TEST_CASE(a_version_that_hangs_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.ready = 200});
  try_version(scene, service, {"hangs", "it was not ready within 200 ms"});
}

BOOST_AUTO_TEST_CASE(no_start_gets_in_between) {
  Scene scene;
  const Service service(scene);
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

// In milliseconds after the request: up to the end of the old process.
std::vector<int> moments() {
  const int step = rounds() < 200 ? 8 : 2;
  std::vector<int> all;
  for (int moment = 0; moment < 50; moment += step) all.push_back(moment);
  return all;
}

// Does something at each moment of an upgrade.
void disturb(const std::function<void(const Service&, pid_t)>& disturbance) {
  for (const int moment : moments()) {
    BOOST_TEST_CONTEXT("moment " << moment) {
      Scene scene;
      const Service service(scene);
      const pid_t old = service.pid();
      std::thread upgrade([&] { service.upgrade(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(moment));
      disturbance(service, old);
      upgrade.join();
    }
  }
}

BOOST_AUTO_TEST_CASE(a_stop_at_any_moment_ends_the_service) {
  disturb([](const Service& service, pid_t) {
    BOOST_TEST(service.control().stop().pid != 0);
    std::error_code error;
    const auto status = service.control().status();
    BOOST_TEST((status.state == DaemonState::stopped), "state " << static_cast<int>(status.state));
    BOOST_TEST(!scene::exists(service.pidfile()));
    service.control().stop(daemonctx::stop_policy(), error);
    BOOST_TEST((error == std::errc::no_such_process));
  });
}

BOOST_AUTO_TEST_CASE(a_reload_at_any_moment_has_a_true_outcome) {
  disturb([](const Service& service, pid_t) {
    const auto before = service.lines("reloads").size();
    std::error_code error;
    service.control().reload(std::chrono::seconds(20), error);
    if (!error) BOOST_TEST(service.lines("reloads").size() > before);
    else
      BOOST_TEST((error == std::errc::operation_canceled || error == std::errc::no_such_process),
                 error.message());
  });
}

BOOST_AUTO_TEST_CASE(a_second_upgrade_at_any_moment_is_refused_or_done) {
  disturb([](const Service& service, pid_t) {
    const auto result = Scene::run({scene::argument(3), service.pidfile()});
    const bool is_done = result.end.exited(0);
    const bool is_busy = result.err.find("another upgrade is under way") != std::string::npos;
    BOOST_TEST((is_done || is_busy), result.err);
  });
}

// The new one, which the test has adopted; 0: there is none yet.
pid_t successor_of(pid_t old) {
  for (const pid_t child : scene::children()) {
    if (child != old &&
        scene::contents("/proc/" + std::to_string(child) + "/cmdline").find("detach") != std::string::npos)
      return child;
  }
  return 0;
}

BOOST_AUTO_TEST_CASE(a_kill_of_the_new_one_at_any_moment_leaves_one_service) {
  for (const int moment : moments()) {
    BOOST_TEST_CONTEXT("moment " << moment) {
      Scene scene;
      const Service service(scene, {.probation = 300});
      const pid_t old = service.pid();
      std::string outcome;
      std::thread upgrade([&] { outcome = service.upgrade(); });
      pid_t successor = 0;
      BOOST_TEST(scene::eventually([&] { return (successor = successor_of(old)) != 0; }));
      std::this_thread::sleep_for(std::chrono::milliseconds(moment));
      ::kill(successor, SIGKILL);
      upgrade.join();
      BOOST_TEST(outcome.find("the new program") != std::string::npos, outcome);
      BOOST_TEST(service.pid() == old);
      BOOST_TEST((service.control().status().state == DaemonState::running));
      BOOST_TEST(service.upgrade() == "");
    }
  }
}

BOOST_AUTO_TEST_CASE(an_upgrade_that_cannot_work_is_refused) {
  Scene scene;
  const auto refusal = [&](const std::string& how) {
    const Service service(scene, {}, how);
    const std::string reason = service.upgrade();
    BOOST_TEST((service.control().status().state == DaemonState::running));
    return reason;
  };
  BOOST_TEST(refusal("stay") ==
             "the program that started it would take its end for the end of the service (mode foreground)");
  BOOST_TEST(refusal("root") == "it has another root directory, in which the program is not");
  BOOST_TEST(refusal("monitor").find("it does not support upgrade") != std::string::npos);
}

// A reader keeps it from marking itself ready. It must not serve on where no command finds it.
BOOST_AUTO_TEST_CASE(a_new_version_that_cannot_take_the_pidfile_ends) {
  Scene scene;
  const Service service(scene);
  const pid_t old = service.pid();
  const int file = ::open(service.pidfile().c_str(), O_RDONLY | O_CLOEXEC);
  std::thread upgrade([&] { service.upgrade(); });
  struct flock readiness {};
  readiness.l_type = F_RDLCK;
  readiness.l_start = 2;
  readiness.l_len = 1;
  BOOST_TEST(::fcntl(file, F_OFD_SETLKW, &readiness) == 0);  // waits until the old one gives the pidfile up
  const pid_t successor = successor_of(old);
  ::kill(old, SIGKILL);
  BOOST_TEST_REQUIRE(successor != 0);
  scene::await_end(successor);
  upgrade.join();
  BOOST_TEST((service.control().status().state == DaemonState::stale));
  ::close(file);
  BOOST_TEST(Scene::run(service.words()).end.exited(0));
}

// Before the probation ends the other one serves, after it the new one; never two, and never none.
BOOST_AUTO_TEST_CASE(a_kill_of_the_old_one_at_any_moment_leaves_one_service) {
  int taken_over = 0;
  disturb([&](const Service& service, pid_t old) {
    ::kill(old, SIGSTOP);
    const pid_t successor = successor_of(old);
    ::kill(old, SIGKILL);
    scene::await_end(old);
    if (successor == 0) return;
    ++taken_over;
    BOOST_TEST(scene::eventually([&] {
      const auto status = service.control().status();
      return status.state == DaemonState::running && status.pid == successor;
    }));
    BOOST_TEST(scene::pid_in(service.pidfile()) == successor);
    BOOST_TEST(service.upgrade() == "");
  });
  BOOST_TEST(taken_over > 0);
}

BOOST_AUTO_TEST_SUITE_END()
