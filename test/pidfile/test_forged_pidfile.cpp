// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE forged_pidfile

// A daemon's own user does what he can to have root signal a process that he may not signal himself
// (CVE-2017-11747, CVE-2020-14367 and their like). Without root it exits with 77: skipped.

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

constexpr const char* incredible =
    "the process that holds its lock can't be it: it is another user's, or does not have it open";

// A process of root's that no signal may reach. On request it holds locks on a file, or has a certain pid.
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

pid_t begin_as_nobody(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(1);
  act();
  ::_exit(0);
}

void as_nobody(const std::function<void()>& act) {
  BOOST_TEST(scene::await_end(begin_as_nobody(act)).exited(0));
}

struct Stage : scene::Stage {
  std::string folder = scene.path("run");
  std::string file = folder + "/pid";

  // Nobody's daemon with its pidfile in nobody's directory.
  pid_t start_service() {
    const auto facts = start({"user=nobody", "mkdir=" + folder, "pidfile=" + file});
    return std::stoi(facts.at("pid"));
  }
  // Another one, that stays root's.
  pid_t start_others() {
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

BOOST_FIXTURE_TEST_CASE(a_number_that_he_writes_is_nobodys, Stage) {
  const Bystander bystander;
  const pid_t daemon = start_service();
  const Controller controller(file);
  // Into the file, as the daemon itself may.
  as_nobody([&] {
    const int fd = ::open(file.c_str(), O_WRONLY | O_TRUNC);  // NOLINT(android-cloexec-open)
    ::_exit(fd == -1 && errno == EACCES ? 0 : 1);  // it is root's; only the inherited descriptor would do
  });
  scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  BOOST_TEST(controller.status().pid == daemon);
  // And in its place.
  as_nobody([&] {
    fs::rename(file, file + ".old");
    scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  });
  std::error_code error;
  controller.stop(daemonctx::stop_policy(), error);
  BOOST_TEST((error == std::errc::no_such_process));
  as_nobody([&] { fs::rename(file + ".old", file); });
  BOOST_TEST(controller.stop().pid == daemon);
}

BOOST_FIXTURE_TEST_CASE(another_daemons_file_is_not_taken_for_his, Stage) {
  const scene::Setting links("/proc/sys/fs/protected_hardlinks", "0");
  const pid_t others = start_others();
  const std::string target = scene.path("others/pid");
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  as_nobody([&] { fs::create_symlink(target, file); });
  expect_refusal("it is a symbolic link, or others could have put one on the way to it");
  as_nobody([&] { fs::remove(file); });
  as_nobody([&] { fs::create_hard_link(target, file); });
  expect_refusal("it has more than one link");
  as_nobody([&] { fs::remove(file); });
  as_nobody([&] { fs::create_symlink(scene.path("others"), folder + "/deep"); });
  file = folder + "/deep/pid";
  expect_refusal("it is a symbolic link, or others could have put one on the way to it");
  stop(others);
}

BOOST_FIXTURE_TEST_CASE(who_locks_his_file_for_other_reasons_is_not_taken_for_the_daemon, Stage) {
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  as_nobody([&] { scene::write_file(file, "1\n"); });
  const Bystander mailer(file);
  expect_refusal(incredible);
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

void keep_trying(const Stage& stage, pid_t victim) {
  const Controller controller(stage.file);
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::error_code error;
    controller.send_signal(SIGKILL, error);
    BOOST_TEST(error);
    BOOST_TEST(controller.status(error).pid != victim);
  }
}

// A lock of a process that has ended, in the hands of one that lives; and one that lets it go again and
// again.
void refuse_outlived_lock(Stage& stage, bool toggles) {
  const std::string& file = stage.file;
  const std::string& folder = stage.folder;
  fs::create_directory(folder);
  scene::write_file(file, "");
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chown(file.c_str(), nobody, nobody) == 0);
  int keeper[2];
  BOOST_REQUIRE(::pipe2(keeper, O_CLOEXEC) == 0);
  const pid_t locker = begin_as_nobody([&] {
    const int fd = Bystander::lock_all(file);
    // One that shares the open files, and with them the lock, lives on.
    if (::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr) != 0) ::_exit(0);
    const pid_t self = ::getpid();
    [[maybe_unused]] const auto size = ::write(keeper[1], &self, sizeof self);
    while (!toggles) ::pause();
    for (;;) toggle_lock(fd);
  });
  pid_t keeping = 0;
  BOOST_REQUIRE(::read(keeper[0], &keeping, sizeof keeping) == sizeof keeping);
  BOOST_TEST(scene::await_end(locker).exited(0));
  {
    ::chown(file.c_str(), 0, 0);  // as if it was the daemon's, from whose descriptor he has the lock
    const Bystander unlucky({}, locker);
    BOOST_TEST(unlucky.pid() == locker);
    if (toggles) keep_trying(stage, locker);
    else stage.expect_refusal(incredible);
  }
  ::kill(keeping, SIGKILL);
  scene::await_end(keeping);
  for (const int end : keeper) ::close(end);
}

BOOST_FIXTURE_TEST_CASE(a_lock_that_outlives_its_process_does_not_lead_to_the_next_one_of_that_number,
                        Stage) {
  refuse_outlived_lock(*this, false);
}

BOOST_FIXTURE_TEST_CASE(nor_does_one_that_comes_and_goes, Stage) { refuse_outlived_lock(*this, true); }

BOOST_FIXTURE_TEST_CASE(who_may_not_look_into_other_processes_can_stop_a_daemon_all_the_same, Stage) {
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
  BOOST_TEST(scene::await_end(daemon).exited(0));  // whose parent is the test
  BOOST_TEST(scene::await_end(weak).exited(0));
}

// A number there is another process's; which files the daemon has open can't be seen.
BOOST_FIXTURE_TEST_CASE(where_proc_is_that_of_another_pid_namespace_a_daemon_can_be_stopped_all_the_same,
                        Stage) {
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

BOOST_FIXTURE_TEST_CASE(all_that_he_can_have_stopped_is_his_own, Stage) {
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  int ready[2];
  BOOST_REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t own = begin_as_nobody([&] {
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
