// SPDX-License-Identifier: BSL-1.0
#include "service/configuration.hpp"

#include <boost/algorithm/string/trim.hpp>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;

ConfigurationError unreadable(const fs::path& file) {
  const std::string reason = std::generic_category().message(errno);
  return ConfigurationError{"cannot read the configuration file \"" + file.string() + "\": " + reason};
}

bool is_section(const std::string& line) {
  const std::string text = boost::algorithm::trim_copy(line.substr(0, line.find('#')));
  return text.size() > 1 && text.front() == '[' && text.back() == ']';
}

// Line by line: Boost does not say in which one an error lies. All that was read before is stored again with each
// line, for errors that only show then: a value of the wrong type, a second value for the same name.
class FileReader {
 public:
  FileReader(fs::path file, const po::options_description& options, Reading reading)
      : file_(std::move(file)), options_(options), reading_(reading), read_(&options) {}

  po::parsed_options read() {
    std::ifstream in(file_.string());
    if (!in) throw unreadable(file_);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      if (is_section(line)) section_ = line;
      else take(line, number);
    }
    if (in.bad()) throw unreadable(file_);  // a directory can be opened
    return read_;
  }

 private:
  void take(const std::string& line, int number) {
    po::parsed_options more = read_;
    try {
      std::istringstream text(section_ + '\n' + line);
      const auto found = po::parse_config_file(text, options_);
      more.options.insert(more.options.end(), found.options.begin(), found.options.end());
      po::variables_map scratch;
      po::store(more, scratch);
    } catch (const po::error& error) {
      if (reading_ == Reading::lenient) return;
      throw ConfigurationError(file_.string() + ':' + std::to_string(number) + ": " + error.what());
    }
    read_ = std::move(more);
  }

  fs::path file_;
  const po::options_description& options_;
  Reading reading_;
  std::string section_;
  po::parsed_options read_;
};

}  // namespace

po::variables_map read_values(const Invocation& invocation, const po::options_description& file_options,
                              Reading reading) {
  po::variables_map values;
  try {
    po::store(invocation.command_line, values);
    if (!invocation.file.empty()) {
      po::store(FileReader(invocation.file, file_options, reading).read(), values);
    }
    if (reading == Reading::strict) po::notify(values);
    return values;
  } catch (const po::error& error) {
    throw Usage(error.what());
  }
}

}  // namespace daemonctx
