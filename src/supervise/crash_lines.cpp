// SPDX-License-Identifier: BSL-1.0
#include "supervise/crash_lines.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <system_error>

#include "base/graces.hpp"
#include "base/one_line.hpp"
#include "daemonctx/error.hpp"
#include "posix/close_fds.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signal_child.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {
namespace {

constexpr std::size_t longest_text = 256UL * 1024;

// The user that owns no file, as far as there is one.
constexpr uid_t nobody = 65534;

void limit(int resource, rlim_t value) noexcept {
  const rlimit both{value, value};
  static_cast<void>(posix::setrlimit(static_cast<__rlimit_resource_t>(resource), &both));
}

// Whether one of the user ids is a way to root.
bool can_be_root() noexcept {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  return posix::getresuid(&real, &effective, &saved) == -1 || real == 0 || effective == 0 || saved == 0;
}

void give_up_root() {
  posix::prctl(PR_SET_KEEPCAPS, 0UL, 0UL, 0UL, 0UL);
  if (posix::seteuid(0) == -1 || posix::setgroups(0, nullptr) == -1 ||
      posix::setresgid(nobody, nobody, nobody) == -1 || posix::setresuid(nobody, nobody, nobody) == -1)
    throw std::system_error(posix::last_error(), "cannot give up root");
}

// A monitor of another user may have capabilities too.
void give_up_capabilities() {
  posix::prctl(PR_CAP_AMBIENT, static_cast<unsigned long>(PR_CAP_AMBIENT_CLEAR_ALL), 0UL, 0UL, 0UL);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (posix::syscall(SYS_capset, &header, none.data()) == -1)
    throw std::system_error(posix::last_error(), "cannot give up capabilities");
}

void give_up_privileges() {
  posix::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
  limit(RLIMIT_CPU, std::chrono::ceil<std::chrono::seconds>(graces::stack_resolver).count());
  limit(RLIMIT_CORE, 0);
  if (can_be_root()) give_up_root();
  give_up_capabilities();
  posix::prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

void write_all(int fd, const std::string& text) noexcept {
  for (std::size_t written = 0; written < text.size();) {
    const auto size =
        posix::retry([&] { return posix::write(fd, text.data() + written, text.size() - written); });
    if (size <= 0) return;
    written += static_cast<std::size_t>(size);
  }
}

[[noreturn]] void be_resolver(int output, CrashResolver& resolver,
                              const std::vector<CrashedThread>& threads) noexcept {
  const std::array kept{output};
  posix::close_fds_except(kept);
  std::string text;
  try {
    resolver.open();
    give_up_privileges();
    posix::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL);
    for (const std::string& line : resolver.resolve(threads)) text += one_line(line) + '\n';
  } catch (...) {
    text += "its stack is not known: " + one_line(message_of(std::current_exception())) + '\n';
  }
  write_all(output, text);
  posix::_exit(EXIT_SUCCESS);
}

}  // namespace

void CrashLines::begin(const CrashReport& resolver, pid_t worker, const std::vector<CrashedThread>& threads) {
  if (resolver.get() == nullptr || threads.empty()) return;
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) return;
  UniqueFd output(ends[0]);
  const UniqueFd input(ends[1]);
  posix::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  flush_streams();
  const pid_t child = posix::fork();
  if (child == 0) be_resolver(input.get(), *resolver, threads);
  if (child == -1) return;
  child_ = child;
  worker_ = worker;
  output_.reset(std::move(output));
  text_.clear();
  deadline_ = posix::deadline_in(graces::stack_resolver);
}

posix::Clock::time_point CrashLines::deadline() const noexcept {
  return is_running() ? deadline_ : posix::Clock::time_point::max();
}

// A child that can't be killed ends when it writes, and stays a zombie.
void CrashLines::end_child() noexcept {
  const int error = posix::signal_child(child_, SIGKILL);
  const int options = error == 0 || error == ESRCH ? 0 : WNOHANG;
  posix::retry([&] { return posix::waitpid(child_, nullptr, options); });
  child_ = 0;
}

std::optional<std::vector<std::string>> CrashLines::take() {
  if (!is_running()) return std::nullopt;
  std::array<char, 4096> some{};
  ssize_t size = 0;
  while ((size = posix::retry([&] { return posix::read(output_.get(), some.data(), some.size()); })) > 0 &&
         text_.size() < longest_text)
    text_.append(some.data(), static_cast<std::size_t>(size));
  const bool is_late = posix::Clock::now() >= deadline_;
  if (size == -1 && errno == EAGAIN && !is_late) return std::nullopt;
  output_.reset();
  end_child();
  if (text_.empty() || text_.back() != '\n')
    text_ += is_late ? "the stack took too long\n" : "the stack got lost\n";
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text_.size();) {
    const std::size_t end = text_.find('\n', begin);
    lines.push_back("worker " + std::to_string(worker_) + ": " + one_line(text_.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> CrashLines::finish(std::chrono::milliseconds longest) {
  deadline_ = std::min(deadline_, posix::deadline_in(longest));
  while (is_running()) {
    if (auto lines = take()) return *lines;
    pollfd readable = event();
    posix::poll(&readable, 1, posix::poll_timeout(deadline_));
  }
  return {};
}

void CrashLines::leave_to_monitor() noexcept {
  child_ = 0;
  output_.reset();
}

}  // namespace daemonctx
