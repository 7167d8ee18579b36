// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/service.hpp"

#include <stdexcept>

#include "service/run.hpp"

namespace daemonctx {

Service::Service(std::string name, DaemonOptions options, std::function<int(DaemonContext&)> body)
    : name_(std::move(name)),
      daemon_options_(std::move(options)),
      body_(std::move(body)),
      own_options_("Options of " + name_) {
  if (name_.empty() || name_.find('/') != std::string::npos)
    throw std::invalid_argument("the name of the service, \"" + name_ + "\", is empty or has a slash");
}

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
