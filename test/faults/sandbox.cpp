// SPDX-License-Identifier: BSL-1.0
#include "sandbox.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "sandbox_paths.hpp"

namespace faults {
namespace {

constexpr const char* journal_path = "/run/journal";
constexpr const char* manager_path = "/run/manager";

void require(bool is_good, const std::string& what) {
  if (!is_good) throw std::system_error(errno, std::generic_category(), what);
}

void make_directory(const char* path, mode_t mode) {
  require(::mkdir(path, mode) == 0 && ::chmod(path, mode) == 0, path);
}

int datagram_socket(const char* path) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  require(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, path);
  ::chmod(path, 0666);
  return fd;
}

// Also closes the descriptors that came with a message: a barrier waits for that.
std::vector<std::string> drain(int fd) {
  std::vector<std::string> messages;
  std::array<char, 4096> text;
  alignas(cmsghdr) std::array<char, 256> control;
  for (;;) {
    iovec part = {text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (size == -1) return messages;
    messages.emplace_back(text.data(), static_cast<std::size_t>(size));
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
      int passed = -1;
      std::memcpy(&passed, CMSG_DATA(each), sizeof passed);
      ::close(passed);
    }
  }
}

const std::array<int, 9> noted_signals = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                          SIGUSR2, SIGALRM, SIGABRT, SIGWINCH};

void note_signal(int number) {
  std::array<char, 32> line = {"bystander signal 00\n"};
  line[17] = static_cast<char>('0' + number / 10);
  line[18] = static_cast<char>('0' + number % 10);
  if (::write(journal_fd, line.data(), std::strlen(line.data())) == -1) ::_exit(1);
}

}  // namespace

bool Result::exited(int code) const { return !hangs && WIFEXITED(status) && WEXITSTATUS(status) == code; }

std::string text_of(const Result& result) {
  if (result.hangs) return "hangs";
  const std::string end = WIFEXITED(result.status) ? "exit code " + std::to_string(WEXITSTATUS(result.status))
                                                   : "signal " + std::to_string(WTERMSIG(result.status));
  return end + ", output \"" + result.output + '"';
}

