// SPDX-License-Identifier: BSL-1.0
#include "scene.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace scene {
namespace {

namespace fs = boost::filesystem;
using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

void make_pipe(std::array<int, 2>& ends) {
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::runtime_error("pipe2");
}

[[noreturn]] void exec(const Words& command, const std::function<void()>& surroundings = {}) {
  begin_afresh();
  if (surroundings) surroundings();
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(words[0], words.data());
  ::_exit(127);
}

// Appends what there is; false at the end of file.
bool read_some(int fd, std::string& to) {
  std::array<char, 65536> buffer;
  const ssize_t size = ::read(fd, buffer.data(), buffer.size());
  if (size > 0) to.append(buffer.data(), static_cast<std::size_t>(size));
  return size > 0;
}

pid_t parent_of(const std::string& pid) {
  const std::string stat = contents("/proc/" + pid + "/stat");
  const auto after_name = stat.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream rest(stat.substr(after_name + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

void end_children() {
  for (;;) {
    const auto all = children();
    if (all.empty()) return;
    for (const pid_t pid : all) ::kill(pid, SIGKILL);
    for (const pid_t pid : all) ::waitpid(pid, nullptr, 0);
  }
}

}  // namespace

bool End::exited(int status) const { return WIFEXITED(raw) && WEXITSTATUS(raw) == status; }
bool End::killed_by(int signal) const { return WIFSIGNALED(raw) && WTERMSIG(raw) == signal; }

std::ostream& operator<<(std::ostream& out, const End& end) {
  if (WIFEXITED(end.raw)) return out << "status " << WEXITSTATUS(end.raw);
  return out << "signal " << WTERMSIG(end.raw);
}

void begin_afresh() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(022);
  for (const char* name : {"NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "LISTEN_PID"}) ::unsetenv(name);
  ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

Running::Running(Running&& other) noexcept
    : pid_(other.pid_), out_(std::exchange(other.out_, -1)), err_(std::exchange(other.err_, -1)) {}

Running::~Running() {
  if (out_ != -1) ::close(out_);
  if (err_ != -1) ::close(err_);
}

Result Running::finish() {
  const auto deadline = Clock::now() + patience;
  Result result;
  result.pid = pid_;
  std::array<pollfd, 2> readable{{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
  while (readable[0].fd != -1 || readable[1].fd != -1) {
    if (::poll(readable.data(), 2, left_ms(deadline)) == 0) {
      throw std::runtime_error("the program's output did not end; so far: " + result.out + result.err);
    }
    if (readable[0].revents != 0 && !read_some(out_, result.out)) readable[0].fd = -1;
    if (readable[1].revents != 0 && !read_some(err_, result.err)) readable[1].fd = -1;
  }
  result.end = await_end(pid_);
  return result;
}

Scene::Scene() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  folder_ = fs::temp_directory_path() / fs::unique_path("daemonctx-%%%%-%%%%-%%%%");
  fs::create_directory(folder_);
  if (::mkfifo(path("channel").c_str(), 0600) == -1) throw std::runtime_error("mkfifo");
  channel_ = ::open(path("channel").c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

Scene::~Scene() {
  end_children();
  ::close(channel_);
  boost::system::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Running Scene::start(const Words& command, const std::function<void()>& surroundings) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  make_pipe(out);
  make_pipe(err);
  std::cout.flush();
  const pid_t pid = ::fork();
  if (pid == -1) throw std::runtime_error("fork");
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    ::dup2(::open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
    exec(command, surroundings);
  }
  ::close(out[1]);
  ::close(err[1]);
  return {pid, out[0], err[0]};
}

Result Scene::run(const Words& command, const std::function<void()>& surroundings) {
  return start(command, surroundings).finish();
}

Result Scene::run_on_terminal(const Words& command) {
  std::cout.flush();
  int master = -1;
  Result result;
  result.pid = ::forkpty(&master, nullptr, nullptr, nullptr);
  if (result.pid == -1) throw std::runtime_error("forkpty");
  if (result.pid == 0) exec(command);
  const auto deadline = Clock::now() + patience;
  pollfd readable{master, POLLIN, 0};
  do {
    if (::poll(&readable, 1, left_ms(deadline)) == 0) {
      throw std::runtime_error("the terminal was not given up; so far: " + result.out);
    }
  } while (read_some(master, result.out));
  ::close(master);
  for (auto at = result.out.find("\r\n"); at != std::string::npos; at = result.out.find("\r\n", at)) {
    result.out.erase(at, 1);
  }
  result.end = await_end(result.pid);
  return result;
}

Running Scene::start_probe(Words words, const std::function<void()>& surroundings) const {
  Words command = {probe(), path("channel")};
  command.insert(command.end(), words.begin(), words.end());
  return start(command, surroundings);
}

Result Scene::run_probe(Words words, const std::function<void()>& surroundings) const {
  return start_probe(std::move(words), surroundings).finish();
}

std::string Scene::next() {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    const auto end = unread_.find('\n');
    if (end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    pollfd readable{channel_, POLLIN, 0};
    if (::poll(&readable, 1, left_ms(deadline)) == 0) throw std::runtime_error("nothing was reported");
    read_some(channel_, unread_);
  }
}

void Scene::expect(const std::string& line) { BOOST_TEST(next() == line); }

Facts Scene::facts() {
  Facts facts;
  for (std::string line = next(); line != "end of facts"; line = next()) {
    const auto equals = line.find('=');
    facts[line.substr(0, equals)] = equals == std::string::npos ? "" : line.substr(equals + 1);
  }
  return facts;
}

bool Scene::has_line() {
  read_some(channel_, unread_);
  return unread_.find('\n') != std::string::npos;
}

End await_end(pid_t pid) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
  if (pidfd == -1) throw std::runtime_error("no process " + std::to_string(pid));
  pollfd ended{pidfd, POLLIN, 0};
  const int found = ::poll(&ended, 1, left_ms(Clock::now() + patience));
  ::close(pidfd);
  if (found != 1) throw std::runtime_error("process " + std::to_string(pid) + " did not end");
  End end;
  // A daemon that ends before its caller is the caller's child until the caller has ended.
  if (!eventually([&] { return ::waitpid(pid, &end.raw, WNOHANG) == pid; })) {
    throw std::runtime_error("not a child: " + std::to_string(pid));
  }
  return end;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + patience;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

pid_t pid_in(const std::string& file) {
  std::ifstream in(file);
  pid_t pid = 0;
  in >> pid;
  return pid;
}

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(const std::string& file, const std::string& text) { std::ofstream(file) << text; }

void copy_file(const std::string& from, const std::string& to) {
  write_file(to, contents(from));
  fs::permissions(to, fs::status(from).permissions());
  if (fs::file_size(to) != fs::file_size(from)) throw std::runtime_error("cannot copy " + from + " to " + to);
}

bool exists(const std::string& file) {
  struct stat found {};
  return ::lstat(file.c_str(), &found) == 0;
}

std::vector<pid_t> children() {
  std::vector<pid_t> result;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (parent_of(name) == ::getpid()) result.push_back(std::stoi(name));
  }
  return result;
}

void forgo_leak_check() {
  const char* options = std::getenv("ASAN_OPTIONS");
  ::setenv("ASAN_OPTIONS", (std::string(options == nullptr ? "" : options) + ":detect_leaks=0").c_str(), 1);
}

int rounds(int by_default) {
  const char* wanted = std::getenv("DAEMONCTX_ROUNDS");
  return wanted == nullptr || *wanted == '\0' ? by_default : std::max(by_default, std::stoi(wanted));
}

bool kernel_tells_ends() {
  utsname system{};
  unsigned major = 0;
  unsigned minor = 0;
  const bool known = ::uname(&system) == 0 && std::sscanf(system.release, "%u.%u", &major, &minor) == 2;
  return known && (major > 6 || (major == 6 && minor >= 15));
}

bool keep_proc_mounts_private() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ||
         (errno == EINVAL && ::mount(nullptr, "/proc", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
}

std::string argument(int n) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  if (n >= suite.argc) throw std::runtime_error("too few arguments after --");
  return suite.argv[n];
}

std::string probe() { return fs::absolute(argument(1)).string(); }

}  // namespace scene
