// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/any.hpp>
#include <boost/filesystem/path.hpp>
#include <boost/program_options.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// A command line that can't be understood.
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A value in seconds, as on a command line: 10, 0.5.
struct Seconds {
  Timeout value = {};
};
/// A file mode, in octal digits.
struct Mode {
  mode_t value = 0;
};
// Found by Boost.Program_options.
void validate(boost::any& value, const std::vector<std::string>& words, Seconds*, int);
void validate(boost::any& value, const std::vector<std::string>& words, Mode*, int);

/// What a service can be told on its command line as well as in its configuration file.
boost::program_options::options_description setting_options(const boost::filesystem::path& default_pidfile);

/// What only the command line can say.
boost::program_options::options_description command_options(bool has_version);

/// What was asked for.
struct Invocation {
  std::string action;            ///< empty if none was given
  boost::filesystem::path file;  ///< the configuration file, absolute; empty: none
  boost::program_options::parsed_options command_line;
};

/// \throws Usage
Invocation parse_command_line(int argc, const char* const* argv,
                              const boost::program_options::options_description& options);

}  // namespace daemonctx
