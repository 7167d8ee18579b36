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

/// The only time limit: a test fails if an event that it waits for has not come by then.
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

/// A program that runs. Its outputs are pipes.
class Running {
 public:
  Running(pid_t pid, int out, int err) : pid_(pid), out_(out), err_(err) {}
  Running(Running&& other) noexcept;
  Running& operator=(Running&&) = delete;
  ~Running();

  pid_t pid() const { return pid_; }

  /// Reads both outputs until no process holds them any more, and waits for the program.
  Result finish();

 private:
  pid_t pid_;
  int out_;
  int err_;
};

using Words = std::vector<std::string>;
using Facts = std::map<std::string, std::string>;

/// A folder, a channel for reports, and every process that the test started. The destructor removes the
/// folder and kills the processes, also if the test fails. While a scene exists, daemons become children of
/// the test process, so that it can wait for them.
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

  /// Runs a program on a terminal of its own. `out` is the terminal's output, with plain line ends.
  static Result run_on_terminal(const Words& command);

  /// Like `start` and `run`, for the probe, which reports to this scene.
  Running start_probe(Words words, const std::function<void()>& surroundings = {}) const;
  Result run_probe(Words words, const std::function<void()>& surroundings = {}) const;

  /// The next line that any probe reported. \throws std::runtime_error after `patience`.
  std::string next();

  /// The next line must be the given one.
  void expect(const std::string& line);

  /// The next report of the probe's action "facts".
  Facts facts();

  /// True if a line has come that the test has not read yet.
  bool has_line();

 private:
  boost::filesystem::path folder_;
  int channel_ = -1;
  std::string unread_;
};

/// Call it before exec in a process that a test forks itself. It resets what the test may have inherited:
/// ignored signals, open descriptors, variables of a service manager. So a program under test begins like one
/// that a user starts.
void begin_afresh();

/// Waits for the end of a child or adopted daemon. \throws std::runtime_error after `patience`.
End await_end(pid_t pid);

/// Waits until `condition` holds, at most `patience`. Use it only for a condition that has no event of its
/// own.
bool eventually(const std::function<bool()>& condition);

/// The pid in a pidfile; 0 if there is none.
pid_t pid_in(const std::string& file);

std::string contents(const std::string& file);
void write_file(const std::string& file, const std::string& text);
/// Copies the mode, too. On some kernels Boost's copy_file fails between two file systems, as from a disk to
/// a tmpfs.
void copy_file(const std::string& from, const std::string& to);
bool exists(const std::string& file);

/// Switches LeakSanitizer off; pass this function as `surroundings`. LeakSanitizer traces from a process of
/// its own, and needs /proc and the main thread. Without them it fails.
void forgo_leak_check();

/// For a process with a mount namespace of its own: a new mount on /proc does not spread to other namespaces.
/// In a chroot the root directory need not be a mount point, but /proc is.
bool keep_proc_mounts_private();

/// The processes whose parent is this one, zombies included.
std::vector<pid_t> children();

/// Whether the kernel tells how a process ended that is no child (PIDFD_INFO_EXIT, Linux 6.15).
bool kernel_tells_ends();

/// How many rounds a test that provokes a race should do: `by_default`, or more if the environment variable
/// DAEMONCTX_ROUNDS asks for more, as in test/run --ci. It never lowers the number.
int rounds(int by_default);

/// The probe's path, from the test's command line.
std::string probe();
/// The n-th argument after "--" on the test's command line.
std::string argument(int n);

}  // namespace scene
