// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <string>
#include <vector>

namespace daemonctx {

/// `; did you mean "start"?` with the name that is most like `word`; empty if none is like it.
std::string suggestion(const std::string& word, const std::vector<std::string>& names);

/// The text of an error of Boost.Program_options, with a suggestion for an unknown option.
std::string with_suggestion(const boost::program_options::error& error,
                            const boost::program_options::options_description& options);

}  // namespace daemonctx
