// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "daemonctx/export.hpp"

namespace daemonctx {

class Path;

/// `inner` in `directory`; `inner` alone if it is absolute. As in `std::filesystem`.
DAEMONCTX_EXPORT Path operator/(const Path& directory, const Path& inner);

/// A path of another library: `std::filesystem::path`, `boost::filesystem::path`.
template <class T>
concept ForeignPath = !std::same_as<T, Path> && requires(const T& path) {
  { path.native() } -> std::convertible_to<std::string_view>;
};

/// A file path, stored as text. Strings and the paths of other libraries convert to a `Path`; to convert
/// back, use `std::filesystem::path(path.native())`. The members work on the text alone, and mean what they
/// mean in `std::filesystem`.
class DAEMONCTX_EXPORT Path {
 public:
  Path() noexcept = default;
  Path(std::string text) noexcept : text_(std::move(text)) {}                       // NOLINT(*-explicit-*)
  Path(std::string_view text) : text_(text) {}                                      // NOLINT(*-explicit-*)
  Path(const char* text) : text_(text) {}                                           // NOLINT(*-explicit-*)
  Path(const ForeignPath auto& other) : text_(std::string_view(other.native())) {}  // NOLINT(*-explicit-*)

  const std::string& native() const noexcept { return text_; }
  const char* c_str() const noexcept { return text_.c_str(); }
  bool empty() const noexcept { return text_.empty(); }

  bool is_absolute() const noexcept { return text_.starts_with('/'); }

  /// The directory that holds the last component: "/run" for "/run/web", "/" for "/web", empty for "web".
  Path parent_path() const;

  /// The last component: "web" for "/run/web" and for "web", empty for "/run/".
  Path filename() const;

  friend Path operator/(const Path& directory, const Path& inner);
  friend bool operator==(const Path&, const Path&) noexcept = default;

 private:
  std::string text_;
};

}  // namespace daemonctx
