// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options.hpp>
#include <stdexcept>

#include "service/command_line.hpp"

namespace daemonctx {

/// A configuration file that can't be used. The text names the file and, where there is one, the line.
struct ConfigurationError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Reading {
  strict,
  lenient,  ///< skips wrong lines
};

/// The values of all options: from the command line, else from the configuration file, else the defaults.
/// Variables that options are bound to are not set; `po::notify` sets them.
/// \param file_options the options that the file may give.
/// \throws ConfigurationError; UsageError if a value is empty or wrong on the command line, or, if `strict`,
///   a required option is missing.
boost::program_options::variables_map read_values(
    const Invocation& invocation, const boost::program_options::options_description& file_options,
    Reading reading);

}  // namespace daemonctx
