// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <string>
#include <vector>

namespace daemonctx {

/// The name of an action and its help text.
struct ActionText {
  std::string name;
  std::string help;
};

/// The tables that all documents are made from.
struct ServiceTexts {
  const std::string& name;
  const std::vector<ActionText>& actions;
  const std::vector<boost::program_options::options_description>& groups;
};

/// The text that `help` prints.
std::string usage(const ServiceTexts& texts);

/// A page for man(1), section 8.
std::string man_page(const ServiceTexts& texts);

/// A completion for bash to source: actions, options, and files, directories, users and groups as values.
std::string bash_completion(const ServiceTexts& texts);

}  // namespace daemonctx
