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
#include "process/return_note.hpp"

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
                                          {"connection", &HandOver::connection},
                                          {"lifeline", &HandOver::lifeline},
                                          {"notes", &HandOver::notes},
                                          {"output", &HandOver::output},
                                          {"error", &HandOver::error},
                                          {"memory", &HandOver::memory},
                                          {"service_memory", &HandOver::service_memory},
                                          {"worker_pidfile", &HandOver::worker_pidfile},
                                          {"program", &HandOver::program}});

constexpr auto worker_descriptors =
    std::to_array({&HandedWorker::connection, &HandedWorker::lifeline, &HandedWorker::notes});
constexpr auto worker_flags =
    std::to_array({&HandedWorker::is_ready, &HandedWorker::offers_reload, &HandedWorker::has_released});
constexpr auto end_flags = std::to_array({&WorkerEnd::core_dumped, &WorkerEnd::hung, &WorkerEnd::was_ready});
constexpr auto pump_descriptors =
    std::to_array({&HandedPump::reader, &HandedPump::writer, &HandedPump::rest});

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

// A descriptor that is not given is a dash.
int descriptor_in(std::string_view& line) {
  if (line.substr(0, line.find(' ')) != "-") return number_in<int>(line);
  take_word(line, ' ');
  return -1;
}

std::string descriptor_text(int fd) { return fd == -1 ? " -" : ' ' + std::to_string(fd); }

HandedWorker worker_in(std::string_view line) {
  HandedWorker worker;
  worker.pid = number_in<pid_t>(line);
  worker.number = number_in<unsigned>(line);
  worker.began = number_in<std::int64_t>(line);
  worker.mapped = number_in<std::uint64_t>(line);
  for (bool HandedWorker::*flag : worker_flags) worker.*flag = number_in<int>(line) != 0;
  for (int HandedWorker::*fd : worker_descriptors) worker.*fd = descriptor_in(line);
  return worker;
}

std::string line_of(const HandedWorker& worker) {
  std::string text = "worker " + std::to_string(worker.pid) + ' ' + std::to_string(worker.number) + ' ' +
                     std::to_string(worker.began) + ' ' + std::to_string(worker.mapped);
  for (bool HandedWorker::*flag : worker_flags) text += worker.*flag ? " 1" : " 0";
  for (int HandedWorker::*fd : worker_descriptors) text += descriptor_text(worker.*fd);
  return text + '\n';
}

WorkerEnd end_in(std::string_view line) {
  WorkerEnd end;
  end.worker_number = number_in<unsigned>(line);
  end.pid = number_in<pid_t>(line);
  end.exit_code = number_in<int>(line);
  end.signal = number_in<int>(line);
  for (bool WorkerEnd::*flag : end_flags) end.*flag = number_in<int>(line) != 0;
  end.uptime = std::chrono::milliseconds(number_in<std::int64_t>(line));
  if (!line.empty()) end.fault_address = number_in<std::uint64_t>(line);
  return end;
}

std::string line_of(const WorkerEnd& end) {
  std::string text = "last_end " + std::to_string(end.worker_number) + ' ' + std::to_string(end.pid) + ' ' +
                     std::to_string(end.exit_code) + ' ' + std::to_string(end.signal);
  for (bool WorkerEnd::*flag : end_flags) text += end.*flag ? " 1" : " 0";
  text += ' ' + std::to_string(std::chrono::milliseconds(end.uptime).count());
  if (end.fault_address) text += ' ' + std::to_string(*end.fault_address);
  return text + '\n';
}

HandedPump pump_in(std::string_view line) {
  HandedPump pump;
  for (int HandedPump::*fd : pump_descriptors) pump.*fd = descriptor_in(line);
  return pump;
}

std::string line_of(const HandedPump& pump) {
  std::string text = "pump";
  for (int HandedPump::*fd : pump_descriptors) text += descriptor_text(pump.*fd);
  return text + '\n';
}

