// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/error.hpp"

#include <array>

namespace daemonctx {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Step::run_service) + 1> descriptions = {
    "make an absolute path of",
    "detach",
    "detach",
    "open the null device",
    "work under the service manager",
    "take over from the running daemon",
    "look up the user",
    "create the directory",
    "open the pidfile",
    "lock the pidfile",
    "open the sockets",
    "prepare the restrictions",
    "open the file",
    "create the status pipe",
    "start the intermediate process",
    "create a session",
    "start the daemon process",
    "reset the signal dispositions",
    "close the inherited descriptors",
    "limit core files",
    "set the umask",
    "write the pidfile",
    "start the worker",
    "install the signal map",
    "set the limits",
    "run before_drop",
    "change the root directory to",
    "become the user",
    "change the working directory to",
    "rule out new privileges",
    "redirect the standard streams",
    "apply the restrictions",
    "become ready",
    "run the service",
};
static_assert(!descriptions.back().empty(), "a description for every step");

std::string compose(Step step, std::error_code code, const std::string& subject) {
  if (step == Step::run_before_drop) return "before_drop failed: " + code.message();
  std::string text = "cannot ";
  text += to_string(step);
  if (!subject.empty()) text += " \"" + subject + '"';
  return text + ": " + code.message();
}

}  // namespace

std::string_view to_string(Step step) noexcept {
  const auto number = static_cast<std::size_t>(step);
  if (number >= descriptions.size()) return "take an unknown step";
  return descriptions[number];
}

DaemonError::DaemonError(Step step, std::error_code code, const std::string& subject)
    : DaemonError(step, code, subject, compose(step, code, subject)) {}

DaemonError::DaemonError(Step step, std::error_code code, const std::string& subject, const std::string& text,
                         pid_t pid)
    : std::system_error(code), step_(step), pid_(pid), subject_(subject), text_(text) {}

std::string message_of(const std::exception_ptr& error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace daemonctx
