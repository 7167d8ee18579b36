// SPDX-License-Identifier: BSL-1.0
#include "point_runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace faults {
namespace {

constexpr int longest_point = 180'000;  // milliseconds; then the machine itself is at fault

// ---- A verdict as text, for the pipe between processes.

std::string write(const Verdict& verdict, bool with_calls) {
  std::ostringstream text;
  text << "hit " << verdict.hit_call << '\n';
  for (std::string line : verdict.broken) {
    for (char& each : line) {
      if (each == '\n') each = '|';
    }
    text << "broken " << line << '\n';
  }
  for (const std::string& line : verdict.told) text << "told " << line << '\n';
  for (const std::string& each : verdict.descriptors) text << "descriptor " << each << '\n';
  for (const Counted& each : verdict.counted) {
    if (with_calls) text << "call " << each.call << ' ' << each.target << ' ' << each.process << '\n';
  }
  return text.str();
}

Verdict parse(const std::string& text) {
  Verdict verdict;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "hit") {
      words >> verdict.hit_call;
    } else if (key == "broken") {
      verdict.broken.push_back(line.substr(key.size() + 1));
    } else if (key == "told") {
      verdict.told.push_back(line.substr(key.size() + 1));
    } else if (key == "descriptor") {
      verdict.descriptors.push_back(line.substr(key.size() + 1));
    } else if (key == "call") {
      Counted counted;
      words >> counted.call >> counted.target >> counted.process;
      verdict.counted.push_back(counted);
    }
  }
  return verdict;
}

// ---- Processes.

[[noreturn]] void be_process_1(const Plan& plan, const std::string& subject, const Point* point, int to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();  // a signal to the own group must not leave the namespace
  std::string text;
  try {
    const auto wanted = point != nullptr ? std::optional<Point>(*point) : std::nullopt;
    text = write(perform(*plan.operation, subject, wanted, plan.descriptors), point == nullptr);
  } catch (const std::exception& error) {
    text = std::string("broken the machine failed: ") + error.what() + '\n';
  }
  static_cast<void>(::write(to, text.data(), text.size()));
  ::_exit(0);  // the kernel ends all processes of the namespace
}

// The mounts are those of the child alone.
[[noreturn]] void make_namespaces(const Plan& plan, const std::string& subject, const Point* point, int to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) == -1) ::_exit(77);
  const pid_t child = ::fork();
  if (child == 0) be_process_1(plan, subject, point, to);
  ::close(to);
  ::waitpid(child, nullptr, 0);
  ::_exit(0);
}

// Empty: nothing more came in time.
std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    pollfd readable{fd, POLLIN, 0};
    if (::poll(&readable, 1, longest_point) != 1) return {};
    const ssize_t size = ::read(fd, part.data(), part.size());
    if (size <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
}

std::string one_line(const Verdict& verdict) {
  std::string text = verdict.hit_call == -1 ? "missed" : "reached";
  for (const std::string& each : verdict.broken) text += "; " + each;
  return text;
}

// Adds a line of results, "reached; BROKEN PROMISE; ...", to the summary.
void add(Summary& summary, std::size_t plan, const std::string& line) {
  if (line.find("reached") != std::string::npos) ++summary.reached[plan];
  if (line.find(';') != std::string::npos) ++summary.broken[plan];
}

Summary summary_of(const std::vector<Plan>& plans, const Results& results) {
  Summary summary{std::vector<long>(plans.size()), std::vector<long>(plans.size())};
  for (std::size_t i = 0; i < plans.size(); ++i) {
    for (const std::string& line : results.of(plans[i])) add(summary, i, line);
  }
  return summary;
}

