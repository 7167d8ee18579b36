// SPDX-License-Identifier: BSL-1.0
#include "tracer.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "sandbox_paths.hpp"

namespace faults {
namespace {

constexpr std::chrono::milliseconds pause_length{30};

void require(bool is_good, const char* what) {
  if (!is_good) throw std::system_error(errno, std::generic_category(), what);
}

sigset_t child_signal() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  return set;
}

// Stops every call but those that can't fail and that would only cost time.
void install_filter() {
  constexpr std::array<unsigned, 5> untouched = {SYS_futex, SYS_rt_sigreturn, SYS_exit_group, SYS_exit,
                                                 SYS_restart_syscall};
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned call : untouched) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1) ::_exit(98);
}

[[noreturn]] void become(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                         int out) {
  std::vector<char*> words;
  std::vector<char*> variables;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  for (const auto& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  words.push_back(nullptr);
  variables.push_back(nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  ::close(null);
  ::close(out);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  install_filter();
  ::execve(words[0], words.data(), variables.data());
  ::_exit(97);
}

pid_t process_of(pid_t thread) {
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Tgid:", 0) == 0) return std::stoi(line.substr(5));
  }
  return thread;
}

bool is_thread(pid_t pid) { return process_of(pid) != pid; }

user_regs_struct registers_of(pid_t pid) {
  user_regs_struct registers{};
  ::ptrace(PTRACE_GETREGS, pid, nullptr, &registers);
  return registers;
}

std::string file_of(pid_t pid, unsigned long long fd) {
  std::array<char, 64> name{};
  const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  if (::readlink(link.c_str(), name.data(), name.size() - 1) == -1) return {};
  return name.data();
}

int target_of(pid_t pid, long call, const user_regs_struct& registers) {
  constexpr std::array<long, 6> transfers = {SYS_read,    SYS_write,    SYS_readv,
                                             SYS_pread64, SYS_pwrite64, SYS_writev};
  if (call == SYS_fcntl) return static_cast<int>(registers.rsi);
  if (std::find(transfers.begin(), transfers.end(), call) == transfers.end()) return 0;
  const std::string file = file_of(pid, registers.rdi);
  if (file.rfind("pipe:", 0) == 0) return static_cast<int>(Target::pipe);
  return static_cast<int>(file.rfind('/', 0) == 0 ? Target::file : Target::other);
}

// The process may have been killed meanwhile.
void go_on(pid_t pid, int signal = 0) { ::ptrace(PTRACE_CONT, pid, nullptr, static_cast<long>(signal)); }

void skip_call(pid_t pid, user_regs_struct registers, long result) {
  registers.orig_rax = static_cast<unsigned long long>(-1);
  registers.rax = static_cast<unsigned long long>(result);
  ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
  go_on(pid);
}

}  // namespace

Tracer::Tracer() {
  const sigset_t set = child_signal();
  require(::sigprocmask(SIG_BLOCK, &set, nullptr) == 0, "sigprocmask");
  require(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "prctl");
}

pid_t Tracer::start(const std::string& name, const std::vector<std::string>& command,
                    const std::vector<std::string>& environment, int out) {
  std::array<int, 2> gate{};
  require(::pipe2(gate.data(), O_CLOEXEC) == 0, "pipe2");
  const pid_t pid = ::fork();
  require(pid != -1, "fork");
  if (pid == 0) {
    char byte = 0;
    if (::read(gate[0], &byte, 1) != 1) ::_exit(96);
    become(command, environment, out);
  }
  const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  require(::ptrace(PTRACE_SEIZE, pid, nullptr, options) == 0, "PTRACE_SEIZE");
  processes_[pid].name = names_[pid] = name;
  require(::write(gate[1], "", 1) == 1, "write");
  ::close(gate[0]);
  ::close(gate[1]);
  return pid;
}

void Tracer::begin(std::optional<Point> point) {
  point_ = std::move(point);
  counts_ = true;
  for (auto& [pid, process] : processes_) process.calls.clear();
}

void Tracer::end() {
  point_.reset();
  counts_ = false;
}

std::optional<int> Tracer::end_of(pid_t pid) const {
  const auto found = ended_.find(pid);
  return found == ended_.end() ? std::optional<int>() : found->second;
}

std::string Tracer::name_of(pid_t pid) const {
  const auto found = names_.find(pid);
  return found == names_.end() ? "" : found->second;
}

bool Tracer::has_seen(const std::string& name) const {
  return std::any_of(names_.begin(), names_.end(), [&](const auto& each) { return each.second == name; });
}

