// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

using Words = std::vector<std::string>;

/// Nanoseconds of the steady clock.
double now();

/// A measured program behaved wrongly: a daemon lost, two at once, a false success.
struct WrongBehaviour : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A signal told the benchmark itself to end.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

/// While a household exists, every program that is started stays a descendant: daemons become children of
/// this process when their callers end. The destructor kills the ones that are left.
class Household {
 public:
  Household();
  ~Household();
  Household(const Household&) = delete;
  Household& operator=(const Household&) = delete;
};

/// From now on a wait that lasts longer than this throws `WrongBehaviour`.
void set_time_limit(std::chrono::seconds limit);

/// \throws WrongBehaviour if the time limit has passed, Interrupted if the benchmark was told to end.
void check_interruption();

/// A command line in the form that posix_spawnp(3) takes, so that `start` prepares nothing. Copies share the
/// words.
class Command {
 public:
  explicit Command(Words words);

  /// \param standard_error a descriptor for its standard error; -1: this process's.
  pid_t start(int standard_error = -1) const;

 private:
  std::shared_ptr<Words> words_;
  std::vector<char*> arguments_;
};

/// How a child ended, as from waitpid(2).
int wait_for(pid_t pid);

/// Waits until a process sleeps: then the process has done all its work.
void await_sleep(pid_t pid);

/// The living processes whose parent is this one.
std::vector<pid_t> children();

/// Waits until each child sleeps or has ended, reaps those that have ended, and returns the living ones.
std::vector<pid_t> settled_children();

/// Kills every child and grandchild, by its pid, and waits for them.
void end_all_children() noexcept;

/// The time from SIGTERM to the end of a child.
double time_to_stop(pid_t pid);

}  // namespace bench
