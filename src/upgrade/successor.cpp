// SPDX-License-Identifier: BSL-1.0
#include "upgrade/successor.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>
#include <system_error>

#include "base/graces.hpp"
#include "base/one_line.hpp"
#include "base/signal_name.hpp"
#include "base/timeout_text.hpp"
#include "launch/detach.hpp"
#include "posix/pidfd.hpp"
#include "posix/retry.hpp"
#include "posix/sealed_memory.hpp"
#include "posix/signals.hpp"
#include "process/fork_handlers.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

UniqueFd copy_of_stream(int fd) {
  UniqueFd copy(posix::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy) posix::throw_last_error("cannot copy a standard stream");
  return copy;
}

std::array<UniqueFd, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1)
    posix::throw_last_error("cannot create a pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::array<UniqueFd, 2> make_channel() {
  std::array<int, 2> ends{};
  if (posix::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == -1)
    posix::throw_last_error("cannot create a connection");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void keep_on_exec(int fd) noexcept { posix::fcntl(fd, F_SETFD, 0); }

// An ignored signal stays ignored across execve(2).
void reset_signals() noexcept {
  posix::reset_all_dispositions();
  sigset_t none;
  sigemptyset(&none);
  posix::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void execute(const Program& program, const std::vector<int>& kept, int output,
                          const ExecArguments& arguments, const ExecArguments& environment,
                          const StatusWriter& status) noexcept {
  const bool is_there = posix::chdir(program.directory.c_str()) == 0;
  posix::umask(program.umask);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    posix::retry([&] { return posix::dup2(output, stream); });
  std::for_each(kept.begin(), kept.end(), keep_on_exec);
  reset_signals();
  if (is_there) posix::execve(program.file.c_str(), arguments.get(), environment.get());
  const int error = errno;
  const std::string what =
      is_there ? "execute \"" + program.file : "enter the directory \"" + program.directory;
  status.send_failure(Step::start_daemon, error,
                      "cannot " + what + "\": " + std::generic_category().message(error));
  posix::_exit(EXIT_FAILURE);
}

}  // namespace

Successor::Successor(const Program& program, HandOver record, std::array<int, 2> streams)
    : status_(UniqueFd()), is_child_(record.role == HandOver::Role::worker) {
  StatusPipe status = create_status_pipe();
  std::array<UniqueFd, 2> output = make_pipe();
  std::array<UniqueFd, 2> channel;
  if (!is_child_) channel = make_channel();
  const UniqueFd out = copy_of_stream(streams[0]);
  const UniqueFd error = copy_of_stream(streams[1]);
  record.status = status.writer.fd();
  record.channel = channel[1].get();
  record.output = out.get();
  record.error = error.get();
  const UniqueFd memory = posix::sealed_memory(record.to_text());
  std::vector<int> kept = record.descriptors();
  kept.push_back(memory.get());
  std::vector<std::string> variables = program.environment;
  variables.push_back(std::string(hand_over_variable) + '=' + std::to_string(memory.get()));
  const ExecArguments arguments(program.arguments);
  const ExecArguments environment(variables);
  {
    const posix::SignalBlock blocked;
    const pid_t started = start(status.writer);
    if (started == 0) execute(program, kept, output[1].get(), arguments, environment, status.writer);
    if (started == -1) posix::throw_last_error("cannot start a process");
    process_ = pid_ != 0 ? posix::open_pidfd(pid_) : UniqueFd();
    if (!is_child_) posix::retry([&] { return posix::waitpid(started, nullptr, 0); });
  }
  status_ = std::move(status.reader);
  channel_.reset(std::move(channel[0]));
  output_.reset(std::move(output[0]));
}

// Returns what fork(2) returns: for a service in the intermediate's place.
pid_t Successor::start(const StatusWriter& status) noexcept {
  if (!is_child_) return start_by_fork(status, pid_);
  const process::OwnFork own;
  const pid_t child = posix::fork();
  pid_ = std::max(child, 0);
  return child;
}

Successor::~Successor() {
  if (!is_left_) take_down();
}

std::string Successor::await_ready(Timeout longest, int cancel) {
  const auto deadline = posix::deadline_in(longest);
  for (;;) {
    const Event event = next_event(deadline, cancel);
    if (event == Event::cancelled) return "the service was stopped meanwhile";
    if (event == Event::none) return "it was not ready within " + to_text(longest);
    if (auto found = verdict(event)) return *std::move(found);
  }
}

std::optional<std::string> Successor::is_ready_or_why_not() { return verdict(next_event(Clock::now(), -1)); }

// Empty text: it is ready.
std::optional<std::string> Successor::verdict(Event event) {
  std::optional<StatusReport> report = status_.next();
  if (report && report->kind == StatusRecord::Kind::ready) {
    status_ = StatusReader(UniqueFd());  // it closes the pipe now
    return "";
  }
  if (report)
    return report->text.empty() ? DaemonError(report->step, {report->error, std::generic_category()}).what()
                                : one_line(report->text);
  return event == Event::end ? std::optional(reason_of_end()) : std::nullopt;
}

std::string Successor::await_proof(Timeout probation, int cancel) {
  const auto deadline = posix::deadline_in(probation);
  for (;;) {
    const Event event = next_event(deadline, cancel);
    if (event == Event::cancelled) return "the service was stopped meanwhile";
    if (event == Event::end) return reason_of_end() + " within its probation";
    if (event == Event::none) return {};
  }
}

std::optional<std::string> Successor::end_in_probation() {
  if (next_event(Clock::now(), -1) != Event::end) return {};
  return reason_of_end() + " within its probation";
}

void Successor::append_events(std::vector<pollfd>& to) const {
  if (!status_.is_over()) to.push_back({status_.fd(), POLLIN, 0});
  to.push_back({output_.get(), POLLIN, 0});
  to.push_back({process_.get(), POLLIN, 0});
}

std::string Successor::let_claim() {
  const char text = static_cast<char>(ChannelMessage::claim);
  const auto deadline = posix::deadline_in(graces::claim);
  if (posix::retry([&] { return posix::send(channel_.get(), &text, 1, MSG_NOSIGNAL); }) == -1)
    return reason_of_end();
  pollfd answered{channel_.get(), POLLIN, 0};
  while (posix::retry([&] { return posix::poll(&answered, 1, posix::poll_timeout(deadline)); }) <= 0 &&
         Clock::now() < deadline)
    continue;
  const bool is_late = Clock::now() >= deadline;
  posix::shutdown(channel_.get(), SHUT_RD);  // it has answered by now, or can't any more
  char answer = 0;
  const auto receive = [&] {
    return posix::retry([&] { return posix::recv(channel_.get(), &answer, 1, 0); });
  };
  auto size = receive();
  while (size == -1 && errno != ECONNRESET && Clock::now() < deadline) {  // short of memory
    posix::poll(nullptr, 0, 1);
    size = receive();
  }
  if (size == 1 && answer == static_cast<char>(ChannelMessage::claimed)) return {};
  return is_late ? "it did not take over within " + to_text(graces::claim) : reason_of_end();
}

void Successor::send(int signal) const noexcept {
  if (process_) static_cast<void>(posix::send_signal(process_, signal));
  else if (pid_ != 0 && !has_ended_) posix::kill(pid_, signal);
}

bool Successor::await_end(Clock::time_point deadline) {
  while (!has_ended_) {
    if (next_event(deadline, -1) == Event::none && Clock::now() >= deadline) return false;
  }
  return true;
}

void Successor::take_down() noexcept {
  if (has_ended_ || pid_ == 0) return;
  send(SIGTERM);
  send(SIGCONT);
  if (!await_end(posix::deadline_in(graces::termination))) kill();
}

void Successor::kill() noexcept {
  if (has_ended_ || pid_ == 0) return;
  send(SIGKILL);
  await_end(posix::deadline_in(graces::kill));
}

// Without a pidfd the end of the channel tells the end of the process.
Successor::Event Successor::next_event(Clock::time_point deadline, int cancel) {
  if (has_ended_) return Event::end;
  for (;;) {
    std::array<pollfd, 5> events{{{status_.is_over() ? -1 : status_.fd(), POLLIN, 0},
                                  {output_.get(), POLLIN, 0},
                                  {process_.get(), POLLIN, 0},
                                  {process_ ? -1 : channel_.get(), 0, 0},
                                  {cancel, POLLIN, 0}}};
    const int count = posix::poll(events.data(), events.size(), posix::poll_timeout(deadline));
    if (count > 0 && events[1].revents != 0) read_output();
    if (count > 0 && events[4].revents != 0) return Event::cancelled;
    has_ended_ = count > 0 && (process_ ? events[2] : events[3]).revents != 0;
    if (has_ended_) return note_end();
    if (count > 0 && events[0].revents != 0) return Event::report;
    if (Clock::now() >= deadline) return Event::none;
  }
}

Successor::Event Successor::note_end() noexcept {
  int status = 0;
  if (is_child_ && posix::retry([&] { return posix::waitpid(pid_, &status, 0); }) == pid_)
    wait_status_ = status;
  return Event::end;
}

// Keeps the last line, and repeats all of it.
void Successor::read_output() {
  std::array<char, 4096> piece;
  const auto size = posix::retry([&] { return posix::read(output_.get(), piece.data(), piece.size()); });
  if (size == 0 || (size == -1 && errno != EAGAIN)) return output_.reset();
  if (size == -1) return;
  std::string_view text(piece.data(), static_cast<std::size_t>(size));
  static_cast<void>(posix::retry([&] { return posix::write(STDERR_FILENO, text.data(), text.size()); }));
  while (!text.empty()) {
    if (!printed_.empty() && printed_.back() == '\n') printed_.clear();
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    printed_.append(text.substr(0, end));
    text.remove_prefix(end);
  }
  constexpr std::size_t longest_line = 4096;
  if (printed_.size() > longest_line) printed_.erase(0, printed_.size() - longest_line);
}

// The last line that the program printed, or how it ended.
std::string Successor::reason_of_end() {
  if (output_) read_output();
  std::string text = printed_;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty()) return one_line(text);
  auto status = wait_status_;
  if (!is_child_ && process_) status = posix::wait_status_of(process_);
  if (!status) return "the new program ended";
  if (WIFSIGNALED(*status)) return "the new program was killed by " + posix::signal_name(WTERMSIG(*status));
  return "the new program exited with code " + std::to_string(WEXITSTATUS(*status));
}

}  // namespace daemonctx
