// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE surroundings

// Starts in unusual surroundings. Each start ends with a daemon that works, or with one line that names the
// reason, and then nothing of the start is left. Without root the test exits with 77: skipped.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <array>
#include <cstddef>

#include "listener.hpp"
#include "stage.hpp"

using scene::NeedsRoot;
using scene::nobody;
using scene::sanitized;
using scene::Scene;
using scene::status_of;

namespace {

namespace fs = boost::filesystem;

struct PrivateMounts {
  PrivateMounts() { scene::have_private_mounts(); }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// "fallbacks" or "features": what the library was built with.
bool has_features() { return scene::argument(3) == "features"; }

// For surroundings: they run in a child, which has no way to report a failed check.
void must(bool succeeded) {
  if (!succeeded) ::_exit(96);
}

scene::Surroundings limited(int resource, rlim_t limit) {
  return [=] {
    const rlimit both{limit, limit};
    must(::setrlimit(static_cast<__rlimit_resource_t>(resource), &both) == 0);
  };
}

// A file system of a test's own, in the mount namespace of the test.
class Mount {
 public:
  Mount(std::string place, const std::string& options) : place_(std::move(place)) {
    fs::create_directory(place_);
    BOOST_REQUIRE(::mount("tmpfs", place_.c_str(), "tmpfs", 0, options.c_str()) == 0);
  }
  ~Mount() { ::umount2(place_.c_str(), MNT_DETACH); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  std::string path(const std::string& name) const { return place_ + '/' + name; }
  void make_read_only() const {
    BOOST_REQUIRE(::mount(nullptr, place_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  }
  // Writes until not one more byte has room.
  void fill() const {
    std::ofstream filler(path("filler"));
    while (filler << std::string(1024, 'x') << std::flush) continue;
  }

 private:
  std::string place_;
};

// Surroundings in which an empty folder takes the place of `folder`.
scene::Surroundings without(const char* folder) {
  return [=] {
    must(::unshare(CLONE_NEWNS) == 0);
    must(::mount("tmpfs", folder, "tmpfs", 0, nullptr) == 0);
  };
}

// No other process has this uid: only this test's processes count for its RLIMIT_NPROC, and for no other's.
uid_t unused_uid() { return 1'000'000'000U + static_cast<uid_t>(::getpid()); }

// Surroundings of a user other than root, who may have at most `limit` processes.
scene::Surroundings process_limit(rlim_t limit) {
  return [=] {
    scene::forgo_leak_check();
    must(::setgroups(0, nullptr) == 0 && ::setgid(unused_uid()) == 0 && ::setuid(unused_uid()) == 0);
    limited(RLIMIT_NPROC, limit)();
  };
}

// For surroundings, in a process that must not return from them. Ends as `child` has ended.
[[noreturn]] void end_like(pid_t child) {
  ::close(STDOUT_FILENO);
  ::close(STDERR_FILENO);
  int status = 0;
  while (::waitpid(child, &status, 0) == -1) continue;
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// The caller is process 1 of a namespace.
void as_first_process() {
  scene::forgo_leak_check();
  must(::unshare(CLONE_NEWPID | CLONE_NEWNS) == 0);
  if (const pid_t first = ::fork()) end_like(first);
  must(::mount("proc", "/proc", "proc", 0, nullptr) == 0);
}

// The caller is process 2; process 1 reaps, and ends when it is alone.
void behind_an_init() {
  as_first_process();
  const pid_t caller = ::fork();
  if (caller == 0) return;
  ::close(STDOUT_FILENO);
  ::close(STDERR_FILENO);
  int outcome = 0;
  int status = 0;
  for (pid_t ended = 0; (ended = ::wait(&status)) != -1;) {
    if (ended == caller) outcome = status;
  }
  ::_exit(WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 98);
}

// Root of the namespace has no rights outside of it, and its groups are fixed.
void as_root_of_a_user_namespace() {
  must(::unshare(CLONE_NEWUSER) == 0);
  const std::array<std::pair<const char*, const char*>, 3> files{
      {{"/proc/self/setgroups", "deny"}, {"/proc/self/uid_map", "0 0 1"}, {"/proc/self/gid_map", "0 0 1"}}};
  for (const auto& [file, text] : files) {
    std::ofstream out(file);
    must(static_cast<bool>(out << text << std::flush));
  }
}

// Surroundings like those in an old container, which forbids system calls that are newer than the container.
scene::Surroundings without_new_calls(int error) {
  return [=] {
    constexpr auto number = offsetof(seccomp_data, nr);
    const auto refusal = SECCOMP_RET_ERRNO | static_cast<unsigned>(error);
    std::array<sock_filter, 6> program{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 3, 0),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 2, 0),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 1, 0),
                                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                        BPF_STMT(BPF_RET | BPF_K, refusal)}};
    const sock_fprog filter{program.size(), program.data()};
    must(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
  };
}

void without_cap_kill() {
  scene::forgo_leak_check();
  must(::prctl(PR_CAPBSET_DROP, CAP_KILL) == 0);
}

// As if there were no CAP_SETUID either. The change to `user` changes the real user, too.
void forbid_to_keep_the_real_user() {
  std::array<sock_filter, 6> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setresuid, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ~0U, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  must(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

// Raises the limit as high as the kernel permits; or, if even root may not, to the present hard limit.
void with_highest_limit() {
  const rlim_t most = std::stoul(scene::contents("/proc/sys/fs/nr_open"));
  const rlimit raised{most, most};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limited(RLIMIT_NOFILE, limit.rlim_max)();
}

double cpu_seconds_of_children() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) { return time.tv_sec + time.tv_usec * 1e-6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct Stage : scene::Stage {
  using scene::Stage::start;
  using scene::Stage::stop;

  // A start with everything from a pidfile to a log, and an end that takes everything back.
  void check_start_and_stop(const scene::Surroundings& surroundings, scene::Words words = {}) {
    const scene::Words usual = {"pidfile=" + pidfile, "out=" + log};
    words.insert(words.begin(), usual.begin(), usual.end());
    words.emplace_back("print:logged");
    ::unlink(log.c_str());
    const auto facts = start(words, surroundings);
    BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));
    stop(facts);
    BOOST_TEST(!scene::exists(pidfile));
    BOOST_TEST(scene::contents(log) == "logged\n");
    BOOST_TEST(scene::children().empty());
  }
  void must_not_loop(const scene::Surroundings& surroundings) {
    const double before = cpu_seconds_of_children();
    check_start_and_stop(surroundings);
    BOOST_TEST(cpu_seconds_of_children() - before < 2);  // a loop over a billion takes a minute
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);
BOOST_TEST_GLOBAL_FIXTURE(PrivateMounts);

BOOST_AUTO_TEST_SUITE(descriptors)

BOOST_FIXTURE_TEST_CASE(no_file_takes_the_place_of_a_standard_stream_that_was_closed, Stage) {
  for (unsigned closed = 1; closed < 8; ++closed) {
    const auto surroundings = [&] {
      for (int fd = 0; fd < 3; ++fd) {
        if ((closed >> fd & 1U) != 0) ::close(fd);
      }
    };
    const auto facts = start({"pidfile=" + pidfile, "out=" + log, "print:logged"}, surroundings);
    const std::string& fds = facts.at("fds");
    BOOST_TEST(fds.rfind("0:/dev/null 1:" + log + " 2:/dev/null ", 0) == 0U, fds);
    BOOST_TEST(contains(fds, ':' + pidfile + ' '));
    BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));
    stop(facts);
    BOOST_TEST(!scene::exists(pidfile));
    if ((closed & 4U) != 0) continue;  // standard error is closed, so a refusal could not be seen
    refuses({"pidfile=" + pidfile, "cwd=/none"},
            "cannot change the working directory to \"/none\": No such file or directory", surroundings);
  }
}

BOOST_FIXTURE_TEST_CASE(eight_descriptors_are_enough, Stage) {
  if (sanitized) {
    BOOST_TEST_MESSAGE("skipped: sanitizers need descriptors of their own");
    return;
  }
  const rlim_t enough = has_features() ? 8 : 9;  // the fallback for an eventfd is a pipe
  check_start_and_stop(limited(RLIMIT_NOFILE, enough));
  refuses({"pidfile=" + pidfile}, "cannot create the status pipe: Too many open files",
          limited(RLIMIT_NOFILE, 6));
  refuses({"pidfile=" + pidfile}, "cannot open the pidfile \"" + pidfile + "\": Too many open files",
          limited(RLIMIT_NOFILE, 4));
}

BOOST_FIXTURE_TEST_CASE(no_start_tries_all_descriptors_up_to_a_high_limit, Stage) {
  must_not_loop(with_highest_limit);
  const std::string shim = scene::argument(4);
  if (shim.empty()) {
    BOOST_TEST_MESSAGE("skipped in part: nothing can be preloaded into a program with sanitizers");
    return;
  }
  for (const std::string limit : {"1048576", "1000000000"}) {
    const auto pretended = [&] {
      ::setenv("SHIM_NOFILE", limit.c_str(), 1);
      ::setenv("LD_PRELOAD", fs::absolute(shim).c_str(), 1);
    };
    BOOST_TEST(begin({"tell_limit", "daemon", "detach=never"}, pretended).finish().end.exited(0));
    scene.expect("descriptors up to " + limit);
    must_not_loop(pretended);
  }
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_above_a_lowered_limit_is_closed, Stage) {
  const auto facts = start({"pidfile=" + pidfile}, [] {
    must(::fcntl(STDIN_FILENO, F_DUPFD, 200) == 200);
    limited(RLIMIT_NOFILE, 64)();
  });
  BOOST_TEST(!contains(facts.at("fds"), "200:"), facts.at("fds"));
  stop(facts);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(limits)

BOOST_FIXTURE_TEST_CASE(a_start_names_the_process_or_thread_that_can_not_be_added, Stage) {
  use_probe_of_its_own();
  const std::string folder = scene.path("open");
  fs::create_directory(folder);
  ::chmod(folder.c_str(), 0777);
  pidfile = folder + "/pid";
  refuses({"pidfile=" + pidfile}, "cannot start the intermediate process: Resource temporarily unavailable",
          process_limit(1));
  refuses({"pidfile=" + pidfile, "mkdir=" + folder + "/made"},
          "cannot start the daemon process: Resource temporarily unavailable", process_limit(2));
  BOOST_TEST(!scene::exists(folder + "/made"));
  refuses({"pidfile=" + pidfile, "delivery=own"},
          "cannot start the thread that runs signal actions: Resource temporarily unavailable",
          process_limit(3));
  log = folder + "/log";
  check_start_and_stop(process_limit(3));
}

BOOST_FIXTURE_TEST_CASE(a_file_size_limit_of_nothing_is_an_error_and_no_signal, Stage) {
  refuses({"pidfile=" + pidfile}, "cannot write the pidfile \"" + pidfile + "\": File too large",
          limited(RLIMIT_FSIZE, 0));
  refuses({"detach=never", "pidfile=" + pidfile},
          "cannot write the pidfile \"" + pidfile + "\": File too large", limited(RLIMIT_FSIZE, 0));
  stop(start({}, limited(RLIMIT_FSIZE, 0)));
}

BOOST_FIXTURE_TEST_CASE(a_small_stack_is_enough, Stage) {
  if (sanitized) {
    BOOST_TEST_MESSAGE("skipped: sanitizers make every frame larger");
    return;
  }
  check_start_and_stop(limited(RLIMIT_STACK, 64 * 1024));
  check_start_and_stop(limited(RLIMIT_STACK, 64 * 1024), {"delivery=own"});
}

BOOST_FIXTURE_TEST_CASE(a_start_with_little_memory_works_or_leaves_nothing, Stage) {
  if (sanitized) {
    BOOST_TEST_MESSAGE("skipped: sanitizers take terabytes of addresses");
    return;
  }
  bool worked = false;
  for (rlim_t size = 1; size <= 32 && !worked; ++size) {
    const auto result = run({"pidfile=" + pidfile, "out=" + log, "delivery=own", "say:up", "wait"},
                            limited(RLIMIT_AS, size << 20));
    worked = result.end.exited(0);
    if (worked) break;
    BOOST_TEST(scene::children().empty());
    BOOST_TEST(!scene::exists(pidfile));
  }
  BOOST_REQUIRE(worked);
  scene.expect("up");
  stop(scene::pid_in(pidfile));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(file_systems)

BOOST_FIXTURE_TEST_CASE(a_daemon_starts_without_proc_and_inherits_nothing, Stage) {
  if (sanitized) {
    BOOST_TEST_MESSAGE("skipped: sanitizers need /proc");
    return;
  }
  use_probe_of_its_own();  // the loader looks for libraries with the help of /proc
  const auto result = run({"pidfile=" + pidfile, "out=" + log, "say:up", "wait"}, [] {
    for (const int fd : {3, 50, 51}) must(::dup2(STDIN_FILENO, fd) == fd);
    without("/proc")();
  });
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  scene.expect("up");
  const pid_t daemon = scene::pid_in(pidfile);
  std::string fds;
  BOOST_TEST(scene::eventually([&] {  // once the probe has closed the descriptor of its report
               fds = scene::descriptors_of(daemon);
               return std::count(fds.begin(), fds.end(), ' ') == (contains(fds, "[eventfd]") ? 5 : 6);
             }),
             fds);
  BOOST_TEST(fds.rfind("0:/dev/null 1:" + log + " 2:/dev/null ", 0) == 0U, fds);
  stop(daemon);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_root_directory_without_null_device_will_do, Stage) {
  const std::string root = scene.path("root");
  fs::create_directories(root + scene.folder().string());
  BOOST_REQUIRE(::link(scene.path("channel").c_str(), (root + scene.path("channel")).c_str()) == 0);
  const auto result =
      run({"pidfile=" + pidfile, "chroot=" + root, "seen:/dev/null", "wait"}, scene::forgo_leak_check);
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  scene.expect("/dev/null is not there");
  const pid_t daemon = scene::pid_in(pidfile);
  const std::string fds = scene::descriptors_of(daemon);
  BOOST_TEST(fds.rfind("0:/dev/null 1:/dev/null 2:/dev/null ", 0) == 0U, fds);
  stop(daemon);
}

BOOST_FIXTURE_TEST_CASE(a_missing_null_device_is_reported, Stage) {
  refuses({"pidfile=" + pidfile, "mkdir=" + scene.path("made")},
          "cannot open the file \"/dev/null\": No such file or directory", without("/dev"));
  refuses({"pidfile=" + pidfile, "mkdir=" + scene.path("made")},
          "cannot open the null device \"/dev/null\": No such file or directory", [] {
            ::close(STDIN_FILENO);
            without("/dev")();
          });
  BOOST_TEST(!scene::exists(scene.path("made")));
}

BOOST_FIXTURE_TEST_CASE(a_file_in_place_of_the_null_device_is_reported, Stage) {
  for (const bool closed : {false, true}) {
    refuses({"pidfile=" + pidfile},
            std::string(closed ? "cannot open the null device" : "cannot open the file") +
                " \"/dev/null\": No such device",
            [=] {
              if (closed) ::close(STDIN_FILENO);
              without("/dev")();
              std::ofstream("/dev/null") << "hello";
            });
  }
}

// In a container a log is usually named /dev/stdout.
BOOST_FIXTURE_TEST_CASE(standard_output_can_be_named_by_a_path, Stage) {
  for (const std::string detach : {"always", "never"}) {
    const auto result = run({"detach=" + detach, "out=/dev/stdout", "err=/proc/self/fd/1", "print:to a pipe",
                             "eprint:too", "reopen", "print:still"});
    BOOST_TEST(result.out == "to a pipe\ntoo\nstill\n");
    BOOST_TEST(result.end.exited(0));
    // The paths mean the streams as they were at the start, whatever has their numbers later.
    const auto crossed = run({"detach=" + detach, "out=/dev/stderr", "err=/dev/stdout", "print:one", "reopen",
                              "print:two", "eprint:three"});
    BOOST_TEST(crossed.err == "one\ntwo\n");
    BOOST_TEST(crossed.out == "three\n");
  }
}

BOOST_FIXTURE_TEST_CASE(a_start_on_a_read_only_file_system_fails_and_leaves_nothing, Stage) {
  const Mount disk(scene.path("disk"), "");
  pidfile = disk.path("pid");
  scene::write_file(disk.path("old"), "4711\n");
  scene::write_file(disk.path("log"), "old\n");
  disk.make_read_only();
  for (const std::string& file : {pidfile, disk.path("old")}) {
    refuses({"pidfile=" + file, "mkdir=" + scene.path("made")},
            "cannot open the pidfile \"" + file + "\": Read-only file system");
  }
  for (const std::string& file : {disk.path("new"), disk.path("log")}) {
    refuses({"pidfile=" + scene.path("pid"), "out=" + file},
            "cannot open the file \"" + file + "\": Read-only file system");
  }
  refuses({"mkdir=" + disk.path("made")},
          "cannot create the directory \"" + disk.path("made") + "\": Read-only file system");
  BOOST_TEST(!scene::exists(scene.path("made")));
  BOOST_TEST(!scene::exists(scene.path("pid")));
  BOOST_TEST(scene::contents(disk.path("old")) == "4711\n");
}

BOOST_FIXTURE_TEST_CASE(a_start_on_a_full_disk_fails_and_leaves_nothing, Stage) {
  const Mount disk(scene.path("disk"), "size=4k");
  disk.fill();
  pidfile = disk.path("pid");
  const std::string line = "cannot write the pidfile \"" + pidfile + "\": No space left on device";
  refuses({"pidfile=" + pidfile}, line);
  refuses({"detach=never", "pidfile=" + pidfile}, line);
  const Mount index(scene.path("index"), "nr_inodes=2");
  scene::write_file(index.path("last"), "");
  pidfile = index.path("pid");
  refuses({"pidfile=" + pidfile}, "cannot open the pidfile \"" + pidfile + "\": No space left on device");
  pidfile = scene.path("pid");
  refuses({"pidfile=" + pidfile, "out=" + index.path("log")},
          "cannot open the file \"" + index.path("log") + "\": No space left on device");
  ::unlink(index.path("last").c_str());
  refuses({"pidfile=" + pidfile, "mkdir=" + index.path("first/second")},
          "cannot create the directory \"" + index.path("first/second") + "\": No space left on device");
  BOOST_TEST(!scene::exists(index.path("first")));
}

BOOST_FIXTURE_TEST_CASE(a_log_that_takes_no_more_does_not_stop_the_daemon, Stage) {
  const Mount disk(scene.path("disk"), "size=8k");
  log = disk.path("log");
  scene::write_file(log, "old\n");
  disk.fill();
  scene::write_file(log, std::string(4096, 'x'));
  const auto facts = start({"pidfile=" + pidfile, "out=" + log, "err=" + log, "print:lost", "eprint:lost"});
  BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));
  stop(facts);
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(status_of(log).st_size == 4096);
}

BOOST_FIXTURE_TEST_CASE(a_daemon_starts_from_a_directory_that_was_removed, Stage) {
  const auto removed = [&] {
    const std::string folder = scene.path("gone");
    must(::mkdir(folder.c_str(), 0700) == 0 && ::chdir(folder.c_str()) == 0 && ::rmdir(folder.c_str()) == 0);
  };
  check_start_and_stop(removed);
  refuses({"pidfile=pid"}, "cannot make an absolute path of \"pid\": No such file or directory", removed);
  refuses({"pidfile=" + pidfile, "out=log"},
          "cannot make an absolute path of \"log\": No such file or directory", removed);
}

BOOST_FIXTURE_TEST_CASE(neither_umask_nor_default_acl_changes_who_may_write_the_pidfile, Stage) {
  const std::string folder = scene.path("open");
  fs::create_directory(folder);
  // user::rwx, user:nobody:rwx, group::rwx, mask::rwx, other::rwx; see linux/posix_acl_xattr.h.
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  struct {
    std::uint32_t version = 2;
    std::array<Entry, 5> entries{{{1, 7, ~0U}, {2, 7, nobody}, {4, 7, ~0U}, {16, 7, ~0U}, {32, 7, ~0U}}};
  } const acl;
  const bool has_acl = ::setxattr(folder.c_str(), "system.posix_acl_default", &acl, sizeof acl, 0) == 0;
  if (!has_acl) BOOST_TEST_MESSAGE("skipped in part: no access control lists here");
  for (const char* mask : {"777", "0"}) {
    pidfile = folder + "/pid";
    const std::string made = folder + "/made";
    run({"pidfile=" + pidfile, "out=" + folder + "/log", "mkdir=" + made + ":0750", "facts", "wait"},
        [&] { ::umask(static_cast<mode_t>(std::stoi(mask, nullptr, 8))); });
    const auto facts = scene.facts();
    BOOST_TEST(facts.at("umask") == "22");
    BOOST_TEST((status_of(pidfile).st_mode & 07777) == 0644U);
    BOOST_TEST((status_of(folder + "/log").st_mode & 07777) == 0640U);
    BOOST_TEST((status_of(made).st_mode & 07777) == 0750U);
    for (const std::string& file : {pidfile, folder + "/log", made}) {
      const auto test = Scene::run({"/usr/bin/test", "-w", file},
                                   [] { must(::setgid(nobody) == 0 && ::setuid(nobody) == 0); });
      BOOST_TEST(test.end.exited(1), file);
    }
    BOOST_TEST((::getxattr(pidfile.c_str(), "system.posix_acl_access", nullptr, 0) > 0) == has_acl);
    stop(facts);
    BOOST_TEST(!scene::exists(pidfile));
    ::unlink((folder + "/log").c_str());
    ::rmdir(made.c_str());
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(processes_and_environments)

BOOST_FIXTURE_TEST_CASE(a_daemon_starts_although_its_caller_ignores_children, Stage) {
  const auto deaf = [] { ::signal(SIGCHLD, SIG_IGN); };
  check_start_and_stop(deaf);
  refuses({"pidfile=" + pidfile, "readiness=notified", "_exit:3"},
          "the daemon exited with code 3 before it was ready", deaf);
}

BOOST_FIXTURE_TEST_CASE(a_start_needs_no_environment, Stage) {
  check_start_and_stop([] {
    ::unsetenv("PATH");
    ::unsetenv("HOME");
  });
  check_start_and_stop([] { ::clearenv(); });
  const auto facts = start({"user=nobody"}, [] { ::clearenv(); });
  BOOST_TEST(facts.at("environment") == "HOME=/nonexistent USER=nobody LOGNAME=nobody ");
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(an_old_sandbox_may_forbid_new_system_calls, Stage) {
  for (const int error : {EPERM, ENOSYS}) {
    check_start_and_stop(without_new_calls(error));
    const auto facts = start({}, [&] {
      must(::dup2(STDIN_FILENO, 50) == 50);
      without_new_calls(error)();
    });
    BOOST_TEST(!contains(facts.at("fds"), "50:"), facts.at("fds"));
    stop(facts);
    refuses({"pidfile=" + pidfile, "readiness=notified", "raise:9"},
            "the daemon was killed by SIGKILL before it was ready", without_new_calls(error));
  }
}

BOOST_FIXTURE_TEST_CASE(text_that_nobody_reads_does_not_stop_the_start, Stage) {
  const auto unread = [] {
    std::array<int, 2> ends{};
    must(::pipe(ends.data()) == 0 && ::dup2(ends[1], STDOUT_FILENO) != -1);
    ::close(ends[0]);
    ::close(ends[1]);
  };
  const auto result =
      begin({"buffer:unread", "daemon", "pidfile=" + pidfile, "facts", "wait"}, unread).finish();
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  stop(scene.facts());
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_daemon_in_a_pid_namespace_is_found_by_its_lock, Stage) {
  auto caller = begin({"daemon", "pidfile=" + pidfile, "facts", "wait"}, behind_an_init);
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("mode") == "detached");
  BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));  // the pid inside of the namespace
  const auto second = run({"pidfile=" + pidfile});
  BOOST_TEST(second.end.exited(1));
  const auto at = second.err.find("already running, pid ");
  BOOST_REQUIRE(at != std::string::npos);
  const pid_t daemon = std::stoi(second.err.substr(at + 21));  // the pid outside of the namespace
  BOOST_TEST(scene::status_field(daemon, "NSpid") == std::to_string(daemon) + '\t' + facts.at("pid"));
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(caller.finish().end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
  refuses({"pidfile=" + pidfile, "cwd=/none"},
          "cannot change the working directory to \"/none\": No such file or directory", behind_an_init);
}

BOOST_FIXTURE_TEST_CASE(process_1_stays_in_the_foreground_and_runs_the_service_as_a_child, Stage) {
  auto first = begin({"daemon", "pidfile=" + pidfile, "facts", "wait"}, as_first_process);
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("ppid") == "1");
  BOOST_TEST(facts.at("mode") == "init");
  BOOST_TEST(std::to_string(scene::pid_in(pidfile)) == facts.at("pid"));
  std::ifstream inside("/proc/" + std::to_string(first.pid()) + "/task/" + std::to_string(first.pid()) +
                       "/children");
  pid_t process = 0;
  BOOST_REQUIRE(inside >> process);
  ::kill(process, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(first.finish().end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
  refuses({"detach=always", "pidfile=" + pidfile},
          "cannot detach: this is process 1, and its end is the end of its container", as_first_process);
}

BOOST_FIXTURE_TEST_CASE(root_of_a_user_namespace_can_not_change_its_user, Stage) {
  check_start_and_stop(as_root_of_a_user_namespace);
  for (const std::string user : {"nobody", "root"}) {
    refuses({"pidfile=" + pidfile, "user=" + user},
            "cannot become the user \"" + user + "\": Operation not permitted", as_root_of_a_user_namespace);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(identity)

BOOST_FIXTURE_TEST_CASE(nothing_of_root_is_left_in_the_daemon, Stage) {
  const auto with_groups = [] {
    const std::array<gid_t, 4> groups = {0, 1, 2, 10};
    must(::setgroups(groups.size(), groups.data()) == 0);
  };
  for (const std::string asked : {"0", "1"}) {
    scene::Words words = {"user=nobody"};
    if (asked == "1") words.emplace_back("no_new_privileges=yes");
    const auto facts = start(words, with_groups);
    const pid_t daemon = std::stoi(facts.at("pid"));
    BOOST_TEST(scene::status_field(daemon, "Uid") == "65534\t65534\t65534\t65534");
    BOOST_TEST(scene::status_field(daemon, "Gid") == "65534\t65534\t65534\t65534");
    BOOST_TEST(scene::status_field(daemon, "Groups") == "65534 ");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      BOOST_TEST(scene::status_field(daemon, set) == "0000000000000000", set);
    }
    BOOST_TEST(scene::status_field(daemon, "NoNewPrivs") == asked);
    stop(facts);
  }
}

BOOST_FIXTURE_TEST_CASE(initgroups_gives_the_groups_of_the_user_and_no_others, Stage) {
  const auto other_groups = [&] {
    must(::unshare(CLONE_NEWNS) == 0);
    const std::string file = scene.path("group");
    scene::write_file(file,
                      "root:x:0:\nfirst:x:4001:nobody\nsecond:x:4002:games,nobody\nthird:x:4003:games\n");
    must(::mount(file.c_str(), "/etc/group", nullptr, MS_BIND, nullptr) == 0);
  };
  const auto facts = start({"user=nobody"}, other_groups);
  BOOST_TEST(scene::status_field(std::stoi(facts.at("pid")), "Groups") == "4001 4002 65534 ");
  stop(facts);
  const auto alone = start({"user=nobody", "initgroups=no"}, other_groups);
  BOOST_TEST(scene::status_field(std::stoi(alone.at("pid")), "Groups") == "65534 ");
  stop(alone);
}

// A filter answers one system call with success, and the call does nothing. The call is one of the three
// steps of the change of user, or the attempt to become root again.
BOOST_FIXTURE_TEST_CASE(a_change_of_user_that_only_seems_to_succeed_fails_the_start, Stage) {
  // A foreground process that has given up half of root's rights can remove its pidfile only in this folder.
  const std::string folder = scene.path("run");
  fs::create_directory(folder);
  ::chmod(folder.c_str(), 0777);
  pidfile = folder + "/pid";
  for (const auto call : {SYS_setgroups, SYS_setresgid, SYS_setresuid, SYS_setuid, SYS_setgid}) {
    const auto pretended = [=] {
      std::array<sock_filter, 4> program{{
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0U),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      }};
      const sock_fprog filter{program.size(), program.data()};
      must(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    };
    BOOST_TEST_CONTEXT("system call " << call) {
      for (const std::string detach : {"always", "never"}) {
        refuses({"detach=" + detach, "pidfile=" + pidfile, "user=nobody", "say:serves"},
                "cannot become the user \"nobody\": Operation not permitted", pretended);
      }
    }
  }
  BOOST_TEST(!scene.has_line());
}

// With any of these settings a change of user alone would not give up all capabilities; see capabilities(7).
BOOST_FIXTURE_TEST_CASE(no_setting_keeps_the_capabilities_of_root, Stage) {
  constexpr unsigned long no_setuid_fixup = 1UL << 2;
  const auto inheritable = [] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    must(::syscall(SYS_capget, &header, sets.data()) == 0);
    for (auto& half : sets) half.inheritable = half.permitted;
    must(::syscall(SYS_capset, &header, sets.data()) == 0);
  };
  const std::vector<std::pair<scene::Words, scene::Surroundings>> ways = {
      {{}, [] { must(::prctl(PR_SET_SECUREBITS, no_setuid_fixup) == 0); }},
      {{"keepcaps"}, {}},
      {{}, inheritable}};
  for (const auto& [before, surroundings] : ways) {
    scene::Words words = before;
    words.insert(words.end(), {"daemon", "user=nobody", "facts", "wait"});
    BOOST_TEST(begin(words, surroundings).finish().end.exited(0));
    const auto facts = scene.facts();
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      BOOST_TEST(scene::status_field(std::stoi(facts.at("pid")), set) == "0000000000000000", set);
    }
    stop(facts);
  }
}

BOOST_FIXTURE_TEST_CASE(no_core_handler_sees_a_daemon_where_the_limit_can_not_be_raised, Stage) {
  const std::string handler = scene.path("handler");
  scene::write_file(handler, "#!/bin/sh\ncat > " + scene.path("piped") + "\n");
  ::chmod(handler.c_str(), 0755);
  const scene::Setting in_force("/proc/sys/kernel/core_pattern", "|" + handler);
  const auto as_nobody = [] {
    limited(RLIMIT_CORE, 0)();
    must(::setgroups(0, nullptr) == 0 && ::setgid(nobody) == 0 && ::setuid(nobody) == 0);
  };
  for (const std::string detach : {"always", "never"}) {
    if (scene::sanitized && detach == "never") {
      BOOST_TEST_MESSAGE("skipped in part: in the foreground the address sanitizer keeps its handler");
      continue;
    }
    auto caller = begin({"daemon", "detach=" + detach, "facts", "raise:11"}, as_nobody);
    const auto facts = scene.facts();
    if (detach == "always") BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).killed_by(SIGSEGV));
    const auto end = caller.finish().end;
    BOOST_TEST((detach == "always" || end.killed_by(SIGSEGV)));
    BOOST_TEST(!scene::exists(scene.path("piped")));
  }
}

BOOST_FIXTURE_TEST_CASE(no_core_handler_sees_a_daemon_that_has_changed_its_user, Stage) {
  const std::string handler = scene.path("handler");
  scene::write_file(handler, "#!/bin/sh\ncat > " + scene.path("piped") + "\n");
  ::chmod(handler.c_str(), 0755);
  const scene::Setting in_force("/proc/sys/kernel/core_pattern", "|" + handler);
  for (const std::string user : {"nobody", "root"}) {
    run({"user=" + user, "facts", "raise:11"}, limited(RLIMIT_CORE, RLIM_INFINITY));
    const auto facts = scene.facts();
    BOOST_TEST(facts.at("core") == "1 1");
    BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).killed_by(SIGSEGV));
    BOOST_TEST(!scene::exists(scene.path("piped")));
  }
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

class WatchedProcess {
 public:
  explicit WatchedProcess(const std::string& pid)
      : process_(static_cast<int>(::syscall(SYS_pidfd_open, std::stoi(pid), 0))) {}

