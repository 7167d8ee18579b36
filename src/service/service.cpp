// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/service.hpp"

#include "service/run.hpp"

namespace daemonctx {

Service::Service(std::string name, DaemonOptions options, std::function<int(DaemonContext&)> body)
    : name_(std::move(name)),
      daemon_options_(std::move(options)),
      body_(std::move(body)),
      own_options_("Options of " + name_) {}

int Service::main(int argc, const char* const* argv) {
  ServiceRun run(*this);
  try {
    run.prepare();
    return run(argc, argv);
  } catch (...) {
    return run.report(std::current_exception());
  }
}

}  // namespace daemonctx
