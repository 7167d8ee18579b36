// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/run.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <posix/syscalls.hpp>

#include "daemonctx/daemon_context.hpp"
#include "output/own_line.hpp"

namespace daemonctx {

int detail::run_body(DaemonContext& context, const std::function<int(DaemonContext&)>& body) {
  try {
    return body(context);
  } catch (const abi::__forced_unwind&) {  // pthread_cancel(3) requires that this is rethrown
    throw;
  } catch (...) {
    context.fail(message_of(std::current_exception()));
    return EXIT_FAILURE;
  }
}

int run(DaemonOptions options, const std::function<int(DaemonContext&)>& body) {
  try {
    DaemonContext context(std::move(options));
    return detail::run_body(context, body);
  } catch (const std::exception& error) {
    const std::string line = error_line({}, error.what());
    static_cast<void>(write_line(STDERR_FILENO, line));
    return EXIT_FAILURE;
  }
}

}  // namespace daemonctx
