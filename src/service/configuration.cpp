// SPDX-License-Identifier: BSL-1.0
#include "service/configuration.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/algorithm/string/trim.hpp>
#include <boost/filesystem/path.hpp>
#include <cerrno>
#include <map>
#include <optional>
#include <posix/syscalls.hpp>
#include <sstream>
#include <system_error>
#include <vector>

#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"
#include "service/placeholders.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;

ConfigurationError unreadable(const fs::path& file) {
  const std::string reason = std::generic_category().message(errno);
  return ConfigurationError{"cannot read the configuration file \"" + file.string() + "\": " + reason};
}

std::string without_comment(const std::string& line) {
  return boost::algorithm::trim_copy(line.substr(0, line.find('#')));
}

bool is_section(const std::string& text) {
  return text.size() > 1 && text.front() == '[' && text.back() == ']';
}

// Each line is read together with its section.
constexpr std::size_t longest_line = 4096;

constexpr std::size_t largest_file = 1U << 20U;

// The file may be another one after any look at its name, also a FIFO, and it may grow: one descriptor is
// looked at and read, and the bytes are counted.
std::string contents_of(const fs::path& file) {
  const UniqueFd in(posix::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!in || posix::fstat(in.get(), &status) == -1) throw unreadable(file);
  errno = S_ISREG(status.st_mode) ? 0 : S_ISDIR(status.st_mode) ? EISDIR : ENODEV;
  if (errno != 0) throw unreadable(file);
  constexpr std::size_t piece = 1U << 16U;
  std::string text;
  std::size_t size = 0;
  while (size <= largest_file) {
    text.resize(size + piece);
    const auto count = posix::retry([&] { return posix::read(in.get(), &text[size], text.size() - size); });
    if (count == -1) throw unreadable(file);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  errno = EFBIG;
  if (size > largest_file) throw unreadable(file);
  text.resize(size);
  return text;
}

// Reads the file. Boost does not say in which line an error lies, so it gets the lines one by one. Some
// errors show only when options are stored: a value of the wrong type, a second value for the same name.
// `find_first_wrong` searches for these: an error among the first n options shows with more options, too.
class FileReader {
 public:
  FileReader(const fs::path& file, const po::options_description& options, Reading reading)
      : file_(file), options_(options), reading_(reading) {}

  po::parsed_options read() {
    parse();
    check();
    return parsed(read_.begin(), read_.end());
  }

 private:
  struct Read {
    po::option option;
    int line;
  };

  void check() {
    auto reason = error_among(read_.begin(), read_.end());
    if (!reason) return;
    if (reading_ == Reading::lenient) return drop_wrong();
    const std::size_t wrong = find_first_wrong(*reason);
    refuse(read_[wrong].line, *reason);
  }

  // Looks at each option alone, and at a second value beside the first: the time grows with the file's size,
  // not with its square.
  void drop_wrong() {
    std::vector<Read> right;
    std::map<std::string, std::size_t> first_of;  // name to place
    for (const Read& each : read_) {
      const auto [place, is_first] = first_of.insert({each.option.string_key, right.size()});
      std::vector<Read> together = {each};
      if (!is_first) together.insert(together.begin(), right[place->second]);
      if (!error_among(together.begin(), together.end())) right.push_back(each);
      else if (is_first) first_of.erase(place);
    }
    read_ = std::move(right);
  }

  void parse() {
    std::istringstream in(contents_of(file_));
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      if (number == 1 && line.rfind("\xef\xbb\xbf", 0) == 0) line.erase(0, 3);  // byte order mark
      const std::string text = without_comment(line);
      if (text.empty() || !is_allowed(text, number)) continue;
      if (is_section(text)) section_ = text;
      else parse(line, number);
    }
  }

  bool is_allowed(const std::string& text, int number) const {
    const std::string placeholder = placeholder_in(text);
    if (text.size() > longest_line) refuse(number, "the line is longer than 4096 bytes");
    else if (!placeholder.empty())
      refuse(number, '"' + placeholder + "\" is not allowed in a configuration file");
    else return true;
    return false;
  }

  void parse(const std::string& line, int number) {
    try {
      std::istringstream text(section_ + '\n' + line);
      for (const auto& option : po::parse_config_file(text, options_).options)
        read_.push_back({option, number});
    } catch (const po::error& error) {
      if (reading_ == Reading::strict) check();  // an error further up comes first
      refuse(number, error.what());
    }
  }

  void refuse(int line, const std::string& reason) const {
    if (reading_ == Reading::lenient) return;
    throw ConfigurationError(file_.string() + ':' + std::to_string(line) + ": " + reason);
  }

  using Place = std::vector<Read>::const_iterator;

  po::parsed_options parsed(Place begin, Place end) const {
    po::parsed_options options(&options_);
    for (; begin != end; ++begin) options.options.push_back(begin->option);
    return options;
  }

  std::optional<std::string> error_among(Place begin, Place end) const {
    try {
      po::variables_map scratch;
      po::store(parsed(begin, end), scratch);
      return {};
    } catch (const po::error& error) {
      return error.what();
    }
  }

  // Bisects: the first `good` options are without error, the first `bad` options are not.
  std::size_t find_first_wrong(std::string& reason) const {
    std::size_t good = 0;
    std::size_t bad = read_.size();
    while (bad - good > 1) {
      const std::size_t middle = good + (bad - good) / 2;
      auto error = error_among(read_.begin(), read_.begin() + static_cast<std::ptrdiff_t>(middle));
      if (error) reason = std::move(*error);
      (error ? bad : good) = middle;
    }
    return good;
  }

  const fs::path& file_;
  const po::options_description& options_;
  Reading reading_;
  std::string section_;
  std::vector<Read> read_;
};

void check_required(const po::variables_map& values, const po::options_description& options) {
  for (const auto& option : options.options()) {
    if (option->semantic()->is_required() && values.count(option->long_name()) == 0) {
      throw po::required_option("--" + option->long_name());
    }
  }
}

// Refuse an empty path or name here: a message of `validate` would name a member instead of the option.
void check_not_empty(const po::variables_map& values) {
  for (const char* name : {"pidfile", "chdir", "user", "group", "log"}) {
    if (values.count(name) != 0 && values[name].as<std::string>().empty()) {
      throw UsageError(std::string("the argument for option '--") + name + "' is empty");
    }
  }
}

}  // namespace

po::variables_map read_values(const Invocation& invocation, const po::options_description& file_options,
                              Reading reading) {
  po::variables_map values;
  try {
    po::store(invocation.command_line, values);
    if (!invocation.file.empty()) {
      po::store(FileReader(invocation.file, file_options, reading).read(), values);
    }
    check_not_empty(values);
    if (reading == Reading::strict) check_required(values, file_options);
    return values;
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace daemonctx