  bool ends() const {
    pollfd ended{process_.get(), POLLIN, 0};
    return ::poll(&ended, 1, std::chrono::milliseconds(scene::patience).count()) == 1;
  }

 private:
  scene::Received process_;
};

}  // namespace

// As in many containers.
BOOST_FIXTURE_TEST_CASE(a_monitor_without_cap_kill_becomes_the_workers_user_to_signal_it, Stage) {
  const auto facts = start({"user=nobody", "pidfile=" + pidfile, "err=" + log, "respawn=stop:60000",
                            "cleanup:done", "on_reload:say"},
                           without_cap_kill);
  const pid_t monitor = std::stoi(facts.at("ppid"));
  ::kill(monitor, SIGHUP);
  scene.expect("reloaded");
  ::kill(monitor, SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
  BOOST_TEST(scene::await_end(monitor).exited(0));
  BOOST_TEST(scene::contents(log) == "");
}

// A stop must not wait for what can not come.
BOOST_FIXTURE_TEST_CASE(a_monitor_that_can_not_signal_its_worker_ends_and_takes_it_along, Stage) {
  const auto without_signals = [] {
    without_cap_kill();
    forbid_to_keep_the_real_user();
  };
  const auto facts =
      start({"user=nobody", "pidfile=" + pidfile, "err=" + log, "respawn=stop:60000", "on_reload:say"},
            without_signals);
  const pid_t monitor = std::stoi(facts.at("ppid"));
  const WatchedProcess worker(facts.at("pid"));
  const std::string to_worker = " on to worker " + facts.at("pid") +
                                ": Operation not permitted (the monitor needs CAP_KILL or CAP_SETUID)";
  ::kill(monitor, SIGHUP);
  BOOST_TEST(
      scene::eventually([&] { return contains(scene::contents(log), "cannot hand SIGHUP" + to_worker); }));
  ::kill(monitor, SIGTERM);
  BOOST_TEST(scene::await_end(monitor).exited(1));
  BOOST_TEST(worker.ends());
  const std::string lines = scene::contents(log);
  BOOST_TEST(contains(lines, "cannot hand SIGTERM" + to_worker), lines);
  BOOST_TEST(contains(lines, "killing worker " + facts.at("pid") + ", which can't be told to stop"), lines);
  BOOST_TEST(contains(lines, "cannot kill worker " + facts.at("pid") + ": Operation not permitted"), lines);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_has_become_another_user_by_itself_dies_with_its_monitor, Stage) {
  const auto result = run({"pidfile=" + pidfile, "respawn=first:1", "become:65534", "facts", "wait"});
  BOOST_REQUIRE(result.end.exited(0));
  scene.expect("become: done");
  const auto facts = scene.facts();
  const pid_t monitor = std::stoi(facts.at("ppid"));
  const WatchedProcess worker(facts.at("pid"));
  ::kill(monitor, SIGKILL);
  BOOST_TEST(scene::await_end(monitor).killed_by(SIGKILL));
  BOOST_TEST(worker.ends());
}

BOOST_FIXTURE_TEST_CASE(without_cap_kill_a_failed_start_still_takes_its_daemon_down, Stage) {
  rejects({"user=nobody", "readiness=notified", "ready_timeout=300", "hang"},
          "the daemon was not ready within 300 ms", without_cap_kill);
}

BOOST_FIXTURE_TEST_CASE(a_failed_start_names_the_process_that_it_can_not_kill, Stage) {
  auto start =
      begin({"daemon", "user=nobody", "readiness=notified", "ready_timeout=300", "facts", "hang"}, [] {
        without_cap_kill();
        forbid_to_keep_the_real_user();
      });
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  siginfo_t ended{};
  BOOST_TEST(::waitid(P_PID, static_cast<id_t>(start.pid()), &ended, WEXITED | WNOWAIT) == 0);
  ::kill(daemon, SIGKILL);  // it keeps the output of the start open
  const auto result = start.finish();
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(contains(result.err, "; cannot kill process " + std::to_string(daemon)), result.err);
}

// Without /proc the caller can't look for what its daemon has started, but it knows the daemon.
BOOST_FIXTURE_TEST_CASE(without_proc_a_failed_start_takes_down_a_daemon_that_has_left_its_group, Stage) {
  if (sanitized) {
    BOOST_TEST_MESSAGE("skipped: sanitizers need /proc");
    return;
  }
  auto start = begin({"daemon", "readiness=notified", "ready_timeout=300", "leave"}, [] {
    scene::forgo_leak_check();
    must(::unshare(CLONE_NEWNS) == 0 && ::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0);
  });
  const auto result = start.finish();
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(contains(result.err, "the daemon was not ready within 300 ms\n"), result.err);
  BOOST_TEST(scene::children().empty());
}
