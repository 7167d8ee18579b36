// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <string>
#include <vector>

namespace daemonctx {

/// An action as the user is told of it.
struct ActionText {
  std::string name;
  std::string help;
};

/// What documents are made of: all of them from the same tables.
struct ServiceTexts {
  const std::string& name;
  const std::vector<ActionText>& actions;
  const std::vector<boost::program_options::options_description>& groups;
};

/// What `help` prints.
std::string usage(const ServiceTexts& texts);

/// A page for man(1), section 8.
std::string man_page(const ServiceTexts& texts);

/// A completion to be sourced by bash: actions, options, and files, directories, users and groups as values.
std::string bash_completion(const ServiceTexts& texts);

}  // namespace daemonctx
