// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/any.hpp>
#include <boost/program_options.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// A wrong command line, or a wrong value of an option.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The value of a timeout option: seconds, as 10 or 0.5, or `forever`.
struct Seconds {
  Timeout value = {};
};
/// A file mode, in octal digits.
struct Mode {
  mode_t value = 0;
};
// Boost.Program_options finds these by their arguments.
void validate(boost::any& value, const std::vector<std::string>& words, Seconds*, int);
void validate(boost::any& value, const std::vector<std::string>& words, Mode*, int);

/// The options that both the command line and the configuration file may give.
/// \param stop_timeout the default of `--stop-timeout`, for people.
boost::program_options::options_description setting_options(const Path& default_pidfile,
                                                            const std::string& stop_timeout);

/// The options that only the command line may give.
boost::program_options::options_description command_options(const Path& default_file, bool has_version);

/// A parsed command line.
struct Invocation {
  std::string action;  ///< empty if none was given
  /// The words behind the action. Empty if the action has options for its words.
  std::vector<std::string> words;
  boost::program_options::parsed_options command_line;

  bool gives(const std::string& option) const;
};

/// The first word of a command line that belongs to no option. Empty: there is none.
/// \param options all but those of single actions, which have to stand behind the action's name.
/// \throws UsageError
std::string action_in(int argc, const char* const* argv,
                      const boost::program_options::options_description& options);

/// Parses a command line; does not read the configuration file. \throws UsageError
/// \param options must outlive the result.
/// \param words what the words behind the action mean; none: they become `Invocation::words`.
Invocation parse_command_line(int argc, const char* const* argv,
                              const boost::program_options::options_description& options,
                              const boost::program_options::positional_options_description& words);

}  // namespace daemonctx
