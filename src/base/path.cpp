// SPDX-License-Identifier: BSL-1.0
#include "base/path.hpp"

#include <algorithm>

namespace daemonctx {

Path Path::parent_path() const {
  const std::size_t slash = text_.rfind('/');
  if (slash == std::string::npos) return {};
  const std::size_t end = text_.find_last_not_of('/', slash);
  return end == std::string::npos ? "/" : text_.substr(0, end + 1);
}

Path Path::filename() const { return text_.substr(text_.rfind('/') + 1); }

Path operator/(const Path& directory, const Path& inner) {
  if (inner.is_absolute() || directory.empty()) return inner;
  const bool has_slash = directory.text_.ends_with('/');
  return directory.text_ + (has_slash ? "" : "/") + inner.text_;
}

std::vector<std::string_view> components(const Path& path) {
  std::vector<std::string_view> found;
  std::string_view rest = path.native();
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('/'), rest.size());
    const std::string_view component = rest.substr(0, length);
    if (!component.empty() && component != ".") found.push_back(component);
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return found;
}

Path without_detours(const Path& path) {
  std::string text;
  for (const std::string_view component : components(path)) text.append(1, '/').append(component);
  return text.empty() ? "/" : text;
}

bool lies_in(const Path& path, const Path& directory) noexcept {
  const std::string_view outer = directory.native();
  const std::string_view inner = path.native();
  return inner.starts_with(outer) &&
         (outer.ends_with('/') || inner.size() == outer.size() || inner[outer.size()] == '/');
}

}  // namespace daemonctx