// Reads the lines "PLAN POINT RESULT" of the workers, and shows what was broken.
void collect(int from, const std::vector<Plan>& plans, const Results& results, Summary& summary) {
  const std::unique_ptr<FILE, int (*)(FILE*)> lines(::fdopen(from, "r"), ::fclose);
  std::array<char, 4096> text;
  while (std::fgets(text.data(), text.size(), lines.get()) != nullptr) {
    std::istringstream words(text.data());
    std::size_t plan = 0;
    std::size_t point = 0;
    std::string found;
    words >> plan >> point;
    std::getline(words >> std::ws, found);
    results.keep(plans[plan], title_of(plans[plan], point), found);
    add(summary, plan, found);
    if (found.find(';') != std::string::npos)
      std::cout << plans[plan].operation->name << ", " << title_of(plans[plan], point) << ": " << found
                << std::endl;
  }
}

}  // namespace

long Summary::all_reached() const { return std::accumulate(reached.begin(), reached.end(), 0L); }
long Summary::all_broken() const { return std::accumulate(broken.begin(), broken.end(), 0L); }

Verdict PointRunner::perform_alone(const Plan& plan, const Point* point) const {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::system_error(errno, std::generic_category(), "pipe2");
  const pid_t child = ::fork();
  if (child == -1) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) make_namespaces(plan, subject_, point, ends[1]);
  ::close(ends[1]);
  const std::string text = read_all(ends[0]);
  ::close(ends[0]);
  if (text.empty()) ::kill(child, SIGKILL);  // the others follow
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    std::cout << "skipped: needs namespaces of its own" << std::endl;
    ::_exit(77);
  }
  if (text.empty()) return {-1, {"the machine did not come to an end"}, {}, {}, {}};
  return parse(text);
}

Plan PointRunner::rehearse(const Operation& operation) const {
  Verdict verdict = perform_alone({&operation, {}, {}}, nullptr);
  if (verdict.broken.empty()) return make_plan(operation, std::move(verdict));
  throw std::runtime_error(std::string(operation.name) + ", without a fault: " + one_line(verdict));
}

int PointRunner::show(const Plan& plan, const std::string& pattern) const {
  const std::regex wanted(pattern);
  int status = 0;
  for (std::size_t point = 0; point < plan.points.size(); ++point) {
    const std::string title = title_of(plan, point);
    if (!std::regex_search(title, wanted)) continue;
    const Verdict verdict = perform_alone(plan, &plan.points[point]);
    std::cout << title << ": " << one_line(verdict) << '\n';
    if (verdict.broken.empty()) continue;
    for (const std::string& line : verdict.told) std::cout << "  " << line << '\n';
    status = 1;
  }
  return status;
}

// A line of the results is at most PIPE_BUF bytes, and so is written in one piece.
void PointRunner::work(const std::vector<Plan>& plans, const Tasks& tasks, Share share, int to) const {
  for (std::size_t i = share.first; i < tasks.size() && Clock::now() < share.deadline; i += share.step) {
    const Task& task = tasks[i];
    const Plan& plan = plans[task.plan];
    const std::string found = one_line(perform_alone(plan, &plan.points[task.point]));
    const std::string line =
        std::to_string(task.plan) + ' ' + std::to_string(task.point) + ' ' + found.substr(0, 3000) + '\n';
    if (::write(to, line.data(), line.size()) == -1) return;
  }
}

Summary PointRunner::try_all(const std::vector<Plan>& plans, const Tasks& tasks, const Results& results,
                             int seconds) const {
  const unsigned workers = std::max(1U, std::thread::hardware_concurrency());
  const auto deadline =
      seconds == 0 ? Clock::time_point::max() : Clock::now() + std::chrono::seconds(seconds);
  Summary summary = summary_of(plans, results);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::system_error(errno, std::generic_category(), "pipe2");
  for (unsigned worker = 0; worker < workers; ++worker) {
    const pid_t child = ::fork();
    if (child == -1) throw std::system_error(errno, std::generic_category(), "fork");
    if (child != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ends[0]);
    work(plans, tasks, {worker, workers, deadline}, ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  collect(ends[0], plans, results, summary);
  while (::wait(nullptr) != -1) continue;
  return summary;
}

}  // namespace faults
