// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options.hpp>

#include "service/command_line.hpp"

namespace fuzz {

/// The options that a configuration file may give: those of the library, and those of a program.
inline const boost::program_options::options_description& file_options() {
  namespace po = boost::program_options;
  static const po::options_description options = [] {
    po::options_description all;
    all.add(daemonctx::setting_options("/run/fuzzed.pid", "10"));
    // Not unsigned short: Boost 1.74 multiplies it as int, which overflows for a text that is out of range.
    all.add_options()("port", po::value<unsigned>()->default_value(80));
    all.add_options()("name", po::value<std::string>());
    all.add_options()("quiet", po::bool_switch());
    all.add_options()("peer", po::value<std::vector<std::string>>()->composing());
    all.add_options()("db.host", po::value<std::string>());
    all.add_options()("db.ratio", po::value<double>());
    return all;
  }();
  return options;
}

/// All options of a command line.
inline const boost::program_options::options_description& all_options() {
  static const boost::program_options::options_description options = [] {
    boost::program_options::options_description all;
    all.add(daemonctx::command_options("/etc/fuzzed.conf", true)).add(file_options());
    return all;
  }();
  return options;
}

}  // namespace fuzz
