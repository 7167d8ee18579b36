// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// The environment of a daemon: the inherited one, or a list of variables.
class DAEMONCTX_EXPORT Environment {
 public:
  using Variables = std::map<std::string, std::string>;

  /// All variables of the starter.
  Environment() noexcept = default;

  /// These variables, and no others.
  Environment(Variables variables);  // NOLINT(*-explicit-*)

  /// The variables with these names, as this process has them now, and no others.
  static Environment keep(const std::vector<std::string>& names);

  /// `keep({"PATH"})`.
  static Environment only_path();

  /// Empty for the inherited environment.
  const std::optional<Variables>& variables() const noexcept { return variables_; }

 private:
  std::optional<Variables> variables_ = {};
};

}  // namespace daemonctx
