// SPDX-License-Identifier: BSL-1.0
#include "service/configuration.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <boost/algorithm/string/trim.hpp>
#include <cerrno>
#include <map>
#include <optional>
#include <posix/syscalls.hpp>
#include <sstream>
#include <system_error>
#include <vector>

#include "posix/retry.hpp"
#include "service/placeholders.hpp"
#include "service/suggestion.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

std::string without_comment(const std::string& line) {
  return boost::algorithm::trim_copy(line.substr(0, line.find('#')));
}

bool is_section(const std::string& text) {
  return text.size() > 1 && text.front() == '[' && text.back() == ']';
}

// Each line is read together with its section.
constexpr std::size_t longest_line = 4096;

constexpr std::size_t largest_file = 1U << 20U;

// Reads the file. Boost does not say in which line an error lies, so it gets the lines one by one. Some
// errors show only when options are stored: a value of the wrong type, a second value for the same name.
// `find_first_wrong` searches for these: an error among the first n options shows with more options, too.
class FileReader {
 public:
  FileReader(const ConfigurationFile& file, const po::options_description& options, Reading reading)
      : file_(file), options_(options), reading_(reading) {}

  po::parsed_options read() {
    parse();
    check();
    return parsed(read_.begin(), read_.end());
  }

  std::map<std::string, std::string> origins() const {
    std::map<std::string, std::string> origins;
    for (const Read& each : read_) origins[each.option.string_key] = place(each.line);
    return origins;
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
    std::istringstream in(file_.text);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      if (number == 1 && line.rfind("\xef\xbb\xbf", 0) == 0) line.erase(0, 3);  // byte order mark
      const std::string text = without_comment(line);
      if (text.empty() || !is_allowed(text, number)) continue;
      if (is_section(text)) section_ = text;
      else parse(line, number);
    }
  }

  bool is_allowed(const std::string& text, int number) {
    const std::string placeholder = placeholder_in(text);
    if (text.find('\0') != std::string::npos) refuse_first(number, "the line has a NUL byte");
    else if (text.size() > longest_line) refuse_first(number, "the line is longer than 4096 bytes");
    else if (!placeholder.empty())
      refuse_first(number, '"' + placeholder + "\" is not allowed in a configuration file");
    else return true;
    return false;
  }

  void parse(const std::string& line, int number) {
    try {
      std::istringstream text(section_ + '\n' + line);
      for (const auto& option : po::parse_config_file(text, options_).options)
        read_.push_back({option, number});
    } catch (const po::invalid_config_file_syntax&) {
      refuse_first(number,
                   "the line \"" + line + R"(" has not the form "name = value"; a comment begins with #)");
    } catch (const po::error& error) {
      refuse_first(number, with_suggestion(error, options_));
    }
  }

  // Unless there is an error further up.
  void refuse_first(int line, const std::string& reason) {
    if (reading_ == Reading::lenient) return;
    check();
    refuse(line, reason);
  }

  std::string place(int line) const { return file_.name + ':' + std::to_string(line); }

  void refuse(int line, const std::string& reason) const {
    if (reading_ == Reading::lenient) return;
    throw ConfigurationError(place(line) + ": " + reason, 0);
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

  const ConfigurationFile& file_;
  const po::options_description& options_;
  Reading reading_;
  std::string section_;
  std::vector<Read> read_;
};

// Refuse an empty path or name here: a message of `validate` would name a member instead of the option.
void check_not_empty(const Configuration& configuration) {
  for (const char* name : {"pidfile", "chdir", "user", "group", "log"}) {
    const auto& values = configuration.values;
    if (values.count(name) == 0 || !values[name].as<std::string>().empty()) continue;
    const auto origin = configuration.origins.find(name);
    if (origin == configuration.origins.end())
      throw UsageError(std::string("the argument for option '--") + name + "' is empty");
    throw ConfigurationError(origin->second + ": the argument for option '" + name + "' is empty", 0);
  }
}

}  // namespace

void check_required(const po::variables_map& values, const po::options_description& options) {
  for (const auto& option : options.options()) {
    if (option->semantic()->is_required() && values.count(option->long_name()) == 0) {
      throw po::required_option("--" + option->long_name());
    }
  }
}

ConfigurationError unreadable(const std::string& name, int error) {
  return {"cannot read the configuration file \"" + name + "\": " + std::generic_category().message(error),
          error};
}

// The file may be another one after any look at its name, also a FIFO, and it may grow: one descriptor is
// looked at and read, and the bytes are counted.
std::string configuration_text(const UniqueFd& file, const std::string& name) {
  struct stat status {};
  if (!file || posix::fstat(file.get(), &status) == -1) throw unreadable(name, errno);
  if (S_ISDIR(status.st_mode)) throw unreadable(name, EISDIR);
  if (!S_ISREG(status.st_mode))
    throw ConfigurationError("the configuration file \"" + name + "\" is no regular file", ENODEV);
  constexpr std::size_t piece = 1U << 16U;
  std::string text;
  std::size_t size = 0;
  while (size <= largest_file) {
    text.resize(size + piece);
    const auto count = posix::retry([&] { return posix::read(file.get(), &text[size], text.size() - size); });
    if (count == -1) throw unreadable(name, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > largest_file) throw unreadable(name, EFBIG);
  text.resize(size);
  return text;
}

Configuration read_values(const Invocation& invocation, const std::optional<ConfigurationFile>& file,
                          const po::options_description& file_options, Reading reading) {
  Configuration result;
  po::variables_map& values = result.values;
  try {
    po::store(invocation.command_line, values);
    if (file) {
      FileReader reader(*file, file_options, reading);
      po::store(reader.read(), values);
      result.origins = reader.origins();
    }
    for (const auto& option : invocation.command_line.options) result.origins.erase(option.string_key);
    check_not_empty(result);
    if (reading == Reading::strict) check_required(values, file_options);
    return result;
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace daemonctx
