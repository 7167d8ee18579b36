// SPDX-License-Identifier: BSL-1.0
#include "service/suggestion.hpp"

#include <algorithm>
#include <numeric>

namespace daemonctx {
namespace {

namespace po = boost::program_options;

// How many letters have to be inserted, removed, replaced or swapped with the next one (the optimal string
// alignment distance). `above[0]` is the row of one letter less, `above[1]` that of two.
std::size_t distance(const std::string& from, const std::string& to) {
  using Row = std::vector<std::size_t>;
  Row row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  std::vector<Row> above(2);
  for (std::size_t i = 1; i <= from.size(); ++i) {
    above = {row, above[0]};
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = above[0][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({above[0][j] + 1, row[j - 1] + 1, replaced});
      const bool is_swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (is_swapped) row[j] = std::min(row[j], above[1][j - 2] + 1);
    }
  }
  return row.back();
}

// The option without hyphens and without a value.
std::string name_in(const std::string& token) {
  const std::size_t begin = std::min(token.find_first_not_of('-'), token.size());
  return token.substr(begin, token.find('=') - begin);
}

}  // namespace

std::string suggestion(const std::string& word, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  constexpr std::size_t longest = 64;
  if (word.empty() || word.size() > longest) return {};
  for (const std::string& each : names) {
    const std::size_t needed = distance(word, each);
    if (needed >= least) continue;
    least = needed;
    best = each;
  }
  return best.empty() ? "" : "; did you mean \"" + best + "\"?";
}

std::string with_suggestion(const po::error& error, const po::options_description& options) {
  const auto* unknown = dynamic_cast<const po::unknown_option*>(&error);
  if (unknown == nullptr) return error.what();
  const std::string hyphens = unknown->get_option_name().starts_with("--") ? "--" : "";
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back(hyphens + option->long_name());
  return error.what() + suggestion(hyphens + name_in(unknown->get_option_name()), names);
}

}  // namespace daemonctx
