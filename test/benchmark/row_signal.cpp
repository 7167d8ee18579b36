// SPDX-License-Identifier: BSL-1.0

// From kill(2) to the first instruction of the user's action, on one CPU.
//
// Each contender is a process that waits for SIGUSR1, pinned to the CPU on which the sender runs. The sender
// has the policy SCHED_IDLE. So the receiver takes the CPU at once, acts, and waits again before the sender
// goes on. Every signal meets a process that sleeps, and the figure includes no other work. The action writes
// the time into shared memory. One figure is the median of a block of signals; blocks of all contenders take
// turns, and their ratios are paired.

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"
#include "signal_channel.h"

namespace bench {
namespace {

constexpr unsigned rounds = 60;
constexpr unsigned block = 500;
constexpr double patience = 2e9;

int last_cpu() {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  int cpu = CPU_SETSIZE - 1;
  while (cpu > 0 && !CPU_ISSET(cpu, &allowed)) --cpu;
  return cpu;
}

void pin(pid_t pid, int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ::sched_setaffinity(pid, sizeof one, &one);
}

// A process that acts on signals.
class Receiver {
 public:
  Receiver(std::string name, Words words, const Scratch& scratch, int cpu) : name_(std::move(name)) {
    const std::string path = scratch.path(name_);
    channel_ = channel_open(path.c_str());
    words.insert(words.begin() + (words[0] == paths::python ? 2 : 1), path);
    pid_ = Command(words).start();
    pin(pid_, cpu);
    while (channel_->ready == 0) ::usleep(1000);
    await_sleep(pid_);
  }

  Contender contender() {
    return {.name = name_, .measure = [this] { return median_of_block(); }};
  }

 private:
  double median_of_block() const {
    std::vector<double> values;
    for (unsigned i = 0; i < block; ++i) values.push_back(latency());
    return quantile(values);
  }

  double latency() const {
    const long long before = channel_->actions;
    const long long sent_at = channel_now();
    ::kill(pid_, SIGUSR1);
    while (channel_->actions == before) {
      if (static_cast<double>(channel_now() - sent_at) > patience)
        throw WrongBehaviour(name_ + " lost a signal");
      ::sched_yield();
    }
    return static_cast<double>(channel_->acted_at - sent_at);
  }

  std::string name_;
  SignalChannel* channel_ = nullptr;
  pid_t pid_ = 0;
};

// The sender is a process of its own, because a process needs privileges to leave SCHED_IDLE again.
std::vector<Round> send(const std::vector<Contender>& contenders, int cpu, int result) {
  pin(0, cpu);
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_IDLE, &none);
  std::vector<double> flat;
  for (const Round& round : run_rounds(contenders, rounds))
    flat.insert(flat.end(), round.begin(), round.end());
  const auto size = flat.size() * sizeof flat[0];
  ::_exit(::write(result, flat.data(), size) == static_cast<ssize_t>(size) ? 0 : 1);
}

// Empty if the sender failed.
std::vector<Round> collect(int from, std::size_t width) {
  std::vector<Round> result(rounds, Round(width));
  for (Round& round : result) {
    const auto size = static_cast<ssize_t>(width * sizeof round[0]);
    if (::read(from, round.data(), static_cast<std::size_t>(size)) != size) return {};
  }
  return result;
}

std::vector<Series> measure_from_idle_sender(const std::vector<Contender>& contenders, int cpu) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) throw WrongBehaviour("no pipe");
  const pid_t sender = ::fork();
  if (sender == 0) {
    try {
      send(contenders, cpu, ends[1]);
    } catch (...) {
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  const auto found = collect(ends[0], contenders.size());
  ::close(ends[0]);
  if (wait_for(sender) != 0 || found.empty()) throw WrongBehaviour("a signal was lost");
  return pair_up(contenders, found);
}

std::vector<std::pair<std::string, Words>> programs() {
  std::vector<std::pair<std::string, Words>> result = {
      {"raw handler", {paths::reference_signal, "handler"}},
      {names::subject, {paths::subject_signal}},
      {"flag with ppoll", {paths::reference_signal, "flag"}},
      {"self-pipe", {paths::reference_signal, "pipe"}},
  };
  if (!paths::peer_libdaemon_signal.empty())
    result.push_back({names::libdaemon, {paths::peer_libdaemon_signal}});
  if (!paths::peer_asio_signal.empty()) result.push_back({names::asio, {paths::peer_asio_signal}});
  if (!paths::python.empty()) result.push_back({"Python", {paths::python, paths::peer_python_signal}});
  return result;
}

}  // namespace

void signal_rows(Table& table) {
  const Scratch scratch;
  const int cpu = last_cpu();
  std::vector<Receiver> receivers;
  for (const auto& [name, words] : programs()) receivers.emplace_back(name, words, scratch, cpu);
  std::vector<Contender> contenders;
  for (Receiver& receiver : receivers) contenders.push_back(receiver.contender());
  const auto series = measure_from_idle_sender(contenders, cpu);
  end_all_children();
  table.add(compare("signal to the user's action, one CPU", series, names::subject, 1.25));
}

}  // namespace bench
