// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/environment.hpp"

#include <cstdlib>
#include <utility>

namespace daemonctx {

Environment::Environment(Variables variables) : variables_(std::move(variables)) {}

Environment Environment::keep(const std::vector<std::string>& names) {
  Variables kept;
  for (const std::string& name : names) {
    if (const char* value = std::getenv(name.c_str())) kept[name] = value;
  }
  return kept;
}

Environment Environment::only_path() { return keep({"PATH"}); }

}  // namespace daemonctx
