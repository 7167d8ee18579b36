// SPDX-License-Identifier: BSL-1.0

// Command lines: of a program that root may run for another user, as through sudo(8).

#include <iostream>
#include <sstream>

#include "base/one_line.hpp"
#include "daemonctx/service.hpp"
#include "fuzz.hpp"
#include "service/configuration.hpp"
#include "service_options.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

namespace po = boost::program_options;

// Its arguments are those of main().
class Arguments {
 public:
  explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {
    words_.insert(words_.begin(), "fuzzed");
    for (const std::string& word : words_) pointers_.push_back(word.c_str());
    pointers_.push_back(nullptr);
  }

  int count() const { return static_cast<int>(words_.size()); }
  const char* const* values() const { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<const char*> pointers_;
};

struct Captured {
  std::ostringstream text;
  std::ostream& stream;
  std::streambuf* before;

  explicit Captured(std::ostream& captured) : stream(captured), before(captured.rdbuf(text.rdbuf())) {}
  ~Captured() {
    stream.rdbuf(before);
    stream.clear();
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
};

Invocation parse(const Arguments& arguments) {
  return daemonctx::parse_command_line(arguments.count(), arguments.values(), fuzz::all_options(), {});
}

std::optional<Invocation> parse_if_right(const Arguments& arguments) {
  try {
    return parse(arguments);
  } catch (const UsageError& refusal) {
    require(std::strlen(refusal.what()) > 0, "a refusal has a reason");
    require(fuzz::is_one_line(one_line(refusal.what())), "a refusal is one line where it is printed");
    return {};
  }
}

void check_values(const Invocation& invocation) {
  try {
    const Configuration configuration = read_values(invocation, {}, fuzz::file_options(), Reading::strict);
    require(configuration.origins.empty(), "without a file no value has a line");
    const auto& values = configuration.values;
    if (values.count("umask") != 0) require(values["umask"].as<Mode>().value <= 0777, "a umask is a mode");
    if (values.count("stop-timeout") != 0)
      require(values["stop-timeout"].as<Seconds>().value >= Timeout(), "no time is negative");
    if (values.count("pidfile") != 0)
      require(!values["pidfile"].as<std::string>().empty(), "no path is empty");
  } catch (const UsageError& refusal) {
    require(fuzz::is_one_line(one_line(refusal.what())), "a refusal is one line where it is printed");
  }
}

// The command line in its longest spelling means the same.
void check_round_trip(const Invocation& invocation) {
  std::vector<std::string> words;
  for (const po::option& option : invocation.command_line.options) {
    words.push_back("--" + option.string_key);
    if (option.value.empty()) continue;
    // Boost takes "--option=" for an option that lacks its value.
    if (option.value.front().empty()) words.emplace_back();
    else words.back() += '=' + option.value.front();
  }
  words.emplace_back("--");
  const bool has_action = !invocation.action.empty() || !invocation.words.empty();
  if (has_action) words.push_back(invocation.action);
  words.insert(words.end(), invocation.words.begin(), invocation.words.end());
  const auto again = parse_if_right(Arguments(words));
  require(again.has_value(), "what was parsed can be parsed again");
  require(again->action == invocation.action && again->words == invocation.words,
          "the words are the same again");
  const auto& one = invocation.command_line.options;
  const auto& other = again->command_line.options;
  require(std::equal(one.begin(), one.end(), other.begin(), other.end(),
                     [](const po::option& left, const po::option& right) {
                       return left.string_key == right.string_key && left.value == right.value;
                     }),
          "the options are the same again");
}

// The actions that change nothing, and read no file.
bool is_harmless(const std::string& action) {
  return action == "help" || action == "completion" || action == "manpage" || action.empty();
}

void run(const Arguments& arguments) {
  Service service("fuzzed", {}, [](DaemonContext&) { return 0; });
  service.options().add_options()("port", po::value<unsigned>()->default_value(80));
  service.version("1");
  service.on_options([](const auto&, auto&) { require(false, "help starts nothing"); });
  const Captured output(std::cout);
  const Captured errors(std::cerr);
  const int code = service.main(arguments.count(), arguments.values());
  const std::string said = errors.text.str();
  require((code != 0) == !said.empty(), "a failure, and only that, is told");
  if (said.empty()) return;
  require(said.find("fuzzed: ") == 0 && said.back() == '\n', "a failure is a line with the program's name");
  require(fuzz::is_one_line(said.substr(0, said.size() - 1)), "a failure is one line");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::Input(data, size).rest();
  std::vector<std::string> words = fuzz::split(text, '\n');
  for (std::string& word : words) word = word.substr(0, word.find('\0'));
  const Arguments arguments(words);
  std::string action;
  try {
    action = action_in(arguments.count(), arguments.values(), fuzz::all_options());
  } catch (const UsageError& refusal) {
    require(fuzz::is_one_line(one_line(refusal.what())), "a refusal is one line where it is printed");
  }
  if (is_harmless(action)) run(arguments);
  const auto invocation = parse_if_right(arguments);
  if (!invocation) return 0;
  require(invocation->action == action, "both readings find the same action");
  check_values(*invocation);
  check_round_trip(*invocation);
  return 0;
}
