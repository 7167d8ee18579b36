// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options.hpp>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "posix/unique_fd.hpp"
#include "service/command_line.hpp"

namespace daemonctx {

/// A configuration file that can't be used. The text names the file and, where there is one, the line.
class ConfigurationError : public std::runtime_error {
 public:
  /// \param reason why the file can't be read, an errno; 0: its text is wrong.
  ConfigurationError(const std::string& text, int reason) : std::runtime_error(text), reason_(reason) {}

  int reason() const noexcept { return reason_; }

 private:
  int reason_;
};

/// Reads a whole configuration file, from a descriptor. \throws ConfigurationError
/// \param file if empty, errno says why it could not be opened.
std::string configuration_text(const UniqueFd& file, const std::string& name);

/// The error of a configuration file that can't be read.
ConfigurationError unreadable(const std::string& name, int error);

/// A configuration file as it was read.
struct ConfigurationFile {
  std::string name;
  std::string text;
};

enum class Reading {
  strict,
  lenient,  ///< skips wrong lines
};

struct Configuration {
  boost::program_options::variables_map values;
  std::map<std::string, std::string> origins;  ///< option to FILE:LINE, for values from the file
};

/// \throws boost::program_options::required_option
void check_required(const boost::program_options::variables_map& values,
                    const boost::program_options::options_description& options);

/// The values of all options: from the command line, else from the configuration file, else the defaults.
/// Variables that options are bound to are not set; `po::notify` sets them.
/// \param file_options the options that the file may give.
/// \throws ConfigurationError; UsageError if a value is empty or wrong on the command line, or, if `strict`,
///   a required option is missing.
Configuration read_values(const Invocation& invocation, const std::optional<ConfigurationFile>& file,
                          const boost::program_options::options_description& file_options, Reading reading);

}  // namespace daemonctx
