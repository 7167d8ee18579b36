// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tracer.hpp"

namespace faults {

/// The longest that a command may take. The library's graces are a twentieth here, and the subject's own
/// timeouts are at most four seconds.
inline constexpr std::chrono::seconds hang_limit{12};

/// How a command ended.
struct Result {
  pid_t pid = 0;
  bool hangs = false;
  int status = -1;  ///< as for waitpid(2)
  std::string output;

  bool exited(int code) const;
};

std::string text_of(const Result& result);

/// A process id namespace with an empty /run, in which this process is number 1. The subject runs in it, and
/// a bystander in the same process group that notes every signal in the journal.
class Sandbox {
 public:
  /// \param words the subject's options, separated by commas: "log,monitor".
  Sandbox(std::string subject, std::string words);
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  Tracer& tracer() { return tracer_; }
  bool has(const std::string& word) const;

  /// Runs the subject's action to its end. `name` is the name of its process.
  Result run(const std::string& name, const std::string& action);

  /// As `run`, but does not wait for the end.
  Result begin(const std::string& name, const std::string& action);
  void finish(Result& result);

  /// The lines of the journal, "TEXT PID".
  std::vector<std::string> journal() const;
  std::vector<std::string> told() const;     ///< the journal with the names of its processes, and the logs
  int count(const std::string& text) const;  ///< lines that begin with `text`
  std::vector<pid_t> authors(const std::string& text) const;  ///< of these lines

  /// Waits for the next line that begins with `text`, after `known` of them.
  bool await(const std::string& text, int known, std::chrono::milliseconds limit = hang_limit);

  /// Waits until the last process that noted `text` is one that lives, and not the process `other`.
  bool await_living(const std::string& text, std::chrono::milliseconds limit, const std::string& other);

  /// The processes of the sandbox, without this one and the bystander.
  std::vector<pid_t> processes() const;
  bool lives(pid_t pid) const;

  /// What these processes have open, sorted: "pipe:", "/run/subject/log".
  std::vector<std::string> descriptors() const;

  /// Those that a process has open, sorted: "socket:[INODE]".
  std::vector<std::string> sockets_of(pid_t pid) const;

  /// How many messages with `text` syslog was sent.
  int count_syslog(const std::string& text);

  bool await_no_process(std::chrono::milliseconds limit);

  /// What a signal to this process or to the bystander would break; empty: none came.
  std::string signals_to_others();

  /// Starts later commands without NOTIFY_SOCKET.
  void forget_manager();

  std::optional<int> end_of(pid_t pid) const { return tracer_.end_of(pid); }

 private:
  void mount_run();
  void mount_dev();
  void start_bystander();
  void read_sockets();

  std::string subject_;
  std::string words_;
  std::vector<std::string> environment_;
  Tracer tracer_;
  pid_t bystander_ = 0;
  int manager_ = -1;
  int syslog_ = -1;
  std::vector<std::string> syslog_messages_;
  int commands_ = 0;
};

std::vector<std::string> entries_of(const std::string& directory);
std::string link_at(const std::string& path);  ///< empty: there is none
bool exists(const std::string& path);
std::string contents(const std::string& path);
void write_file(const std::string& path, const std::string& text);

}  // namespace faults
