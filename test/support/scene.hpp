// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scene {

/// The only time constant: whatever a test waits for comes, or the test fails, within this.
inline constexpr std::chrono::seconds patience{30};

/// How a process ended.
struct End {
  int raw = 0;
  bool exited(int status) const;
  bool killed_by(int signal) const;
};
std::ostream& operator<<(std::ostream& out, const End& end);

/// A program that a test started, with both outputs read to their ends.
struct Result {
  End end;
  pid_t pid = 0;
  std::string out;
  std::string err;
};

/// A program under way. Its outputs are pipes.
class Running {
 public:
  Running(pid_t pid, int out, int err) : pid_(pid), out_(out), err_(err) {}
  Running(Running&& other) noexcept;
  Running& operator=(Running&&) = delete;
  ~Running();

  pid_t pid() const { return pid_; }

  /// Reads both outputs to their ends, which come when nobody holds them any more, and waits for the program.
  Result finish();

 private:
  pid_t pid_;
  int out_;
  int err_;
};

using Words = std::vector<std::string>;
using Facts = std::map<std::string, std::string>;

/// A folder, a channel for reports, and everything that the test started: all gone at the end, also of a test
/// that failed. While it lasts, daemons become children of the test process, which can so wait for them.
class Scene {
 public:
  Scene();
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  const boost::filesystem::path& folder() const { return folder_; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Starts a program; `surroundings` runs in the new process before exec.
  static Running start(const Words& command, const std::function<void()>& surroundings = {});
  static Result run(const Words& command, const std::function<void()>& surroundings = {});

  /// The same on a terminal of its own; what it prints there is `out`, with plain line ends.
  static Result run_on_terminal(const Words& command);

  /// The same for the probe, which reports to this scene.
  Running start_probe(Words words, const std::function<void()>& surroundings = {}) const;
  Result run_probe(Words words, const std::function<void()>& surroundings = {}) const;

  /// The next line that any probe reported. \throws std::runtime_error after `patience`.
  std::string next();

  /// The next line must be the given one.
  void expect(const std::string& line);

  /// The next report of the probe's action "facts".
  Facts facts();

  /// True if a line has come that was not read yet.
  bool has_line();

 private:
  boost::filesystem::path folder_;
  int channel_ = -1;
  std::string unread_;
};

/// For a process that a test forks itself, before exec. Whoever started the test may have left anything:
/// ignored signals, open descriptors, variables of a service manager. A program under test begins like a
/// user's.
void begin_afresh();

/// Waits for the end of a child or adopted daemon. \throws std::runtime_error after `patience`.
End await_end(pid_t pid);

/// Waits until `condition` holds, for what has no event of its own.
bool eventually(const std::function<bool()>& condition);

/// The pid in a pidfile; 0 if there is none.
pid_t pid_in(const std::string& file);

std::string contents(const std::string& file);
void write_file(const std::string& file, const std::string& text);
/// With its mode. Boost's function fails between file systems of some kernels, as from a disk to a tmpfs.
void copy_file(const std::string& from, const std::string& to);
bool exists(const std::string& file);

/// For surroundings. The leak sanitizer traces from a process of its own, with the help of /proc and the main
/// thread; where it can't, it fails.
void forgo_leak_check();

/// The processes whose parent is this one, zombies included.
std::vector<pid_t> children();

/// How many rounds a test that provokes a race should do: `by_default`, or more if the environment variable
/// DAEMONCTX_ROUNDS asks for more, as in test/run --ci. It never lowers the number.
int rounds(int by_default);

/// The probe's path, from the test's command line.
std::string probe();
/// The n-th argument after "--" on the test's command line.
std::string argument(int n);

}  // namespace scene