Sandbox::Sandbox(std::string subject, std::string words)
    : subject_(std::move(subject)), words_(std::move(words)) {
  require(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  require(::mount("proc", "/proc", "proc", 0, nullptr) == 0, "/proc");
  write_file("/proc/sys/kernel/ns_last_pid", "12344");  // a number of one digit can't be cut short
  mount_run();
  if (has("syslog")) mount_dev();
  const int journal = ::open(journal_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  require(journal != -1 && ::dup2(journal, journal_fd) != -1, journal_path);
  ::close(journal);
  ::signal(SIGPIPE, SIG_IGN);
  environment_ = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SUBJECT=" + words_};
  if (has("manager")) {
    manager_ = datagram_socket(manager_path);
    environment_.push_back(std::string("NOTIFY_SOCKET=") + manager_path);
  }
  start_bystander();
}

bool Sandbox::has(const std::string& word) const {
  return (',' + words_ + ',').find(',' + word + ',') != std::string::npos;
}

void Sandbox::mount_run() {
  require(::mount("sandbox", "/run", "tmpfs", 0, "mode=755") == 0, "/run");
  make_directory("/run/subject", 0755);
  make_directory(jail, 0755);
  make_directory(kept_directory, 0755);
}

// A service looks for syslog at /dev/log.
void Sandbox::mount_dev() {
  make_directory("/run/dev", 0755);
  for (const char* name : {"null", "zero", "urandom"}) {
    const std::string from = std::string("/dev/") + name;
    const std::string to = std::string("/run/dev/") + name;
    write_file(to, "");
    require(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) == 0, to);
  }
  require(::mount("/run/dev", "/dev", nullptr, MS_BIND | MS_REC, nullptr) == 0, "/dev");
  syslog_ = datagram_socket("/dev/log");
}

void Sandbox::forget_manager() {
  if (manager_ != -1) environment_.pop_back();
}

void Sandbox::start_bystander() {
  bystander_ = ::fork();
  require(bystander_ != -1, "fork");
  struct sigaction action {};
  action.sa_handler = note_signal;
  for (const int number : noted_signals) ::sigaction(number, &action, nullptr);
  if (bystander_ != 0) return;
  for (;;) ::pause();
}

std::string Sandbox::signals_to_others() {
  for (const std::string& line : journal()) {
    if (line.rfind("bystander", 0) == 0) return "a bystander was signalled: " + line;
  }
  return end_of(bystander_) ? "the bystander was killed" : "";
}

Result Sandbox::begin(const std::string& name, const std::string& action) {
  const std::string output = "/run/output." + std::to_string(++commands_);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  Result result;
  result.pid = tracer_.start(name, {subject_, action}, environment_, out);
  result.output = output;
  ::close(out);
  return result;
}

void Sandbox::finish(Result& result) {
  const bool ends = tracer_.run_until(
      [&] {
        read_sockets();
        return end_of(result.pid).has_value();
      },
      hang_limit);
  result.hangs = !ends;
  result.status = end_of(result.pid).value_or(-1);
  result.output = contents(result.output);
}

Result Sandbox::run(const std::string& name, const std::string& action) {
  Result result = begin(name, action);
  finish(result);
  return result;
}

void Sandbox::read_sockets() {
  if (manager_ != -1) drain(manager_);
  if (syslog_ == -1) return;
  for (std::string& message : drain(syslog_)) syslog_messages_.push_back(std::move(message));
}

int Sandbox::count_syslog(const std::string& text) {
  read_sockets();
  return static_cast<int>(
      std::count_if(syslog_messages_.begin(), syslog_messages_.end(),
                    [&](const std::string& each) { return each.find(text) != std::string::npos; }));
}

std::vector<std::string> Sandbox::journal() const {
  std::istringstream text(contents(journal_path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> Sandbox::told() const {
  std::vector<std::string> lines = journal();
  for (std::string& line : lines) line += ' ' + tracer_.name_of(std::stoi(line.substr(line.rfind(' ') + 1)));
  for (const char* file : {rotated_log, log}) {
    std::istringstream text(contents(file));
    for (std::string line; std::getline(text, line);) lines.push_back("log: " + line);
  }
  return lines;
}

int Sandbox::count(const std::string& text) const { return static_cast<int>(authors(text).size()); }

std::vector<pid_t> Sandbox::authors(const std::string& text) const {
  std::vector<pid_t> found;
  for (const std::string& line : journal()) {
    if (line.rfind(text, 0) == 0) found.push_back(std::stoi(line.substr(line.rfind(' ') + 1)));
  }
  return found;
}

bool Sandbox::await(const std::string& text, int known, std::chrono::milliseconds limit) {
  return tracer_.run_until(
             [&] {
               read_sockets();
               return count(text) > known || processes().empty();
             },
             limit) &&
         count(text) > known;
}

bool Sandbox::await_living(const std::string& text, std::chrono::milliseconds limit,
                           const std::string& other) {
  return tracer_.run_until(
      [&] {
        read_sockets();
        const auto all = authors(text);
        return !all.empty() && lives(all.back()) && tracer_.name_of(all.back()) != other;
      },
      limit);
}

bool Sandbox::lives(pid_t pid) const {
  const auto alive = processes();
  return std::find(alive.begin(), alive.end(), pid) != alive.end();
}

std::vector<pid_t> Sandbox::processes() const {
  std::vector<pid_t> found;
  for (const std::string& name : entries_of("/proc")) {
    const int pid = std::atoi(name.c_str());
    if (pid > 1 && pid != bystander_) found.push_back(pid);
  }
  return found;
}

std::vector<std::string> Sandbox::descriptors() const {
  std::vector<std::string> found;
  for (const pid_t pid : processes()) {
    const std::string table = "/proc/" + std::to_string(pid) + "/fd";
    for (const std::string& number : entries_of(table)) {
      std::string target = link_at(table + '/' + number);
      if (target == rotated_log) target = log;  // a log that can't be opened again stays in use
      if (!target.empty()) found.push_back(target.substr(0, target.find('[')));
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> Sandbox::sockets_of(pid_t pid) const {
  const std::string table = "/proc/" + std::to_string(pid) + "/fd";
  std::vector<std::string> found;
  for (const std::string& number : entries_of(table)) {
    std::string target = link_at(table + '/' + number);
    if (target.rfind("socket:", 0) == 0) found.push_back(std::move(target));
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool Sandbox::await_no_process(std::chrono::milliseconds limit) {
  return tracer_.run_until(
      [&] {
        read_sockets();
        return processes().empty();
      },
      limit);
}

std::vector<std::string> entries_of(const std::string& path) {
  std::vector<std::string> names;
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) return names;
  while (const dirent* const entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(directory);
  return names;
}

std::string link_at(const std::string& path) {
  std::array<char, 256> target{};
  return ::readlink(path.c_str(), target.data(), target.size() - 1) == -1 ? "" : target.data();
}

bool exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace faults
