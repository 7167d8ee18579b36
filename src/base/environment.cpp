// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/environment.hpp"

#include <cstdlib>

namespace daemonctx {

Environment Environment::keep(const std::vector<std::string>& names) {
  Variables kept;
  for (const std::string& name : names) {
    if (const char* value = std::getenv(name.c_str())) kept[name] = value;
  }
  return kept;
}

}  // namespace daemonctx
