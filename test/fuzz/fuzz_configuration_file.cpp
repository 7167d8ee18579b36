// SPDX-License-Identifier: BSL-1.0

// Configuration files. A user may be able to write one that root reads.

#include "base/number.hpp"
#include "base/one_line.hpp"
#include "fuzz.hpp"
#include "service/configuration.hpp"
#include "service_options.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

namespace po = boost::program_options;

constexpr const char* file_name = "/etc/fuzzed.conf";

Configuration read(const std::string& text, Reading reading) {
  const Invocation nothing{{}, {}, po::parsed_options(&fuzz::all_options())};
  return read_values(nothing, ConfigurationFile{file_name, text}, fuzz::file_options(), reading);
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
}

// The number N of "FILE:N: ..." or "FILE:N".
std::size_t line_in(const std::string& message) {
  const std::string prefix = std::string(file_name) + ':';
  require(message.starts_with(prefix), "a refusal begins with the file");
  const std::string number = message.substr(prefix.size(), message.find(':', prefix.size()) - prefix.size());
  const auto line = to_number<std::size_t>(number);
  require(line.has_value(), "a refusal names the line");
  return *line;
}

std::string lines_before(const std::string& text, std::size_t line) {
  std::size_t end = 0;
  for (std::size_t count = 1; count < line; ++count) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

// Empty if the file is refused.
std::optional<Configuration> read_strictly(const std::string& text) {
  try {
    return read(text, Reading::strict);
  } catch (const ConfigurationError& refusal) {
    const std::string message = refusal.what();
    const std::size_t line = line_in(message);
    require(line > 0 && line <= lines_of(text), "the line is one of the file");
    require(message.size() > std::strlen(file_name) + 4, "a refusal has a reason");
    require(fuzz::is_one_line(one_line(message)), "a refusal is one line where it is printed");
    require(refusal.reason() == 0, "a wrong text is no error of the system");
    return {};
  }
}

void check_origins(const Configuration& configuration, const std::string& text) {
  for (const auto& [name, origin] : configuration.origins) {
    require(configuration.values.count(name) == 1, "an origin is that of a value");
    const std::size_t line = line_in(origin);
    require(line > 0 && line <= lines_of(text), "the origin is a line of the file");
    const std::string rest = text.substr(lines_before(text, line).size());
    const std::string last = name.substr(name.rfind('.') + 1);
    require(rest.substr(0, rest.find('\n')).find(last) != std::string::npos, "the line names the option");
  }
}

const std::string* text_value(const Configuration& configuration, const std::string& name) {
  return boost::any_cast<std::string>(&configuration.values[name].value());
}

// What was read and is written again reads the same.
void check_round_trip(const Configuration& configuration) {
  std::string text;
  std::string sections;
  for (const auto& [name, origin] : configuration.origins) {
    const std::string* const value = text_value(configuration, name);
    if (value == nullptr) continue;
    require(value->find('\0') == std::string::npos, "a value is a text of the system");
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos) text += name + " = " + *value + '\n';
    else sections += '[' + name.substr(0, dot) + "]\n" + name.substr(dot + 1) + " = " + *value + '\n';
  }
  const auto again = read_strictly(text + sections);
  require(again.has_value(), "what was read can be read again");
  for (const auto& [name, origin] : again->origins)
    require(*text_value(*again, name) == *text_value(configuration, name), "a value reads the same again");
}

void check_values(const Configuration& configuration) {
  const auto& values = configuration.values;
  if (values.count("umask") != 0) require(values["umask"].as<Mode>().value <= 0777, "a umask is a mode");
  for (const char* name : {"ready-timeout", "stop-timeout"}) {
    if (values.count(name) != 0)
      require(values[name].as<Seconds>().value >= Timeout(), "no time is negative");
  }
  for (const char* name : {"pidfile", "chdir", "user", "group", "log"}) {
    if (values.count(name) != 0) require(!values[name].as<std::string>().empty(), "no path or name is empty");
  }
}

void check_lenient(const std::string& text, const std::optional<Configuration>& strict) {
  try {
    const Configuration lenient = read(text, Reading::lenient);
    check_values(lenient);
    check_origins(lenient, text);
    if (strict) require(lenient.origins == strict->origins, "without a wrong line both readings are alike");
  } catch (const ConfigurationError& refusal) {
    require(!strict, "what is right to the strict reading is right to the lenient one");
    require(std::string(refusal.what()).ends_with("' is empty"), "the lenient reading skips wrong lines");
  }
}

// All lines before the first wrong one are right.
void check_first(const std::string& text) {
  try {
    read(text, Reading::strict);
  } catch (const ConfigurationError& refusal) {
    if (std::string(refusal.what()).ends_with("' is empty")) return;  // found when all is read
    const std::string before = lines_before(text, line_in(refusal.what()));
    try {
      read(before, Reading::strict);
    } catch (const ConfigurationError& earlier) {
      require(std::string(earlier.what()).ends_with("' is empty"), "a refusal names the first wrong line");
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file;
  const std::string given = fuzz::Input(data, size).rest();
  const std::string text = configuration_text(UniqueFd(file.with(given)), file_name);
  require(text == given, "a file is read as it is");
  const auto strict = read_strictly(text);
  if (strict) {
    check_values(*strict);
    check_origins(*strict, text);
    check_round_trip(*strict);
  } else {
    check_first(text);
  }
  check_lenient(text, strict);
  return 0;
}
