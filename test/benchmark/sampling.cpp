// SPDX-License-Identifier: BSL-1.0
#include "sampling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "process.hpp"
#include "table.hpp"

namespace bench {

namespace {

double measure(const Contender& contender) {
  try {
    return contender.measure();
  } catch (const WrongBehaviour& error) {
    if (!contender.is_peer) throw WrongBehaviour(contender.name + ": " + error.what());
    Table::skip(contender.name, std::string("from now on: ") + error.what());
    end_all_children();
    return std::numeric_limits<double>::infinity();
  }
}

}  // namespace

std::vector<Round> run_rounds(const std::vector<Contender>& contenders, unsigned rounds) {
  std::vector<Round> result(rounds, Round(contenders.size(), std::numeric_limits<double>::quiet_NaN()));
  std::vector<bool> failed(contenders.size());
  for (unsigned round = 0; round < rounds; ++round) {
    for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
      const std::size_t who = (round + turn) % contenders.size();
      if (failed[who] || round % contenders[who].every != 0) continue;
      result[round][who] = measure(contenders[who]);
      failed[who] = std::isinf(result[round][who]);
    }
  }
  return result;
}

std::vector<Series> pair_up(const std::vector<Contender>& contenders, const std::vector<Round>& rounds) {
  std::vector<Series> result;
  for (std::size_t who = 0; who < contenders.size(); ++who) {
    Series series{contenders[who].name};
    for (const Round& round : rounds) {
      series.failed = series.failed || std::isinf(round[who]);
      if (!std::isfinite(round[who])) continue;
      series.values.push_back(round[who]);
      series.ratios.push_back(round[who] / round[0]);
    }
    result.push_back(std::move(series));
  }
  return result;
}

std::vector<Series> measure_paired(const std::vector<Contender>& contenders, unsigned rounds) {
  return pair_up(contenders, run_rounds(contenders, rounds));
}

const Series& find(const std::vector<Series>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Series& one) { return one.name == name; });
  if (found == all.end()) throw std::logic_error("no series " + name);
  return *found;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

}  // namespace bench
