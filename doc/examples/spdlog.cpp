// SPDX-License-Identifier: BSL-1.0

// A service that logs with spdlog, from a thread of its own.

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <daemonctx/daemon_context.hpp>

int main() {
  // tag::program[]
  const auto log = daemonctx::StdioTarget::file("spdlog.log");
  return daemonctx::run(
      {.pidfile = "spdlog.pid", .stdio = {.out = log}}, [](daemonctx::DaemonContext& context) {
        spdlog::set_default_logger(spdlog::stdout_logger_st<spdlog::async_factory>("service"));
        context.on_exit(spdlog::shutdown);  // registered first, so it runs last: later cleanups can log
        context.on_exit([] { spdlog::info("good bye"); });
        context.on_reload([] { spdlog::info("reload"); });
        for (int i = 1; !context.wait_for(std::chrono::seconds(1)); ++i) spdlog::info("beat {}", i);
        return 0;
      });
  // end::program[]
}
