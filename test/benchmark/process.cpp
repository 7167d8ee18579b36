// SPDX-License-Identifier: BSL-1.0
#include "process.hpp"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

namespace bench {
namespace {

volatile sig_atomic_t interrupted = 0;
volatile sig_atomic_t overdue = 0;

// Sets the alarm again: a signal may come after the check of the flag and before the wait.
void handle_signal(int number) {
  if (number == SIGALRM) overdue = 1;
  else interrupted = 1;
  ::alarm(1);
}

struct State {
  pid_t pid = 0;
  char state = '?';
  pid_t parent = 0;
};

// Reads on after the last ')': the process name, in parentheses, may contain anything.
State state_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  State result;
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return result;
  std::istringstream rest(line.substr(name_end + 1));
  rest >> result.state >> result.parent;
  result.pid = std::stoi(pid);
  return result;
}

// Waits until the process is in one of the states.
char await(pid_t pid, std::string_view states) {
  for (;;) {
    const char state = state_of(std::to_string(pid)).state;
    if (states.find(state) != std::string_view::npos) return state;
    check_interruption();
    ::sched_yield();
  }
}

// Returns as soon as the child has ended, and does not reap it.
void await_end(pid_t pid, int pidfd) {
  pollfd ended{pidfd, POLLIN, 0};
  siginfo_t ignored{};
  while (pidfd != -1 ? ::poll(&ended, 1, -1) != 1
                     : ::waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOWAIT) != 0) {
    check_interruption();
  }
}

}  // namespace

void check_interruption() {
  if (interrupted != 0) throw Interrupted();
  if (overdue != 0) throw WrongBehaviour("took too long");
}

double now() {
  return static_cast<double>(std::chrono::steady_clock::now().time_since_epoch() /
                             std::chrono::nanoseconds(1));
}

Household::Household() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  struct sigaction action {};
  action.sa_handler = &handle_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) ::sigaction(number, &action, nullptr);
}

Household::~Household() { end_all_children(); }

void set_time_limit(std::chrono::seconds limit) {
  overdue = 0;
  ::alarm(static_cast<unsigned>(limit.count()));
}

Command::Command(Words words) : words_(std::make_shared<Words>(std::move(words))) {
  for (std::string& word : *words_) arguments_.push_back(word.data());
  arguments_.push_back(nullptr);
}

pid_t Command::start(int standard_error) const {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (standard_error != -1) ::posix_spawn_file_actions_adddup2(&actions, standard_error, STDERR_FILENO);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments_[0], &actions, nullptr, arguments_.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), words_->front());
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) == -1) {
    if (errno != EINTR) throw WrongBehaviour("a process was lost");
    check_interruption();
  }
  return status;
}

void await_sleep(pid_t pid) {
  if (await(pid, "SZ?") != 'S') throw WrongBehaviour("a daemon has died");
}

std::vector<pid_t> children() {
  std::vector<pid_t> result;
  DIR* directory = ::opendir("/proc");
  while (const dirent* entry = directory != nullptr ? ::readdir(directory) : nullptr) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const State found = state_of(entry->d_name);
    if (found.parent == ::getpid() && found.state != 'Z') result.push_back(found.pid);
  }
  if (directory != nullptr) ::closedir(directory);
  return result;
}

std::vector<pid_t> settled_children() {
  for (const pid_t pid : children()) await(pid, "SZ?");
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  return children();
}

void end_all_children() noexcept {
  for (;;) {
    for (const pid_t pid : children()) ::kill(pid, SIGKILL);
    if (::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD) return;
  }
}

double time_to_stop(pid_t pid) {
  await_sleep(pid);
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // -1 on an old kernel
  const double begin = now();
  ::kill(pid, SIGTERM);
  await_end(pid, pidfd);
  const double end = now();
  if (pidfd != -1) ::close(pidfd);
  wait_for(pid);
  return end - begin;
}

}  // namespace bench
