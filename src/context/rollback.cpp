// SPDX-License-Identifier: BSL-1.0
#include "context/rollback.hpp"

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <string_view>

namespace daemonctx {

FormerEnvironment::FormerEnvironment(const DaemonOptions& options)
    : is_changed_(options.environment.variables() || !options.user.empty()) {
  for (char** each = ::environ; is_changed_ && each != nullptr && *each != nullptr; ++each) {
    const std::string_view text = *each;
    const auto sign = std::min(text.find('='), text.size());
    variables_.emplace_back(text.substr(0, sign), text.substr(std::min(sign + 1, text.size())));
  }
}

void FormerEnvironment::put_back() const noexcept {
  if (!is_changed_) return;
  ::clearenv();
  for (const auto& [name, value] : variables_) ::setenv(name.c_str(), value.c_str(), 1);
}

Rollback::Rollback(DaemonContext::Impl& impl)
    : impl_(impl),
      environment_(impl.plan.options),
      directory_(posix::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
      limits_(impl.plan.options.limits),
      umask_(posix::umask(impl.plan.options.umask)),
      dumpable_(posix::prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL)) {
  posix::getrlimit(RLIMIT_CORE, &core_);
}

Rollback::~Rollback() {
  if (succeeded_) return;
  close_lifetime();
  environment_.put_back();
  if (!impl_.resources.heir) impl_.resources.close_status();
  impl_.resources.remove_pidfile();  // before `uninstall` lets a signal end the process
  impl_.signals.uninstall();
  limits_.put_back();
  posix::umask(umask_);
  static_cast<void>(posix::setrlimit(RLIMIT_CORE, &core_));
  // A process that has changed its user stays undumpable: the new user must not read its memory.
  const bool is_another = impl_.plan.identity && impl_.plan.identity->assumed;
  if (!is_another) posix::prctl(PR_SET_DUMPABLE, static_cast<unsigned long>(dumpable_), 0UL, 0UL, 0UL);
  if (impl_.resources.left_root) return;  // the former directory is a way out of the new root
  [[maybe_unused]] const int result = posix::fchdir(directory_.get());
}

}  // namespace daemonctx
