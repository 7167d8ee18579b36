// SPDX-License-Identifier: BSL-1.0
#include "auditor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <sstream>

#include "sandbox_paths.hpp"

namespace faults {
namespace {

using std::chrono::seconds;

constexpr seconds settling{3};
constexpr uid_t nobody = 65534;

// "USER GROUP MODE"
std::string attributes_of(const char* path) {
  struct stat found {};
  if (::lstat(path, &found) == -1) return {};
  std::ostringstream text;
  text << found.st_uid << ' ' << found.st_gid << ' ' << std::oct << (found.st_mode & 07777);
  return text.str();
}

// A write that failed may have lost the end of the line before.
std::ptrdiff_t lines_in(const char* path, const std::string& wanted) {
  std::istringstream text(contents(path));
  std::ptrdiff_t found = 0;
  for (std::string line; std::getline(text, line);)
    found +=
        line.size() >= wanted.size() && line.compare(line.size() - wanted.size(), wanted.size(), wanted) == 0;
  return found;
}

bool accepts(const char* path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  const bool connects = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connects;
}

}  // namespace

Auditor::Auditor(Sandbox& sandbox, std::optional<Point> point, std::vector<std::string> descriptors)
    : sandbox_(sandbox), point_(std::move(point)), descriptors_(std::move(descriptors)) {
  if (const pid_t service = serving()) sockets_ = sandbox_.sockets_of(service);
  sandbox_.tracer().before_fault([this] { pidfile_at_fault_ = contents(pidfile); });
}

void Auditor::expect(bool holds, const std::string& promise) {
  if (!holds) broken_.push_back(promise);
}

// The monitor is the parent of what serves.
bool Auditor::killed_worker() const {
  const auto services = sandbox_.authors("serves");
  if (!hit(Kind::kill) || !sandbox_.has("monitor") || services.empty()) return false;
  const std::string worker = sandbox_.tracer().name_of(services.back());
  const std::string monitor = worker.substr(0, worker.rfind('.') + 1);
  return point_->process.rfind(monitor, 0) == 0;
}

bool Auditor::writes() const {
  const long call = sandbox_.tracer().hit_call();
  return call == SYS_write || call == SYS_writev;
}

bool Auditor::hit_writing(const Result& result) const {
  return point_ && point_->process == sandbox_.tracer().name_of(result.pid) && writes();
}

bool Auditor::hit_command(const Result& result) const {
  return ended_by_fault() && point_->process == sandbox_.tracer().name_of(result.pid);
}

void Auditor::expect_one_line(const Result& result, const std::string& command) {
  expect(!result.hangs, command + " hangs");
  if (result.hangs || hit_command(result) || hit_writing(result)) return;
  const auto ends = std::count(result.output.begin(), result.output.end(), '\n');
  expect(WIFEXITED(result.status) && ends == 1 && result.output.back() == '\n' && result.output.size() > 10,
         command + " fails without one clear line: " + text_of(result));
}

// A file that can't be removed is emptied, or replaced by the next start. No error of a call that was only
// interrupted is an excuse.
void Auditor::expect_nothing_left(const std::string& when, bool has_failed) {
  if (!sandbox_.await_no_process(settling)) {
    std::string names;
    for (const pid_t pid : sandbox_.processes()) names += ' ' + sandbox_.tracer().name_of(pid);
    expect(false, when + " a process is left:" + names);
  }
  if (hit(Kind::kill)) return;
  expect(contents(pidfile).empty(), when + " a pidfile is left with " + contents(pidfile));
  // The error that made a start fail does not come again while the start undoes what it did.
  if (may_keep_back() && (!has_failed || point_->fault.for_ever)) return;
  if (!sandbox_.has("user") && !sandbox_.has("chroot")) expect(!exists(pidfile), when + " a pidfile is left");
  expect(!exists(socket), when + " a socket file is left");
}

bool Auditor::may_keep_back() const { return hit(Kind::error) && point_->fault.error != EINTR; }

Result Auditor::ask_status() { return sandbox_.run("asks" + std::to_string(++commands_), "status"); }

void Auditor::expect_serves(const std::string& when) {
  if (killed_worker())
    expect(sandbox_.await_living("serves", settling, point_->process),
           when + " the monitor restores no service");
  const Result answer = ask_status();
  expect(answer.exited(0), when + " the service does not run: " + text_of(answer));
  const std::string pid = contents(pidfile);
  expect(sandbox_.lives(std::atoi(pid.c_str())),
         when + " the pidfile names no process of the service: " + pid);
  if (sandbox_.count("serves") == 0) return;
  const pid_t service = serving();
  expect(service != 0, when + " no process that began to serve lives");
  if (service == 0) return;
  expect_surroundings(service, when);
  expect_output_flows(service);
  expect_no_descriptor_left(when);
  if (sandbox_.has("socket")) expect(accepts(socket), "nobody listens at the service's socket");
  if (!sandbox_.has("early")) return;
  expect(sandbox_.await("number 0", 1, settling), "a held signal is lost");
}

pid_t Auditor::serving() const {
  const auto services = sandbox_.authors("serves");
  const auto last =
      std::find_if(services.rbegin(), services.rend(), [&](pid_t each) { return sandbox_.lives(each); });
  return last == services.rend() ? 0 : *last;
}

// The service is where its options say. Another start is refused.
void Auditor::expect_surroundings(pid_t service, const std::string& when) {
  const std::string proc = "/proc/" + std::to_string(service);
  const std::string root = sandbox_.has("chroot") ? jail : "/";
  expect(link_at(proc + "/root") == root && link_at(proc + "/cwd") == root,
         when + " the service has another directory");
  struct stat process {};
  const uid_t wanted = sandbox_.has("user") ? nobody : 0;
  expect(::stat(proc.c_str(), &process) == 0 && process.st_uid == wanted,
         when + " the service is another user");
  expect(::getsid(service) > 1, when + " the service has no session of its own");
  ::unlink(configuration);
  const Result second = sandbox_.run("second" + std::to_string(++commands_), "start");
  expect(second.exited(1) && second.output.find("lready running") != std::string::npos,
         when + " a second start is not refused: " + text_of(second));
}

// A pause, an interruption and a short transfer are no errors. But a standard stream takes an interruption of
// its write for one.
bool Auditor::is_harmless() const {
  return !point_ || hit(Kind::pause) || hit(Kind::short_one) ||
         (hit(Kind::error) && point_->fault.error == EINTR);
}

void Auditor::expect_success_if_harmless(const Result& result, const std::string& command) {
  if (is_harmless() && !hit_writing(result))
    expect(result.exited(0), command + " fails without an error: " + text_of(result));
}

void Auditor::start(const Result& result) {
  expect_success_if_harmless(result, "the start");
  if (result.exited(0)) {
    if (sandbox_.has("notified"))
      expect(sandbox_.count("begins") != 0, "a start succeeds, but nothing has begun");
    if (may_have_ended()) return;
    expect(sandbox_.await("serves", 0, settling), "a start succeeds, but nothing serves");
    return expect_serves("after a start");
  }
  expect_one_line(result, "the start");
  if (hit_command(result) && ask_status().exited(0))
    return;  // the caller was gone when the service was ready
  expect_nothing_left("after a failed start", true);
  if (hit(Kind::kill) || sandbox_.count("serves") != 0) return;  // it was ready before its caller failed
  if (may_keep_back() && point_->fault.for_ever) return;
  expect(!exists(log) || !contents(log).empty(), "a failed start leaves an empty log: " + text_of(result));
  expect(!exists("/run/made"), "a failed start leaves a directory: " + text_of(result));
  expect(attributes_of(kept_directory) == "0 0 755",
         "a failed start leaves a directory with another owner or mode: " + text_of(result));
}

void Auditor::stop(const Result& result) {
  expect_success_if_harmless(result, "the stop");
  if (result.exited(0)) return expect_nothing_left("after a stop");
  expect_one_line(result, "the stop");
}

void Auditor::restart(const Result& result) {
  expect_success_if_harmless(result, "the restart");
  if (result.exited(0)) {
    if (may_have_ended()) return;
    expect(sandbox_.await("serves", 1, settling), "a restart succeeds, but nothing serves");
    return expect_serves("after a restart");
  }
  Result rest = result;
  if (rest.output.find("was stopped, and now none runs\n") != std::string::npos)
    rest.output.erase(0, rest.output.find('\n') + 1);
  expect_one_line(rest, "the restart");
}

void Auditor::reload(const Result& result, int number) {
  if (number >= 0) expect_success_if_harmless(result, "the reload");
  const bool is_accepted = sandbox_.count("number " + std::to_string(number) + ' ') != 0;
  const bool is_default = sandbox_.count("number 0 ") > 1;  // to the service the file was not there
  const bool is_taken = is_accepted || (hit(Kind::error) && point_->fault.error == ENOENT && is_default);
  if (result.exited(0)) expect(is_taken, "a reload succeeds, but the configuration was not taken");
  else expect_one_line(result, "the reload");
  if (number < 0 && !is_default) expect(!result.exited(0), "a bad configuration is accepted");
  if (!may_have_ended()) expect_serves("after a reload");
}

void Auditor::reopen(const Result& result) {
  expect_success_if_harmless(result, "reopening");
  if (!result.exited(0)) expect_one_line(result, "reopening");
  else if (!ended_by_fault() && !may_keep_back()) expect(exists(log), "the log was not opened again");
  if (!may_have_ended()) expect_serves("after reopening");
}

void Auditor::respawn(const Result&) {
  if (may_have_ended()) return;
  // A monitor that can't start a worker any more gives up in the end.
  if (may_keep_back() && point_->fault.for_ever && ask_status().exited(3))
    return expect_nothing_left("after the last worker");
  expect_serves("after the end of a worker");
}

void Auditor::respawn_with(const Result& result, int number) {
  if (may_have_ended() || may_keep_back() || result.hangs) return respawn(result);
  const auto lines = sandbox_.journal();
  const auto last = std::find_if(lines.rbegin(), lines.rend(),
                                 [](const auto& line) { return line.rfind("number", 0) == 0; });
  const std::string wanted = "number " + std::to_string(number) + ' ';
  expect(last != lines.rend() && last->rfind(wanted, 0) == 0,
         "the next worker has another configuration than the one accepted");
  respawn(result);
}

void Auditor::foreground(const Result& result) {
  expect(!result.hangs, "a service in the foreground does not end");
  if (result.hangs) return;
  expect_success_if_harmless(result, "a service in the foreground");
  if (!result.exited(0)) expect_one_line(result, "a service in the foreground");
  expect_nothing_left("after a service in the foreground");
}

void Auditor::status(const Result& result) {
  expect_success_if_harmless(result, "the status");
  if (!result.exited(0)) expect_one_line(result, "the status");
  if (!ended_by_fault()) expect_serves("after a status");
}

// What a persistent fault has kept back may be lost. A new line must come through.
void Auditor::expect_output_flows(pid_t service) {
  if (!sandbox_.has("log") && !sandbox_.has("syslog")) return;
  const int known = sandbox_.count("printed");
  const auto lines = [&] {
    return sandbox_.count_syslog("a line") + lines_in(log, "a line") + lines_in(rotated_log, "a line");
  };
  const auto before = lines();
  ::kill(service, SIGUSR2);
  expect(sandbox_.await("printed", known, settling), "the service does not answer SIGUSR2");
  // The program's own print has failed, and a stream that has failed prints nothing until the next reload.
  const bool has_lost_stream = point_ && point_->process == sandbox_.tracer().name_of(service) && writes();
  const auto flows = [&] { return has_lost_stream || lines() > before; };
  expect(sandbox_.tracer().run_until(flows, settling), "no line reaches the log any more");
}

void Auditor::expect_no_descriptor_left(const std::string& when) {
  if (!point_) {
    settle();
    descriptors_ = sandbox_.descriptors();
    return;
  }
  std::vector<std::string> left;
  const auto none = [&] {
    const auto open = sandbox_.descriptors();
    left.clear();
    std::set_difference(open.begin(), open.end(), descriptors_.begin(), descriptors_.end(),
                        std::back_inserter(left));
    // The next worker has what a reload has accepted.
    if (killed_worker())
      left.erase(std::remove(left.begin(), left.end(), "/memfd:daemonctx (deleted)"), left.end());
    return left.empty();
  };
  if (sandbox_.tracer().run_until(none, settling)) return;
  if (sandbox_.has("upgrade") && left == std::vector<std::string>{kept_by_upgrade()}) return;
  // A log that can't be told from the pidfile stays open: closing the pidfile would drop its locks.
  if (sandbox_.tracer().hit_call() == SYS_newfstatat && may_keep_back() && left.size() == 1 && left[0] == log)
    return;
  std::string text = when + " a descriptor is left open:";
  for (const std::string& each : left) text += ' ' + each;
  expect(false, text);
}

void Auditor::at_rest() {
  const std::string signalled = sandbox_.signals_to_others();
  expect(signalled.empty(), signalled);
  const auto alive = sandbox_.processes();
  int serving = 0;
  auto services = sandbox_.authors("serves");
  std::sort(services.begin(), services.end());
  services.erase(std::unique(services.begin(), services.end()), services.end());
  for (const pid_t pid : services) serving += static_cast<int>(std::count(alive.begin(), alive.end(), pid));
  expect(serving <= 1, std::to_string(serving) + " services at once");
}

// A daemon that was started half, and lost its caller or its worker, ends by itself.
void Auditor::settle() {
  constexpr std::chrono::milliseconds quiet{60};
  auto before = sandbox_.processes();
  while (sandbox_.tracer().run_until([&] { return sandbox_.processes() != before; }, quiet))
    before = sandbox_.processes();
}

void Auditor::next_life() {
  sandbox_.forget_manager();
  ::unlink(configuration);
  if (ended_by_fault()) settle();
  const Result answer = ask_status();
  if (answer.exited(0)) {
    const Result end = sandbox_.run("ends", "stop");
    // It was about to end, or has ended meanwhile with the code of a worker that was killed.
    const bool has_left = ended_by_fault() && (end.exited(7) || (end.exited(150) && hit(Kind::kill)));
    expect(end.exited(0) || has_left, "a later stop fails: " + text_of(end));
  }
  expect(sandbox_.await_no_process(settling), "a process is left at the end");
  const int served = sandbox_.count("serves");
  const Result again = sandbox_.run("again", "start");
  expect(again.exited(0), "the next start fails: " + text_of(again));
  if (!again.exited(0)) return;
  expect(sandbox_.await("serves", served, settling), "the next start does not serve");
  const Result end = sandbox_.run("last", "stop");
  expect(end.exited(0), "the stop after the next start fails: " + text_of(end));
  expect(sandbox_.await_no_process(settling), "a process is left after the last stop");
  expect(contents(pidfile).empty(), "a pidfile is left after the last stop");
}

void Auditor::cleanups() {
  const auto begun = sandbox_.authors("begins");
  const auto run = sandbox_.authors("cleanup");
  for (const pid_t pid : begun) {
    const auto times = std::count(run.begin(), run.end(), pid);
    const auto end = sandbox_.end_of(pid);
    const bool in_order = end && WIFEXITED(*end);
    const std::string name = sandbox_.tracer().name_of(pid);
    expect(times <= 1, "a cleanup ran " + std::to_string(times) + " times in " + name);
    expect(!in_order || times == 1, "no cleanup ran in " + name + ", which ended in order");
  }
}

}  // namespace faults