// A number of one of the enumerations, the last of which is `last`.
template <class Enum>
Enum choice_in(std::string_view& line, Enum last, const char* what) {
  const int choice = number_in<int>(line);
  if (choice > static_cast<int>(last)) refuse(std::string("its record has an unknown ") + what);
  return static_cast<Enum>(choice);
}

// A word that a version does not know belongs to another version.
void read_line(HandOver& record, std::string_view line) {
  const std::string_view word = take_word(line, ' ');
  const auto* const key =
      std::find_if(keys.begin(), keys.end(), [&](const Key& each) { return each.name == word; });
  if (key != keys.end()) {
    record.*key->descriptor = number_in<int>(line);
  } else if (word == "mode") {
    record.mode = choice_in(line, LaunchMode::init, "mode");
  } else if (word == "role") {
    record.role = choice_in(line, HandOver::Role::monitor, "role");
  } else if (word == "requester") {
    record.requester = number_in<pid_t>(line);
  } else if (word == "finished") {
    record.finished = number_in<std::uint64_t>(line);
  } else if (word == "reloads") {
    record.reloads = number_in<std::uint64_t>(line);
  } else if (word == "number") {
    record.number = number_in<unsigned>(line);
  } else if (word == "pump_count") {
    record.pump_count = number_in<unsigned>(line);
  } else if (word == "monitor") {
    record.monitor = number_in<pid_t>(line);
  } else if (word == "file") {
    record.file = line;
  } else if (word == "last_end") {
    record.last_end = end_in(line);
  } else if (word == "opens") {
    record.opens.emplace_back(line);
  } else if (word == "pump") {
    record.pumps.push_back(pump_in(line));
  } else if (word == "worker") {
    record.workers.push_back(worker_in(line));
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
  add("role", static_cast<int>(role));
  add("mode", static_cast<int>(mode));
  add("requester", requester);
  add("finished", finished);
  add("reloads", reloads);
  add("number", number);
  add("pump_count", pump_count);
  add("monitor", monitor);
  for (const Key& each : keys) {
    if (this->*each.descriptor != -1) add(each.name, this->*each.descriptor);
  }
  for (const auto& [word, list] : {std::pair("socket", &sockets), std::pair("passed", &passed)}) {
    for (const ListenDescriptor& each : *list)
      text += std::string(word) + ' ' + std::to_string(each.fd) + ' ' + each.name + '\n';
  }
  for (const HandedPump& each : pumps) text += line_of(each);
  for (const HandedWorker& each : workers) text += line_of(each);
  if (last_end) text += line_of(*last_end);
  if (!file.empty()) text += "file " + file + '\n';
  for (const std::string& each : opens) text += "opens " + each + '\n';
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
  const auto add = [&](int fd) {
    if (fd != -1) list.push_back(fd);
  };
  for (const HandedPump& each : pumps) {
    for (int HandedPump::*fd : pump_descriptors) add(each.*fd);
  }
  for (const HandedWorker& each : workers) {
    for (int HandedWorker::*fd : worker_descriptors) add(each.*fd);
  }
  return list;
}

std::optional<HandOver> HandOver::take() {
  const char* const number =
      ::secure_getenv(hand_over_variable.data());  // a set-uid program trusts no starter
  if (number == nullptr) return {};
  try {
    UniqueFd file(to_number<int>(number).value_or(-1));
    ::unsetenv(hand_over_variable.data());
    if (!posix::is_sealed_memory(file)) refuse("it gave no record");
    HandOver record = parse(posix::bytes_of(file));
    for (const int fd : record.descriptors()) {
      if (posix::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
        refuse("its record names descriptor " + std::to_string(fd) + ", which is not open");
    }
    if (record.role == Role::monitor) process::return_note.record = file.release();
    return record;
  } catch (const std::exception& error) {
    throw DaemonError(Step::adopt_predecessor, std::make_error_code(std::errc::invalid_argument), {},
                      std::string("cannot take over from the running daemon: ") + error.what());
  }
}

}  // namespace daemonctx
