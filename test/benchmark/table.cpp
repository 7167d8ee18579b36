// SPDX-License-Identifier: BSL-1.0
#include "table.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>

namespace bench {
namespace {

const char* word(Verdict verdict) {
  constexpr std::array words = {"within", "MISSES", "WRONG BEHAVIOUR"};
  return words[static_cast<std::size_t>(verdict)];
}

std::string format(const char* pattern, double value) {
  std::array<char, 64> text;
  const int size = std::snprintf(text.data(), text.size(), pattern, value);
  return {text.data(), static_cast<std::size_t>(size)};
}

std::string join(const std::string& one, const std::string& other) {
  return one.empty() || other.empty() ? one + other : one + ", " + other;
}

}  // namespace

void Table::add(Row row) {
  std::cout << row.work << ": limit " << row.limit << "; daemonctx " << row.daemonctx << "; budget "
            << row.budget << ": " << word(row.verdict) << (row.others.empty() ? "" : "; " + row.others)
            << std::endl;
  rows_.push_back(std::move(row));
}

void Table::skip(const std::string& what, const std::string& reason) {
  std::cout << "skipped: " << what << " (" << reason << ")" << std::endl;
}

void Table::print() const {
  std::cout << "\n| work | limit | daemonctx | budget | | others |\n| --- | --- | --- | --- | --- | --- |\n";
  for (const Row& row : rows_) {
    std::cout << "| " << row.work << " | " << row.limit << " | " << row.daemonctx << " | " << row.budget
              << " | " << word(row.verdict) << " | " << row.others << " |\n";
  }
  std::cout << "Ratios are medians of paired runs, with their quartiles; the limit is plain C.\n"
            << std::flush;
}

bool Table::is_right() const {
  return std::none_of(rows_.begin(), rows_.end(),
                      [](const Row& row) { return row.verdict == Verdict::wrong; });
}

std::string duration(double nanoseconds) {
  if (nanoseconds < 1e3) return format("%.1f ns", nanoseconds);
  if (nanoseconds < 1e6) return format("%.2f us", nanoseconds / 1e3);
  return format(nanoseconds < 1e7 ? "%.2f ms" : "%.0f ms", nanoseconds / 1e6);
}

std::string number(double value) { return format(value < 10 ? "%.2f" : "%.0f", value); }

std::string spread(const std::vector<double>& ratios) {
  return number(quantile(ratios)) + " (" + number(quantile(ratios, 0.25)) + "-" +
         number(quantile(ratios, 0.75)) + ")";
}

std::string others(const std::vector<Series>& all, const std::vector<std::string>& hidden) {
  std::string result;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (std::find(hidden.begin(), hidden.end(), all[i].name) != hidden.end()) continue;
    const bool has_figure = !all[i].ratios.empty();
    const std::string ratio = has_figure ? " " + number(quantile(all[i].ratios)) : "";
    const std::string end = !all[i].failed ? "" : has_figure ? " until it failed" : " failed";
    result = join(result, all[i].name + ratio + end);
  }
  return result;
}

Verdict judge(bool within) { return within ? Verdict::within : Verdict::misses; }

Row compare(const std::string& work, const std::vector<Series>& all, const std::string& who, double budget,
            const std::vector<std::string>& hidden) {
  const Series& subject = find(all, who);
  std::vector<std::string> unlisted = hidden;
  unlisted.push_back(who);
  return {work,           duration(quantile(all[0].values)),         spread(subject.ratios),
          number(budget), judge(quantile(subject.ratios) <= budget), others(all, unlisted)};
}

}  // namespace bench
