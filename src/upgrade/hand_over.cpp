// SPDX-License-Identifier: BSL-1.0
#include "upgrade/hand_over.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <utility>

#include "base/number.hpp"
#include "daemonctx/error.hpp"
#include "posix/sealed_memory.hpp"

namespace daemonctx {
namespace {

constexpr std::string_view first_word = "daemonctx-hand-over";

struct Key {
  std::string_view name;
  int HandOver::*descriptor;
};
constexpr auto keys = std::to_array<Key>({{"pidfile", &HandOver::pidfile},
                                          {"status", &HandOver::status},
                                          {"channel", &HandOver::channel},
                                          {"output", &HandOver::output},
                                          {"error", &HandOver::error},
                                          {"memory", &HandOver::memory}});

[[noreturn]] void refuse(const std::string& reason) { throw std::runtime_error(reason); }

template <class Number>
Number number_in(std::string_view& line) {
  const std::string_view word = take_word(line, ' ');
  const auto number = to_number<Number>(word);
  if (!number || *number < 0) refuse("its record says \"" + std::string(word) + "\" in place of a number");
  return *number;
}

void check_version(std::string_view line) {
  if (take_word(line, ' ') != first_word) refuse("it gave no record");
  if (const int found = number_in<int>(line); found != HandOver::version) {
    refuse("its record has version " + std::to_string(found) + ", and this program knows only version " +
           std::to_string(HandOver::version));
  }
}

// A word that a version does not know belongs to another version.
void read_line(HandOver& record, std::string_view line) {
  const std::string_view word = take_word(line, ' ');
  const auto* const key =
      std::find_if(keys.begin(), keys.end(), [&](const Key& each) { return each.name == word; });
  if (key != keys.end()) {
    record.*key->descriptor = number_in<int>(line);
  } else if (word == "mode") {
    const int mode = number_in<int>(line);
    if (mode > static_cast<int>(LaunchMode::init)) refuse("its record has an unknown mode");
    record.mode = static_cast<LaunchMode>(mode);
  } else if (word == "requester") {
    record.requester = number_in<pid_t>(line);
  } else if (word == "finished") {
    record.finished = number_in<std::uint64_t>(line);
  } else if (word == "socket" || word == "passed") {
    const int fd = number_in<int>(line);
    (word == "socket" ? record.sockets : record.passed).push_back({std::string(line), fd});
  } else {
    refuse("its record has a line \"" + std::string(word) + "\", which this program does not know");
  }
}

}  // namespace

std::string HandOver::to_text() const {
  std::string text = std::string(first_word) + ' ' + std::to_string(version) + '\n';
  const auto add = [&](std::string_view word, auto number) {
    text += std::string(word) + ' ' + std::to_string(number) + '\n';
  };
  add("mode", static_cast<int>(mode));
  add("requester", requester);
  add("finished", finished);
  for (const Key& each : keys) {
    if (this->*each.descriptor != -1) add(each.name, this->*each.descriptor);
  }
  for (const auto& [word, list] : {std::pair("socket", &sockets), std::pair("passed", &passed)}) {
    for (const ListenDescriptor& each : *list)
      text += std::string(word) + ' ' + std::to_string(each.fd) + ' ' + each.name + '\n';
  }
  return text;
}

HandOver HandOver::parse(std::string_view text) {
  check_version(take_word(text, '\n'));
  HandOver record;
  while (!text.empty()) read_line(record, take_word(text, '\n'));
  return record;
}

std::vector<int> HandOver::descriptors() const {
  std::vector<int> list;
  for (const Key& each : keys) {
    if (this->*each.descriptor != -1) list.push_back(this->*each.descriptor);
  }
  for (const auto* names : {&sockets, &passed}) {
    for (const ListenDescriptor& each : *names) list.push_back(each.fd);
  }
  return list;
}

std::optional<HandOver> HandOver::take() {
  const char* const number =
      ::secure_getenv(hand_over_variable.data());  // a set-uid program trusts no starter
  if (number == nullptr) return {};
  try {
    const UniqueFd file(to_number<int>(number).value_or(-1));
    ::unsetenv(hand_over_variable.data());
    if (!posix::is_sealed_memory(file)) refuse("it gave no record");
    HandOver record = parse(posix::bytes_of(file));
    for (const int fd : record.descriptors()) {
      if (posix::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
        refuse("its record names descriptor " + std::to_string(fd) + ", which is not open");
    }
    return record;
  } catch (const std::exception& error) {
    throw DaemonError(Step::adopt_predecessor, std::make_error_code(std::errc::invalid_argument), {},
                      std::string("cannot take over from the running daemon: ") + error.what());
  }
}

}  // namespace daemonctx
