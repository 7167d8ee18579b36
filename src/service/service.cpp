// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/service.hpp"

#include <algorithm>
#include <stdexcept>

#include "service/run.hpp"

namespace daemonctx {

Service::Service(std::string name, DaemonOptions options, std::function<int(DaemonContext&)> body)
    : name_(std::move(name)), daemon_options_(std::move(options)), body_(std::move(body)) {
  if (name_.empty() || name_.find('/') != std::string::npos)
    throw std::invalid_argument("the name of the service, \"" + name_ + "\", is empty or has a slash");
}

void Service::config_file(Path file, MissingFile missing) {
  config_file_ = std::move(file);
  missing_file_ = missing;
}

void Service::add_action(ServiceAction action) {
  const auto is_same = [&](const ServiceAction& each) { return each.name == action.name; };
  const bool is_taken = ServiceRun::own_action(action.name) != nullptr ||
                        std::any_of(actions_.begin(), actions_.end(), is_same);
  if (is_taken) throw std::invalid_argument("the action \"" + action.name + "\" is there already");
  if (action.name.empty() || action.name[0] == '-' || !action.run)
    throw std::invalid_argument("the action \"" + action.name + "\" has no usable name, or nothing to run");
  actions_.push_back(std::move(action));
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
