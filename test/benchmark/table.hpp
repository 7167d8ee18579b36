// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "sampling.hpp"

namespace bench {

enum class Verdict { within, misses, wrong };

/// A line of the table.
struct Row {
  std::string work;
  std::string limit;      ///< the reference's figure, with its unit
  std::string daemonctx;  ///< the library's ratio to the limit
  std::string budget;
  Verdict verdict = Verdict::within;
  std::string others = {};  ///< peers, and other remarks
};

/// Prints each row as it comes, and all of them at the end.
class Table {
 public:
  void add(Row row);

  /// Prints what is not measured, such as a peer that is not installed, and the reason.
  static void skip(const std::string& what, const std::string& reason);

  /// Prints the table in Markdown.
  void print() const;

  /// False if a measured program behaved wrongly. A missed budget never makes it false.
  bool is_right() const;

 private:
  std::vector<Row> rows_;
};

/// "1.35 ms"; from nanoseconds.
std::string duration(double nanoseconds);

/// "1.04", "18"
std::string number(double value);

/// "1.04 (1.02-1.07)": median and quartiles.
std::string spread(const std::vector<double>& ratios);

/// The row of one contender against the reference. The others are listed, but for those named in `hidden`.
Row compare(const std::string& work, const std::vector<Series>& all, const std::string& who, double budget,
            const std::vector<std::string>& hidden = {});

/// "libdaemon 1.15, python-daemon 18": all but the reference and those in `hidden`.
std::string others(const std::vector<Series>& all, const std::vector<std::string>& hidden);

Verdict judge(bool within);

}  // namespace bench
