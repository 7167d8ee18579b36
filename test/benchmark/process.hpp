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

/// Something measured behaved wrongly: a daemon lost, two at once, a false success.
struct WrongBehaviour : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The benchmark itself was told to end.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

/// While it lasts, whatever is started here stays a descendant: daemons become children of this process when
/// their callers end. At its end none of them is left.
class Household {
 public:
  Household();
  ~Household();
  Household(const Household&) = delete;
  Household& operator=(const Household&) = delete;
};

/// From now on a wait that lasts longer than this throws `WrongBehaviour`.
void set_time_limit(std::chrono::seconds limit);

/// Throws if the time is up, or the benchmark was told to end.
void check_interruption();

/// A command line, laid out so that starting it costs nothing but the start. Copies share the words.
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

/// Waits until a process sleeps, so that it has done all that it had to do.
void await_sleep(pid_t pid);

/// The living processes whose parent is this one.
std::vector<pid_t> children();

/// The same, once each of them sleeps or has ended; what has ended is collected.
std::vector<pid_t> settled_children();

/// Kills every child and grandchild, by its number, and waits for them.
void end_all_children() noexcept;

/// The time from SIGTERM to the end of a child.
double time_to_stop(pid_t pid);

}  // namespace bench
