// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE forged_pidfile

// A daemon's own user tries to make root signal a process that this user may not signal himself
// (CVE-2017-11747, CVE-2020-14367 and similar ones). Without root the test exits with 77: skipped.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <daemonctx/controller.hpp>

#include "stage.hpp"

using daemonctx::Controller;
using daemonctx::DaemonState;
using scene::NeedsRoot;
using scene::nobody;

namespace {

namespace fs = boost::filesystem;

constexpr const char* wrong_lock_holder =
    "the process that holds its lock can't be it: it is another user's, or does not have it open";

// A process of root that must get no signal. The process locks the file `locked`, and has the pid `wanted`,
// if these are given.
class Bystander {
 public:
  explicit Bystander(const std::string& locked = {}, pid_t wanted = 0) {
    int ready[2];
    BOOST_REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    if (wanted != 0) arguments.set_tid = reinterpret_cast<std::uintptr_t>(&wanted);
    arguments.set_tid_size = wanted == 0 ? 0 : 1;
    pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid_ == 0) {
      if (!locked.empty()) lock_all(locked);
      ::close(ready[1]);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char byte = 0;
    BOOST_REQUIRE(::read(ready[0], &byte, 1) == 0);
    ::close(ready[0]);
    BOOST_REQUIRE(pid_ > 0);
  }
  ~Bystander() {
    BOOST_TEST(::waitpid(pid_, nullptr, WNOHANG) == 0);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  pid_t pid() const { return pid_; }

  static int lock_all(const std::string& file) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT, 0644);  // NOLINT(android-cloexec-open)
    struct flock lock {};
    lock.l_type = F_WRLCK;
    if (::fcntl(fd, F_SETLK, &lock) == -1) ::_exit(1);
    return fd;
  }

 private:
  pid_t pid_ = -1;
};

pid_t fork_as_nobody(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(1);
  act();
  ::_exit(0);
}

void run_as_nobody(const std::function<void()>& act) {
  BOOST_TEST(scene::await_end(fork_as_nobody(act)).exited(0));
}

struct Stage : scene::Stage {
  std::string folder = scene.path("run");
  std::string file = folder + "/pid";

  // A daemon of the user nobody, with its pidfile in a directory of that user.
  pid_t start_service() {
    const auto facts = start({"user=nobody", "mkdir=" + folder, "pidfile=" + file});
    return std::stoi(facts.at("pid"));
  }
  // Another daemon, which stays root.
  pid_t start_root_daemon() {
    fs::create_directory(scene.path("others"));
    return std::stoi(start({"pidfile=" + scene.path("others/pid")}).at("pid"));
  }

  void expect_refusal(const std::string& reason) const {
    const Controller controller(file);
    const std::string of_file = " the daemon of \"" + file + "\": " + reason;
    const auto says = [&](const std::string& text) {
      return [text](const std::system_error& error) { return error.what() == text; };
    };
    BOOST_CHECK_EXCEPTION(controller.stop(), std::system_error, says("cannot stop" + of_file));
    BOOST_CHECK_EXCEPTION(controller.reload(), std::system_error, says("cannot reload" + of_file));
    BOOST_CHECK_EXCEPTION(controller.send_signal(SIGKILL), std::system_error,
                          says("cannot signal" + of_file));
    BOOST_CHECK_EXCEPTION(controller.status(), std::system_error, says("cannot ask for" + of_file));
    std::error_code error;
    BOOST_TEST((controller.status(error).state == DaemonState::unknown));
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(a_pid_that_the_user_writes_is_not_believed, Stage) {
  const Bystander bystander;
  const pid_t daemon = start_service();
  const Controller controller(file);
  // The number is in the pidfile itself, where the daemon could write it.
  run_as_nobody([&] {
    const int fd = ::open(file.c_str(), O_WRONLY | O_TRUNC);  // NOLINT(android-cloexec-open)
    ::_exit(fd == -1 && errno == EACCES ? 0 : 1);  // root's file: only the inherited descriptor can write it
  });
  scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  BOOST_TEST(controller.status().pid == daemon);
  // The number is in a file that the user has put in the pidfile's place.
  run_as_nobody([&] {
    fs::rename(file, file + ".old");
    scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  });
  std::error_code error;
  controller.stop(daemonctx::stop_policy(), error);
  BOOST_TEST((error == std::errc::no_such_process));
  run_as_nobody([&] { fs::rename(file + ".old", file); });
  BOOST_TEST(controller.stop().pid == daemon);
}

BOOST_FIXTURE_TEST_CASE(the_pidfile_of_another_daemon_is_refused, Stage) {
  const scene::Setting links("/proc/sys/fs/protected_hardlinks", "0");
  const pid_t others = start_root_daemon();
  const std::string target = scene.path("others/pid");
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  run_as_nobody([&] { fs::create_symlink(target, file); });
  expect_refusal("it is a symbolic link, or others could have put one on the way to it");
  run_as_nobody([&] { fs::remove(file); });
  run_as_nobody([&] { fs::create_hard_link(target, file); });
  expect_refusal("it has more than one link");
  run_as_nobody([&] { fs::remove(file); });
  run_as_nobody([&] { fs::create_symlink(scene.path("others"), folder + "/deep"); });
  file = folder + "/deep/pid";
  expect_refusal("it is a symbolic link, or others could have put one on the way to it");
  stop(others);
}

BOOST_FIXTURE_TEST_CASE(a_process_that_locks_the_file_for_other_reasons_is_not_the_daemon, Stage) {
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  run_as_nobody([&] { scene::write_file(file, "1\n"); });
  const Bystander bystander(file);
  expect_refusal(wrong_lock_holder);
}

void toggle_lock(int fd) {
  struct flock byte {};
  byte.l_start = 1;
  byte.l_len = 1;
  for (const short type : {F_UNLCK, F_WRLCK}) {
    byte.l_type = type;
    ::fcntl(fd, F_SETLK, &byte);
  }
}

// As the kernel says.
pid_t holder_of(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ::fcntl(fd, F_GETLK, &lock);
  ::close(fd);
  return lock.l_pid;
}

void signal_and_ask_repeatedly(const Stage& stage, pid_t victim) {
  const Controller controller(stage.file);
  // Each call looks again and again for two seconds: it takes the lock for that of a start.
  for (int attempt = 0; attempt < 5; ++attempt) {
    std::error_code error;
    controller.send_signal(SIGKILL, error);
    BOOST_TEST(error);
    BOOST_TEST(controller.status(error).pid != victim);
  }
}

// The process that took the lock has ended, but a process that shares its open files still holds the lock.
// With `toggles` this process releases and takes the lock again and again.
void expect_outlived_lock_refused(Stage& stage, bool toggles) {
  const std::string& file = stage.file;
  const std::string& folder = stage.folder;
  fs::create_directory(folder);
  scene::write_file(file, "");
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chown(file.c_str(), nobody, nobody) == 0);
  int pipe_ends[2];
  BOOST_REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const pid_t locker = fork_as_nobody([&] {
    const int fd = Bystander::lock_all(file);
    // The clone shares the open files, and with them the lock, and lives on.
    if (::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr) != 0) ::_exit(0);
    const pid_t self = ::getpid();
    [[maybe_unused]] const auto size = ::write(pipe_ends[1], &self, sizeof self);
    while (!toggles) ::pause();
    for (;;) toggle_lock(fd);
  });
  pid_t lock_keeper = 0;
  BOOST_REQUIRE(::read(pipe_ends[0], &lock_keeper, sizeof lock_keeper) == sizeof lock_keeper);
  BOOST_TEST(scene::await_end(locker).exited(0));
  {
    ::chown(file.c_str(), 0, 0);  // as if the lock came from the daemon's own descriptor
    const Bystander bystander({}, locker);
    BOOST_TEST(bystander.pid() == locker);
    if (toggles) signal_and_ask_repeatedly(stage, locker);
    else if (holder_of(file) == locker) stage.expect_refusal(wrong_lock_holder);
    else BOOST_TEST_MESSAGE("skipped: in a pid namespace the kernel names no process that has ended");
  }
  ::kill(lock_keeper, SIGKILL);
  scene::await_end(lock_keeper);
  for (const int end : pipe_ends) ::close(end);
}

