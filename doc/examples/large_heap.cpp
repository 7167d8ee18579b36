// SPDX-License-Identifier: BSL-1.0

// A service that builds a large table, and is ready once the table is complete.

#include <cstdint>
#include <cstdlib>
#include <daemonctx/daemon_context.hpp>
#include <numeric>
#include <vector>

int main(int argc, char** argv) {
  const auto mebibytes = static_cast<std::size_t>(argc > 1 ? std::atoi(argv[1]) : 1024);
  // tag::program[]
  const daemonctx::DaemonOptions options{.pidfile = "large_heap.pid",
                                         .readiness = daemonctx::Readiness::when_notified,
                                         .ready_timeout = std::chrono::minutes(5)};
  return daemonctx::run(options, [mebibytes](daemonctx::DaemonContext& context) {
    std::vector<std::uint64_t> table(mebibytes << 17U);  // in the daemon, so nothing of it is copied
    std::iota(table.begin(), table.end(), 0U);
    context.notify_ready();
    context.wait();
    return 0;
  });
  // end::program[]
}
