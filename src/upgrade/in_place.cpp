// SPDX-License-Identifier: BSL-1.0
#include "upgrade/in_place.hpp"

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>

#include "base/number.hpp"
#include "base/one_line.hpp"
#include "posix/sealed_memory.hpp"
#include "posix/signals.hpp"
#include "process/return_note.hpp"

namespace daemonctx {
namespace {

using process::return_note;

// Sets for all descriptors whether they close on exec.
void close_on_exec(const std::vector<int>& descriptors, bool closes) noexcept {
  for (const int fd : descriptors) posix::fcntl(fd, F_SETFD, closes ? FD_CLOEXEC : 0);
}

std::string variable(std::string_view name, std::string_view value) {
  return std::string(name).append("=").append(value);
}

// The record is read where the program left it, or where the variable says.
UniqueFd record_file() {
  if (return_note.record != -1) return UniqueFd(return_note.record.exchange(-1));
  const char* const number = ::secure_getenv(hand_over_variable.data());
  return UniqueFd(number == nullptr ? -1 : to_number<int>(number).value_or(-1));
}

// Returns if that is impossible.
void execute_former(std::string_view why) {
  const UniqueFd file = record_file();
  if (!posix::is_sealed_memory(file)) return;
  const HandOver record = HandOver::parse(posix::bytes_of(file));
  if (record.role != HandOver::Role::monitor || record.program == -1) return;
  Program program = Program::of_this_process();
  program.environment.push_back(variable(hand_over_variable, std::to_string(file.get())));
  program.environment.push_back(variable(handed_back_variable, one_line(std::string(why))));
  const ExecArguments arguments(program.arguments);
  const ExecArguments environment(program.environment);
  std::vector<int> kept = record.descriptors();
  kept.push_back(file.get());
  close_on_exec(kept, false);
  posix::fexecve(record.program, arguments.get(), environment.get());
}

// `main` may end before it makes a context; then the former program goes on. That one never goes back: two
// programs that fail would execute each other for ever.
[[gnu::constructor]] void watch_main() noexcept {
  if (::secure_getenv(hand_over_variable.data()) == nullptr) return;
  if (was_handed_back()) return;
  return_note.process = posix::getpid();
  static_cast<void>(std::atexit([] { go_back("the new program ended before it took over"); }));
}

}  // namespace

int execute_in_place(const Program& program, const HandOver& record, const sigset_t& mask) noexcept {
  try {
    const UniqueFd memory = posix::sealed_memory(record.to_text());
    std::vector<int> kept = record.descriptors();
    kept.push_back(memory.get());
    std::vector<std::string> variables = program.environment;
    variables.push_back(variable(hand_over_variable, std::to_string(memory.get())));
    const ExecArguments arguments(program.arguments);
    const ExecArguments environment(variables);
    const UniqueFd here(posix::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (posix::chdir(program.directory.c_str()) == -1) return errno;
    const mode_t umask = posix::umask(program.umask);
    sigset_t former;
    posix::pthread_sigmask(SIG_SETMASK, &mask, &former);
    close_on_exec(kept, false);
    posix::execve(program.file.c_str(), arguments.get(), environment.get());
    const int error = errno;
    close_on_exec(kept, true);
    posix::pthread_sigmask(SIG_SETMASK, &former, nullptr);
    posix::umask(umask);
    static_cast<void>(posix::fchdir(here.get()));
    return error;
  } catch (const std::exception&) {
    return ENOMEM;
  }
}

void go_back(std::string_view why) noexcept {
  if (return_note.process.exchange(0) != posix::getpid()) return;
  try {
    execute_former(why);
  } catch (const std::exception&) {  // the process ends; its workers end with it
    return;
  }
}

void stay() noexcept {
  return_note.process = 0;
  static_cast<void>(UniqueFd(return_note.record.exchange(-1)));
}

bool was_handed_back() noexcept { return ::secure_getenv(handed_back_variable.data()) != nullptr; }

std::optional<std::string> take_reason_of_return() {
  const char* const reason = ::secure_getenv(handed_back_variable.data());
  if (reason == nullptr) return {};
  std::string text = reason;
  ::unsetenv(handed_back_variable.data());
  return text;
}

}  // namespace daemonctx
