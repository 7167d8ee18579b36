// SPDX-License-Identifier: BSL-1.0
#include "upgrade/program.hpp"

#include <sys/auxv.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstdlib>
#include <memory>
#include <posix/syscalls.hpp>
#include <string_view>
#include <system_error>

#include "pidfile/lock_board.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"
#include "upgrade/hand_over.hpp"

namespace daemonctx {
namespace {

// Reads all of it: main may have changed its copy.
std::vector<std::string> own_arguments() {
  const UniqueFd file(posix::retry([] { return posix::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC); }));
  if (!file) posix::throw_last_error("cannot read /proc/self/cmdline");
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const auto size = posix::retry([&] { return posix::read(file.get(), piece.data(), piece.size()); });
    if (size == -1) posix::throw_last_error("cannot read /proc/self/cmdline");
    if (size == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    words.emplace_back(text.c_str() + at);
    at += words.back().size() + 1;
  }
  return words;
}

std::string own_directory() {
  const std::unique_ptr<char, decltype(&std::free)> here(posix::getcwd(nullptr, 0), &std::free);
  if (!here) posix::throw_last_error("cannot find the working directory");
  return here.get();
}

bool is_of_one_process(std::string_view variable) {
  constexpr std::array<std::string_view, 7> names = {
      "LISTEN_PID",       "LISTEN_FDS",       "LISTEN_FDNAMES",    "WATCHDOG_PID",
      "SYSTEMD_EXEC_PID", hand_over_variable, handed_back_variable};
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** each = ::environ; each != nullptr && *each != nullptr; ++each) {
    if (!is_of_one_process(*each)) variables.emplace_back(*each);
  }
  return variables;
}

// As execve(2) got it. The link in /proc names the version that runs, even where the path leads to the
// newest.
std::string own_file(const std::string& directory) {
  const auto* const path = std::bit_cast<const char*>(::getauxval(AT_EXECFN));
  if (path != nullptr && *path != '\0') {
    std::string absolute = *path == '/' ? path : directory + '/' + path;
    if (absolute.rfind("/dev/fd/", 0) != 0 && posix::access(absolute.c_str(), X_OK) == 0) return absolute;
  }
  std::array<char, PATH_MAX> target{};
  if (posix::readlink("/proc/self/exe", target.data(), target.size() - 1) == -1)
    posix::throw_last_error("cannot read /proc/self/exe");
  return target.data();
}

}  // namespace

Program Program::of_this_process() {
  Program program;
  program.directory = own_directory();
  program.file = own_file(program.directory);
  program.arguments = own_arguments();
  program.environment = own_environment();
  program.umask = posix::umask(0);
  posix::umask(program.umask);
  return program;
}

void OwnProgram::note(const SignalMap& map) {
  is_wanted = std::any_of(map.begin(), map.end(), [](const auto& entry) {
    return entry.second.action() != nullptr && *entry.second.action() == Action::upgrade;
  });
  if (!is_wanted) return;
  try {
    program = Program::of_this_process();
  } catch (const std::system_error& error) {
    fault = error.what();
  }
}

std::string take_requested_file(int pidfile, const SignalInfo& request, Program& program) {
  if (request.sender_pid == 0) return {};
  const std::string file = posix::shown_text(pidfile, posix::BoardText::program, request.sender_pid);
  if (file.empty()) return {};
  if (request.sender_uid != 0 && request.sender_uid != posix::geteuid())
    return "only root and the service's own user may name another program";
  if (file.front() != '/') return "the path \"" + file + "\" is not absolute";
  program.file = file;
  return {};
}

}  // namespace daemonctx
