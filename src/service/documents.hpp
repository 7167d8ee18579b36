// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <string>
#include <vector>

namespace daemonctx {

/// A name and what it stands for.
struct Entry {
  std::string name;
  std::string text;
};

struct OptionGroup {
  std::string caption;
  boost::program_options::options_description options;
};

/// The tables that all documents are made from.
struct ServiceTexts {
  std::string name;
  std::string description;  ///< may be empty, as may `files` and `signals`
  std::vector<Entry> actions;
  std::vector<OptionGroup> groups = {};
  std::vector<Entry> files = {};
  std::vector<Entry> signals = {};
};

/// The text that `help` prints.
std::string usage(const ServiceTexts& texts);

/// A page for man(1), section 8.
std::string man_page(const ServiceTexts& texts);

/// Completions for bash to source, and for zsh, to source or as a file `_NAME` in its `fpath`: actions,
/// options, and files, directories, users and groups as values.
std::string bash_completion(const ServiceTexts& texts);
std::string zsh_completion(const ServiceTexts& texts);

}  // namespace daemonctx
