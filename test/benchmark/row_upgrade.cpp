// SPDX-License-Identifier: BSL-1.0

// Clients connect without pause while their service is upgraded again and again. The figure is the wait that
// 999 of 1000 connections do not exceed, from connect(2) to the first byte of the answer. It is compared with
// that of the same clients and the same service without upgrades.

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <daemonctx/controller.hpp>
#include <thread>

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr std::size_t clients_at_once = 8;
constexpr unsigned rounds = 10;
constexpr double length_of_round = 1.5e9;
constexpr double share = 0.999;
constexpr double budget = 2;

// Negative if the connection was refused, reset, or not answered.
double wait_of_connection(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const linger at_once{1, 0};  // leaves no port behind in TIME_WAIT
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  const timeval patience{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char byte = 0;
  const double begin = now();
  const bool is_answered = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                           ::recv(fd, &byte, 1, 0) == 1;
  const double end = now();
  ::close(fd);
  return is_answered ? end - begin : -1;
}

// Connects without pause, in several threads.
class Clients {
 public:
  explicit Clients(int port) {
    sigset_t all;
    sigset_t former;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &former);  // signals are for the main thread
    for (std::size_t n = 0; n < threads_.size(); ++n) {
      threads_[n] = std::thread([this, port, n] {
        while (!done_) waits_[n].push_back(wait_of_connection(port));
      });
    }
    ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  }
  ~Clients() { finish(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void finish() {
    done_ = true;
    for (std::thread& each : threads_) {
      if (each.joinable()) each.join();
    }
  }

  // Call it after `finish`.
  std::vector<double> waits() const {
    std::vector<double> all;
    for (const auto& each : waits_) all.insert(all.end(), each.begin(), each.end());
    return all;
  }

 private:
  std::array<std::vector<double>, clients_at_once> waits_;
  std::array<std::thread, clients_at_once> threads_;
  std::atomic<bool> done_ = false;
};

// The service, with all its versions.
class Service {
 public:
  explicit Service(const Scratch& scratch) : control_(scratch.pidfile()) {
    start(Command({paths::subject_upgrade, scratch.pidfile(), scratch.path("port")}));
    port_ = std::stoi(contents(scratch.path("port")));
  }

  double measure(bool upgrades) {
    Clients clients(port_);
    for (const double end = now() + length_of_round; now() < end; check_interruption()) {
      if (upgrades) upgrade();
      else std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    clients.finish();
    const auto waits = clients.waits();
    if (quantile(waits, 0) < 0) throw WrongBehaviour("a connection was lost");
    connections_ += upgrades ? waits.size() : 0;
    return quantile(waits, share);
  }

  std::string counts() const {
    return std::to_string(upgrades_) + " upgrades, " + std::to_string(connections_) +
           " connections, none lost";
  }

 private:
  void upgrade() {
    try {
      control_.upgrade({}, std::chrono::seconds(20));
    } catch (const daemonctx::ControlError& error) {
      throw WrongBehaviour(error.what());
    }
    ++upgrades_;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }

  daemonctx::Controller control_;
  int port_ = 0;
  unsigned upgrades_ = 0;
  std::size_t connections_ = 0;
};

}  // namespace

void upgrade_rows(Table& table) {
  const std::string work = std::to_string(clients_at_once) +
                           " clients connect without pause: 99.9 % of the waits, upgrades meanwhile";
  const Scratch scratch;
  Service service(scratch);
  const auto series =
      measure_paired({{.name = "without upgrades", .measure = [&] { return service.measure(false); }},
                      {.name = names::subject, .measure = [&] { return service.measure(true); }}},
                     rounds);
  end_all_children();
  Row row = compare(work, series, names::subject, budget);
  row.limit += " without upgrades";
  row.daemonctx += ", " + duration(quantile(find(series, names::subject).values));
  row.others = service.counts();
  table.add(row);
}

}  // namespace bench
