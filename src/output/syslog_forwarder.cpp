// SPDX-License-Identifier: BSL-1.0
#include "output/syslog_forwarder.hpp"

#include <syslog.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <system_error>

#include "base/graces.hpp"
#include "base/one_line.hpp"
#include "posix/retry.hpp"
#include "posix/unix_socket.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

constexpr std::chrono::milliseconds attempt_interval{50};

// The time as syslog(3) writes it, in every locale.
std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::array<char, 32> text{};
  const auto size = std::strftime(text.data(), text.size(), " %e %H:%M:%S", &local);
  return std::string(months.substr(static_cast<std::size_t>(local.tm_mon) * 3, 3)) +
         std::string(text.data(), size);
}

// The priority that a line states, as in sd-daemon(3): "<3>disk full".
std::optional<int> stated_priority(std::string_view line) noexcept {
  if (line.size() < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>') return {};
  return line[1] - '0';
}

}  // namespace

SyslogForwarder::SyslogForwarder(std::string identifier, int facility, std::string path, HandedLines lines)
    : identifier_(std::move(identifier)),
      facility_(facility),
      path_(std::move(path)),
      socket_(posix::connect_to(path_, SOCK_DGRAM)),
      worker_{LineReader::pipe(std::move(lines)), LOG_INFO},
      monitor_{LineReader::memory(), LOG_ERR} {  // the monitor's lines are about crashes
  if (!socket_) throw std::system_error(posix::last_error());
}

void SyslogForwarder::leave_to_worker() noexcept {
  socket_.reset();
  monitor_.lines.close();
  worker_.lines.leave_to_writer();
}

void SyslogForwarder::append_descriptors(std::vector<int>& to) const {
  for (const int fd : {socket_.get(), worker_.lines.reader(), worker_end(), monitor_end()}) to.push_back(fd);
}

void SyslogForwarder::append_events(std::vector<pollfd>& to) const {
  if (!is_blocked()) to.push_back({worker_.lines.reader(), POLLIN, 0});
  else if (is_full_) to.push_back({socket_.get(), POLLOUT, 0});
}

Clock::time_point SyslogForwarder::next_attempt() const noexcept {
  return is_blocked() ? next_attempt_ : Clock::time_point::max();
}

void SyslogForwarder::pump(pid_t worker) {
  constexpr auto no_limit = Clock::time_point::max();
  if (deliver(no_limit) && pass(worker_, worker)) pass(monitor_, posix::getpid());
}

void SyslogForwarder::finish(pid_t worker, Clock::time_point limit) {
  while (!deliver(limit)) await_attempt(limit);
  drain(worker_, worker, limit);
  drain(monitor_, posix::getpid(), limit);
}

// Returns false if a record cannot be sent now.
bool SyslogForwarder::pass(Source& source, pid_t author) {
  source.lines.read_more();
  while (take(source, author, false)) {
    if (!deliver(Clock::time_point::max())) return false;
  }
  return true;
}

// Sends only the lines that are there now: the worker's children may go on printing.
void SyslogForwarder::drain(Source& source, pid_t author, Clock::time_point limit) {
  const auto pass_on = [&](bool also_rest) {
    while (take(source, author, also_rest)) {
      while (!deliver(limit)) await_attempt(limit);
    }
  };
  pass_on(false);
  for (std::size_t left = source.lines.waiting(); left > 0;) {
    const std::size_t size = source.lines.read_more();
    left = size == 0 ? 0 : left - std::min(left, size);
    pass_on(false);
  }
  pass_on(true);
}

// Returns false if there is no line. Skips empty lines, which are none for syslog.
bool SyslogForwarder::take(Source& source, pid_t author, bool also_rest) {
  while (auto piece = source.lines.next(also_rest)) {
    const auto stated = piece->begins_line ? stated_priority(piece->text) : std::nullopt;
    if (piece->begins_line) source.priority = stated.value_or(source.usual_priority);
    if (stated) piece->text.remove_prefix(3);
    if (piece->text.empty()) continue;
    pending_ = record(source.priority, author, piece->text);
    return true;
  }
  return false;
}

std::string SyslogForwarder::record(int priority, pid_t author, std::string_view text) const {
  std::string result = '<' + std::to_string(facility_ | priority) + '>' + time_stamp() + ' ' + identifier_;
  if (author != 0) result += '[' + std::to_string(author) + ']';
  result += ": ";
  std::string line = one_line(std::string(text));  // many syslog services end a record at a NUL
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\t') line[at] = '\t';
  }
  return result + line;
}

// Returns false if the record must be tried again, and true if nothing is pending any more.
bool SyslogForwarder::deliver(Clock::time_point limit) {
  if (!is_blocked()) return true;
  if (const int error = send_pending()) {
    const auto now = Clock::now();
    give_up_at_ = std::min(give_up_at_, now + graces::syslog);
    is_full_ = error == EAGAIN;
    next_attempt_ = now + attempt_interval;
    if (now < std::min(give_up_at_, limit)) return false;
    ++lost_;
    socket_.reset();  // this service may hang, and another be there by now
  } else {
    give_up_at_ = Clock::time_point::max();
  }
  pending_.clear();
  return true;
}

int SyslogForwarder::send_pending() {
  if (lost_ > 0) {
    const std::string loss = std::to_string(lost_) + (lost_ == 1 ? " line was lost" : " lines were lost");
    if (const int error = send(record(LOG_WARNING, posix::getpid(), loss))) return error;
    lost_ = 0;
  }
  return send(pending_);
}

int SyslogForwarder::send(const std::string& record) noexcept {
  const auto attempt = [&] {
    return posix::error_of(posix::retry([&] {
      return posix::send(socket_.get(), record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }));
  };
  const int error = attempt();
  if (error == 0 || error == EAGAIN || error == ENOBUFS) return error;
  // The syslog service may have been restarted: connect again.
  socket_ = posix::connect_to(path_, SOCK_DGRAM);
  return socket_ ? attempt() : errno;
}

void SyslogForwarder::await_attempt(Clock::time_point limit) const {
  std::vector<pollfd> events;
  append_events(events);
  posix::poll(events.data(), events.size(), posix::poll_timeout(std::min(limit, next_attempt_)));
}

}  // namespace daemonctx