BOOST_FIXTURE_TEST_CASE(a_lock_that_outlives_its_process_does_not_name_the_next_one_of_that_pid, Stage) {
  expect_outlived_lock_refused(*this, false);
}

BOOST_FIXTURE_TEST_CASE(a_lock_that_comes_and_goes_does_not_name_it_either, Stage) {
  expect_outlived_lock_refused(*this, true);
}

BOOST_FIXTURE_TEST_CASE(a_caller_without_CAP_SYS_PTRACE_can_stop_a_daemon, Stage) {
  const pid_t daemon = start_service();
  const pid_t weak = ::fork();
  if (weak == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) == -1) ::_exit(2);
    for (auto* set : {&sets[0].effective, &sets[0].permitted}) *set &= ~(1U << CAP_SYS_PTRACE);
    if (::syscall(SYS_capset, &header, sets.data()) == -1) ::_exit(3);
    std::error_code error;
    const Controller controller(file);
    if (controller.status(error).pid != daemon) ::_exit(4);
    ::_exit(controller.stop(daemonctx::stop_policy(), error).pid == daemon ? 0 : 5);
  }
  scene.expect("stop");
  BOOST_TEST(scene::await_end(daemon).exited(0));  // the test is its parent
  BOOST_TEST(scene::await_end(weak).exited(0));
}

// In such a /proc a pid is that of another process, and the daemon's open files can't be seen.
BOOST_FIXTURE_TEST_CASE(a_daemon_can_be_stopped_where_proc_is_that_of_another_pid_namespace, Stage) {
  const std::string channel = scene.path("channel");
  const pid_t outside = ::fork();
  if (outside == 0) {
    scene::forgo_leak_check();
    int status = 0;
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(2);
    if (const pid_t first = ::fork(); first != 0) {
      ::waitpid(first, &status, 0);
      ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
    }
    const std::string option = "pidfile=" + pidfile;
    const pid_t caller = ::fork();
    if (caller == 0) {
      ::execl(program.c_str(), program.c_str(), channel.c_str(), "daemon", option.c_str(), "wait", nullptr);
      ::_exit(127);
    }
    if (::waitpid(caller, &status, 0) != caller || status != 0) ::_exit(4);
    std::error_code error;
    const Controller controller(pidfile);
    if (controller.status(error).state != DaemonState::running) ::_exit(5);
    controller.stop(daemonctx::stop_policy(), error);
    ::_exit(error ? 6 : 0);
  }
  BOOST_TEST(scene::await_end(outside).exited(0));
  scene.expect("stop");
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(the_user_can_make_root_stop_only_processes_of_his_own, Stage) {
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  int ready[2];
  BOOST_REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t own = fork_as_nobody([&] {
    Bystander::lock_all(file);
    ::close(ready[1]);
    for (;;) ::pause();
  });
  ::close(ready[1]);
  char byte = 0;
  BOOST_REQUIRE(::read(ready[0], &byte, 1) == 0);
  ::close(ready[0]);
  BOOST_TEST(Controller(file).stop().pid == own);
  BOOST_TEST(scene::await_end(own).killed_by(SIGTERM));
}