bool Tracer::run_until(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  const sigset_t set = child_signal();
  for (;;) {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, __WALL | WNOHANG)) > 0;) handle(pid, status);
    resume_paused();
    if (condition()) return true;
    if (Clock::now() >= deadline) return false;
    const timespec slice = {0, 2'000'000};  // a condition may have no event of its own
    ::sigtimedwait(&set, nullptr, &slice);
  }
}

void Tracer::handle(pid_t pid, int status) {
  if (!WIFSTOPPED(status)) {
    ended_[pid] = status;
    processes_.erase(pid);
    return;
  }
  const int event = status >> 16;
  switch (event) {
    case PTRACE_EVENT_SECCOMP:
      return handle_call(pid);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      return adopt(pid, event);
    case PTRACE_EVENT_EXEC:
      processes_[pid].is_counted = false;
      return go_on(pid);
    case PTRACE_EVENT_STOP:
      if (processes_.count(pid) == 0) {
        early_[pid] = status;
        return;
      }
      return handle_stop(pid, WSTOPSIG(status));
    default:
      break;
  }
  if (WSTOPSIG(status) == (SIGTRAP | 0x80)) return handle_exit_of_call(pid);
  go_on(pid, WSTOPSIG(status));
}

// A process that a signal has stopped stays so until SIGCONT.
void Tracer::handle_stop(pid_t pid, int signal) {
  if (signal == SIGTRAP) return go_on(pid);
  ::ptrace(PTRACE_LISTEN, pid, nullptr, nullptr);
}

void Tracer::resume_paused() {
  for (auto each = paused_.begin(); each != paused_.end();) {
    if (Clock::now() < each->second) {
      ++each;
      continue;
    }
    ::kill(each->first, SIGCONT);
    each = paused_.erase(each);
  }
}

void Tracer::adopt(pid_t parent, int event) {
  unsigned long child = 0;
  ::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &child);
  const auto pid = static_cast<pid_t>(child);
  Process& from = processes_[parent];
  const bool threads = event == PTRACE_EVENT_CLONE && is_thread(pid);
  Process made;
  made.name = from.name + (threads ? ".t" : ".") + std::to_string(++from.children);
  made.is_counted = from.is_counted;
  names_[pid] = made.name;
  processes_[pid] = made;
  if (early_.erase(pid) != 0) handle_stop(pid, SIGTRAP);
  go_on(parent);
}

bool Tracer::is_due(const Counted& counted, int n) const {
  if (!point_ || counted.process != point_->process) return false;
  if (counted.call != point_->call || counted.target != point_->target) return false;
  return n == point_->n || (n > point_->n && point_->fault.for_ever);
}

void Tracer::handle_call(pid_t pid) {
  Process& process = processes_[pid];
  const user_regs_struct registers = registers_of(pid);
  const auto call = static_cast<long>(registers.orig_rax);
  if (call == marker) {
    process.is_counted = true;
    return skip_call(pid, registers, 0);
  }
  const bool is_journal = call == SYS_write && registers.rdi == journal_fd;
  if (!counts_ || !process.is_counted || is_journal) return go_on(pid);
  counted_.push_back({process.name, call, target_of(pid, call, registers)});
  const int n = ++process.calls[{call, counted_.back().target}];
  if (!is_due(counted_.back(), n)) return go_on(pid);
  hit_call_ = call;
  before_fault_();
  inject(pid, process);
}

void Tracer::inject(pid_t pid, Process& process) {
  user_regs_struct registers = registers_of(pid);
  switch (point_->fault.kind) {
    case Kind::error:
      if (!fails_afterwards(hit_call_)) return skip_call(pid, registers, -point_->fault.error);
      process.error_afterwards = point_->fault.error;
      ::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
      return;
    case Kind::short_one:
      shorten(pid, registers);
      return go_on(pid);
    case Kind::kill:
      ::kill(pid, SIGKILL);
      return;
    case Kind::terminate:
      ::kill(pid, SIGTERM);
      return go_on(pid);
    case Kind::pause:
      ::kill(pid, SIGSTOP);
      paused_[process_of(pid)] = Clock::now() + pause_length;  // the thread may end meanwhile
      return go_on(pid);
  }
}

// The third argument is the number of bytes, or of buffers.
void Tracer::shorten(pid_t pid, user_regs_struct& registers) {
  registers.rdx = std::min(registers.rdx, 1ULL);
  ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
}

void Tracer::handle_exit_of_call(pid_t pid) {
  user_regs_struct registers = registers_of(pid);
  registers.rax = static_cast<unsigned long long>(-processes_[pid].error_afterwards);
  ::ptrace(PTRACE_SETREGS, pid, nullptr, &registers);
  go_on(pid);
}

}  // namespace faults
