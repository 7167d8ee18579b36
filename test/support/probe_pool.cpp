// SPDX-License-Identifier: BSL-1.0
#include "probe_pool.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/filesystem/operations.hpp>
#include <stdexcept>

namespace scene {
namespace {

using Clock = std::chrono::steady_clock;

struct Started {
  std::size_t number = 0;
  pid_t pid = 0;
  int pidfd = -1;
  int out = -1;
  Clock::time_point begin = Clock::now();
};

[[noreturn]] void exec_job(const Job& job, int out) {
  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int err = ::open(job.error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  begin_afresh();
  if (job.surroundings) job.surroundings();
  std::vector<char*> words;
  for (const std::string& word : job.command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(words[0], words.data());
  ::_exit(127);
}

Started start(const Job& job, std::size_t number) {
  std::array<int, 2> out{};
  if (::pipe2(out.data(), O_CLOEXEC) == -1) throw std::runtime_error("pipe2");
  const pid_t pid = ::fork();
  if (pid == -1) throw std::runtime_error("fork");
  if (pid == 0) exec_job(job, out[1]);
  ::setpgid(pid, pid);  // both processes call it: either may be first
  ::close(out[1]);
  return {number, pid, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)), out[0]};
}

std::string first_line(const std::string& file) {
  const std::string text = contents(file);
  return text.substr(0, text.find('\n'));
}

// The kernel function in which each thread sleeps.
std::string threads_of(pid_t pid) {
  namespace fs = boost::filesystem;
  std::string text;
  boost::system::error_code gone;
  for (fs::directory_iterator at("/proc/" + std::to_string(pid) + "/task", gone), end; !gone && at != end;
       at.increment(gone)) {
    text += ' ' + first_line((at->path() / "wchan").string());
  }
  return text;
}

// Kills the job's whole process group: forked children may hold its standard output.
void stop_hung(const Started& one, Outcome& outcome) {
  siginfo_t ended{};
  const bool is_gone =
      ::waitid(P_PID, static_cast<id_t>(one.pid), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      ended.si_pid == one.pid;
  outcome.hang = is_gone ? "a forked child outlives it" : "threads:" + threads_of(one.pid);
  ::kill(-one.pid, SIGKILL);
}

void finish(Started& one, Outcome& outcome, const Job& job) {
  ::waitpid(one.pid, &outcome.end.raw, 0);
  outcome.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - one.begin);
  outcome.err = contents(job.error_file);
  ::close(one.pidfd);
  ::close(one.out);
}

// Reads the job's output and enforces its limit. True if the job has ended.
bool poll_job(Started& one, Outcome& outcome, const Job& job) {
  std::array<pollfd, 2> events{{{one.pidfd, POLLIN, 0}, {one.out, POLLIN, 0}}};
  ::poll(events.data(), events.size(), 0);
  std::array<char, 4096> buffer{};
  const ssize_t size = events[1].revents == 0 ? -1 : ::read(one.out, buffer.data(), buffer.size());
  if (size > 0) outcome.out.append(buffer.data(), static_cast<std::size_t>(size));
  if (outcome.hang.empty() && Clock::now() > one.begin + job.limit) stop_hung(one, outcome);
  return events[0].revents != 0 && size == 0;
}

// Waits for an event, at most 20 ms: the limits of the jobs have no event of their own.
void await_any(const std::vector<Started>& running) {
  std::vector<pollfd> events;
  for (const Started& one : running) {
    siginfo_t ended{};
    const bool is_gone =
        ::waitid(P_PID, static_cast<id_t>(one.pid), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid != 0;
    events.push_back({is_gone ? one.out : one.pidfd, POLLIN, 0});
    if (!is_gone) events.push_back({one.out, POLLIN, 0});
  }
  ::poll(events.data(), events.size(), 20);
}

}  // namespace

std::vector<Outcome> run_at_once(const std::vector<Job>& jobs, std::size_t at_once) {
  std::vector<Outcome> outcomes(jobs.size());
  std::vector<Started> running;
  std::size_t next = 0;
  while (next < jobs.size() || !running.empty()) {
    for (; running.size() < at_once && next < jobs.size(); ++next) running.push_back(start(jobs[next], next));
    await_any(running);
    std::erase_if(running, [&](Started& one) {
      if (!poll_job(one, outcomes[one.number], jobs[one.number])) return false;
      finish(one, outcomes[one.number], jobs[one.number]);
      return true;
    });
  }
  return outcomes;
}

}  // namespace scene
