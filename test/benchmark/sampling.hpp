// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

/// One of the programs or functions that are compared.
struct Contender {
  std::string name;
  std::function<double()> measure;
  unsigned every = 1;  ///< takes part in each n-th round only, because it is slow

  /// Another project's program: if it behaves wrongly, every child is ended, and the rounds go on without it.
  bool is_peer = false;
};

/// The figures of one contender.
struct Series {
  std::string name;
  std::vector<double> values = {};
  std::vector<double> ratios = {};  ///< to the reference of the same round
  bool failed = false;              ///< a peer that behaved wrongly, and has no figures after that
};

/// One number for each contender; NaN where it took no part, and infinite where it behaved wrongly.
using Round = std::vector<double>;

/// All contenders in turn, round after round, the order of a round rotating.
std::vector<Round> run_rounds(const std::vector<Contender>& contenders, unsigned rounds);

/// Pairs each number with that of the first contender, the reference, in the same round.
std::vector<Series> pair_up(const std::vector<Contender>& contenders, const std::vector<Round>& rounds);

/// Calls `run_rounds` and then `pair_up`.
std::vector<Series> measure_paired(const std::vector<Contender>& contenders, unsigned rounds);

const Series& find(const std::vector<Series>& all, const std::string& name);

/// \param share 0.5: the median.
double quantile(std::vector<double> values, double share = 0.5);

}  // namespace bench
