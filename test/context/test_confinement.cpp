// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE confinement

// Options that only root can use. Without root the test exits with 77: skipped.

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string/join.hpp>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "stage.hpp"

using scene::nobody;
using scene::Scene;
using scene::Stage;
using scene::status_of;
using scene::Words;

namespace fs = boost::filesystem;

namespace {

// Makes a root directory in which the daemon can work: the daemon needs only the channel.
void make_root_directory(const Scene& scene, const std::string& root) {
  boost::filesystem::create_directories(root + scene.folder().string());
  boost::filesystem::create_directories(root + "/inside");
  boost::filesystem::create_directories(root + "/proc/self");
  BOOST_REQUIRE(::link(scene.path("channel").c_str(), (root + scene.path("channel")).c_str()) == 0);
}

// What is created in some directories, and removed from them.
class Changes {
 public:
  explicit Changes(const Words& directories) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    for (const std::string& directory : directories)
      BOOST_REQUIRE(::inotify_add_watch(fd_, directory.c_str(), IN_CREATE | IN_DELETE) != -1);
  }
  ~Changes() { ::close(fd_); }
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  // In order: "+name" was created, "-name" removed.
  Words seen() const {
    Words result;
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (ssize_t size = 0; (size = ::read(fd_, buffer.data(), buffer.size())) > 0;) {
      for (ssize_t at = 0; at < size;) {
        const auto* const event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        result.push_back(((event->mask & IN_CREATE) != 0 ? "+" : "-") + std::string(event->name));
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    return result;
  }

 private:
  int fd_;
};

bool contains(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

using scene::NeedsRoot;

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(before_drop_runs_as_root_and_what_it_throws_is_thrown_in_the_caller, Stage) {
  BOOST_TEST(run({"pidfile=" + pidfile, "user=nobody", "before_drop=yes", "facts", "wait"}).end.exited(0));
  scene.expect("before drop: uid 0");
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "65534\t65534\t65534\t65534");
  stop(facts);
  ::unlink(pidfile.c_str());
  refuses({"pidfile=" + pidfile, "user=nobody", "before_drop=throw cannot read the key: no such key"},
          "cannot read the key: no such key");
  refuses({"detach=never", "pidfile=" + pidfile, "before_drop=throw no key"}, "no key");
}

BOOST_FIXTURE_TEST_CASE(a_directory_is_made_for_the_user_and_the_pidfile_in_it_is_removed, Stage) {
  const std::string folder = scene.path("run/deep/service");
  const auto facts = start({"user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + folder + "/pid"});
  BOOST_TEST(status_of(folder).st_uid == nobody);
  BOOST_TEST((status_of(folder).st_mode & 07777) == 0750U);
  BOOST_TEST(status_of(scene.path("run/deep")).st_uid == 0U);
  BOOST_TEST((status_of(scene.path("run/deep")).st_mode & 07777) == 0755U);
  stop(facts);
  BOOST_TEST(!scene::exists(folder + "/pid"));
  BOOST_TEST(scene::exists(folder));
  stop(start({"user=nobody", "mkdir=" + folder + ":0700", "pidfile=" + folder + "/pid"}));
  BOOST_TEST((status_of(folder).st_mode & 07777) == 0700U);
}

// A directory that exists before the start. The start must leave its owner and mode alone.
struct KeptDirectory : Stage {
  std::string folder = scene.path("kept");

  KeptDirectory() {
    fs::create_directory(folder);
    ::chmod(folder.c_str(), 0711);
  }
  void check_owner_and_mode() {
    BOOST_TEST(status_of(folder).st_uid == 0U);
    BOOST_TEST((status_of(folder).st_mode & 07777) == 0711U);
  }
};

BOOST_FIXTURE_TEST_CASE(a_start_that_is_refused_changes_no_directory, KeptDirectory) {
  const auto facts = start({"pidfile=" + pidfile});
  const auto second = run({"user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + pidfile});
  BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
  check_owner_and_mode();
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(a_start_that_fails_puts_owner_and_mode_back, KeptDirectory) {
  for (const Words& fault :
       {Words{"cwd=/none"}, Words{"err=/none/log"}, Words{"detach=never", "cwd=/none"}}) {
    Words words = {"user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + folder + "/pid"};
    words.insert(words.end(), fault.begin(), fault.end());
    BOOST_TEST(run(words).end.exited(1));
    check_owner_and_mode();
    BOOST_TEST(fs::is_empty(folder));
  }
}

BOOST_FIXTURE_TEST_CASE(a_preflight_changes_no_directory, KeptDirectory) {
  BOOST_TEST(begin({"preflight", "user=nobody", "mkdir=" + folder + ":0750"}).finish().end.exited(0));
  check_owner_and_mode();
}

// Otherwise the running daemon's start could have found the directory, and then lost it.
BOOST_FIXTURE_TEST_CASE(a_refused_start_creates_only_what_the_lock_needs, Stage) {
  const std::string folder = scene.path("run");
  const std::string data = scene.path("data");
  fs::create_symlink(folder, scene.path("link"));
  for (const std::string way : {"run", "link"}) {
    const Words words = {"mkdir=" + data, "mkdir=" + folder, "pidfile=" + scene.path(way) + "/pid"};
    const auto facts = start(words);
    fs::remove(data);
    const Changes changes({scene.folder().string()});
    const auto second = run(words);
    BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
    BOOST_TEST(!contains(changes.seen(), "+data"));
    stop(facts);
  }
}

BOOST_FIXTURE_TEST_CASE(a_pidfile_and_a_log_may_lie_in_a_parent_that_a_directory_brings, Stage) {
  const std::string parent = scene.path("new/parent");
  const Words words = {"mkdir=" + parent + "/cache", "pidfile=" + parent + "/pid", "out=" + parent + "/log"};
  Words preflight = words;
  preflight.insert(preflight.begin(), "preflight");
  const auto checked = begin(preflight).finish();
  BOOST_TEST(checked.end.exited(0));
  BOOST_TEST(checked.err == "");
  stop(start(words));
}

// The waiting start reads owner and mode after the other start has put them back.
BOOST_FIXTURE_TEST_CASE(a_start_that_waited_for_one_that_failed_gives_owner_and_mode, KeptDirectory) {
  const Words words = {"daemon", "user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + folder + "/pid"};
  Words fails = words;
  fails.insert(fails.end(), {"readiness=notified", "say:up", "wait"});
  Words waits = words;
  waits.insert(waits.end(), {"lock_timeout=forever", "on_wait=yes", "hang"});
  auto first = begin(fails);
  scene.expect("up");
  BOOST_TEST(status_of(folder).st_uid == nobody);
  auto second = begin(waits);
  scene.expect("waiting");
  ::kill(first.pid(), SIGTERM);
  BOOST_TEST(first.finish().end.killed_by(SIGTERM));
  BOOST_TEST(second.finish().end.exited(0));
  BOOST_TEST(status_of(folder).st_uid == nobody);
  BOOST_TEST((status_of(folder).st_mode & 07777) == 0750U);
  const pid_t daemon = scene::pid_in(folder + "/pid");
  ::kill(daemon, SIGKILL);
  scene::await_end(daemon);
}

BOOST_FIXTURE_TEST_CASE(a_monitor_in_the_foreground_keeps_directories_only_of_a_service_that_was_ready,
                        Stage) {
  const std::string data = scene.path("data");
  for (const std::string ready : {"say:not ready", "ready"}) {
    auto service = begin({"daemon", "detach=never", "respawn=first:1", "readiness=notified", "mkdir=" + data,
                          "pidfile=" + pidfile, ready, "say:up", "wait"});
    if (ready != "ready") scene.expect("not ready");
    scene.expect("up");
    if (ready == "ready") BOOST_TEST(scene::eventually([&] { return scene::pid_in(pidfile) > 0; }));
    ::kill(service.pid(), SIGTERM);
    service.finish();
    scene.expect("stop");
    BOOST_TEST(scene::exists(data) == (ready == "ready"));
    BOOST_TEST(!scene::exists(pidfile));
  }
}

// After the lock is given up, another start may already have found them.
BOOST_FIXTURE_TEST_CASE(a_failed_start_removes_its_directories_before_the_pidfile, Stage) {
  const std::string folder = scene.path("run");
  fs::create_directory(folder);
  const std::string data = scene.path("data");
  const Words words = {"mkdir=" + data, "pidfile=" + folder + "/pid", "out=" + data + "/log"};
  const std::vector<Words> faults = {
      {"cwd=/none"},
      {"user=nobody", "cwd=/none"},
      {"detach=never", "cwd=/none"},
      {"readiness=notified", "exit:3"},
      {"readiness=notified", "raise:9"},
      {"readiness=notified", "throw:too early"},
      {"respawn=most:0", "readiness=notified", "exit:3"},
      {"respawn=most:0", "cwd=/none"},
      {"detach=never", "respawn=most:0", "readiness=notified", "exit:3"},
  };
  for (const Words& fault : faults) {
    const Changes changes({scene.folder().string(), folder});
    Words all = words;
    all.insert(all.end(), fault.begin(), fault.end());
    BOOST_TEST(!run(all).end.exited(0));
    const Words seen = changes.seen();
    const auto removed = std::find(seen.begin(), seen.end(), "-data");
    BOOST_TEST(contains(seen, "+data"));
    BOOST_TEST((removed != seen.end() && std::find(removed, seen.end(), "-pid") != seen.end()),
               boost::algorithm::join(fault, " ") + ": " + boost::algorithm::join(seen, " "));
  }
}

BOOST_FIXTURE_TEST_CASE(a_directory_that_everybody_uses_keeps_its_owner_and_mode, KeptDirectory) {
  ::chmod(folder.c_str(), 01777);
  refuses({"user=nobody", "mkdir=" + folder},
          "cannot use the directory \"" + folder + "\": everybody uses it, and its owner and mode must stay");
  BOOST_TEST((status_of(folder).st_mode & 07777) == 01777U);
  BOOST_TEST(status_of(folder).st_uid == 0U);
}

// Starts that fail remove the directory again, perhaps just before another start opens its pidfile there.
BOOST_FIXTURE_TEST_CASE(a_start_succeeds_beside_starts_that_fail_in_the_same_directory, Stage) {
  const std::string folder = scene.path("shared");
  const std::jthread failing([&](const std::stop_token& over) {
    while (!over.stop_requested())
      begin({"daemon", "mkdir=" + folder, "pidfile=" + folder + "/other", "cwd=/none"}).finish();
  });
  for (int round = 0; round < scene::rounds(200); ++round) {
    stop(start({"mkdir=" + folder, "pidfile=" + folder + "/pid"}));
    boost::system::error_code is_in_use;
    fs::remove(folder, is_in_use);
  }
}

BOOST_FIXTURE_TEST_CASE(a_start_that_is_ended_while_it_waits_leaves_no_directory, Stage) {
  const pid_t first = start_leaving();
  const std::string made = scene.path("made/deep");
  auto second =
      begin({"daemon", "mkdir=" + made, "pidfile=" + pidfile, "lock_timeout=forever", "on_wait=yes", "wait"});
  scene.expect("waiting");
  ::kill(second.pid(), SIGTERM);
  BOOST_TEST(second.finish().end.killed_by(SIGTERM));
  BOOST_TEST(!scene::exists(scene.path("made")));
  while (scene.has_line()) scene.expect("waiting");
  ::kill(first, SIGKILL);
  scene::await_end(first);
}

// A worker whose monitor was killed holds this lock for a moment.
BOOST_FIXTURE_TEST_CASE(a_start_that_is_ended_while_it_waits_for_a_worker_leaves_no_directory, Stage) {
  scene::write_file(pidfile, "4711\n");
  const int worker = ::open(pidfile.c_str(), O_RDONLY | O_CLOEXEC);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_start = 3;
  lock.l_len = 1;
  BOOST_REQUIRE(::fcntl(worker, F_OFD_SETLK, &lock) == 0);
  auto waits = begin({"daemon", "mkdir=" + scene.path("made"), "pidfile=" + pidfile, "lock_timeout=forever",
                      "on_wait=yes", "wait"});
  scene.expect("waiting");
  ::kill(waits.pid(), SIGTERM);
  BOOST_TEST(waits.finish().end.killed_by(SIGTERM));
  BOOST_TEST(!scene::exists(scene.path("made")));
  ::close(worker);
}

BOOST_FIXTURE_TEST_CASE(a_pidfile_that_its_daemon_may_not_remove_is_emptied_and_the_next_start_takes_it,
                        Stage) {
  for (int times = 0; times < 2; ++times) {
    const auto facts = start({"user=nobody", "pidfile=" + pidfile});
    BOOST_TEST(std::to_string(scene::pid_in(pidfile)) == facts.at("pid"));
    stop(facts);
    BOOST_TEST(scene::exists(pidfile));
    BOOST_TEST(scene::contents(pidfile) == "");
  }
  // A monitor stays root, so it may remove the pidfile.
  const auto worker = start({"user=nobody", "pidfile=" + pidfile, "respawn=first:1"});
  BOOST_TEST(scene::status_field(std::stoi(worker.at("pid")), "Uid") == "65534\t65534\t65534\t65534");
  BOOST_TEST(std::to_string(scene::pid_in(pidfile)) == worker.at("ppid"));
  stop(scene::pid_in(pidfile));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_failed_start_removes_the_directories_that_it_has_made, Stage) {
  boost::filesystem::create_directory(scene.path("there"));
  refuses({"mkdir=" + scene.path("there/a"), "mkdir=" + scene.path("b/c"), "cwd=/none"},
          "cannot change the working directory to \"/none\": No such file or directory");
  BOOST_TEST(scene::exists(scene.path("there")));
  BOOST_TEST(!scene::exists(scene.path("there/a")));
  BOOST_TEST(!scene::exists(scene.path("b")));
}

BOOST_FIXTURE_TEST_CASE(a_planted_link_is_refused_as_a_directory, Stage) {
  const std::string home = scene.path("home");
  boost::filesystem::create_directory(home);
  boost::filesystem::create_directory(scene.path("precious"));
  BOOST_REQUIRE(::symlink(scene.path("precious").c_str(), (home + "/link").c_str()) == 0);
  BOOST_REQUIRE(::lchown((home + "/link").c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chown(home.c_str(), nobody, nobody) == 0);
  refuses({"user=nobody", "mkdir=" + home + "/link"},
          "cannot use the directory \"" + home + "/link\": it is no directory");
  refuses({"user=nobody", "mkdir=" + home + "/link/sub"},
          "cannot use the directory \"" + home +
              "/link/sub\": \"link\" on the way to it is, or leads to, a symbolic link that others could "
              "have put there");
  BOOST_TEST(status_of(scene.path("precious")).st_uid == 0U);
  BOOST_TEST(!scene::exists(scene.path("precious/sub")));
  scene::write_file(scene.path("file"), "");
  refuses({"mkdir=" + scene.path("file")},
          "cannot use the directory \"" + scene.path("file") + "\": it is no directory");
  refuses({"user=games", "mkdir=" + home},
          "cannot use the directory \"" + home + "\": it belongs to another user (uid 65534)");
  // Root's own links are followed, as /var/run is.
  BOOST_REQUIRE(::symlink(scene.path("precious").c_str(), scene.path("short").c_str()) == 0);
  stop(start({"user=nobody", "mkdir=" + scene.path("short/sub")}));
  BOOST_TEST(status_of(scene.path("precious/sub")).st_uid == nobody);
}

// A user who may write the folder can give any directory of root's the name that the start asks for.
BOOST_FIXTURE_TEST_CASE(a_directory_that_others_could_have_moved_is_not_given_away, Stage) {
  const std::string home = scene.path("home");
  const std::string wanted = home + "/data";
  fs::create_directory(home);
  fs::create_directory(wanted);
  scene::write_file(wanted + "/dump", "");
  ::chmod(wanted.c_str(), 0700);
  BOOST_REQUIRE(::chown(home.c_str(), nobody, nobody) == 0);
  for (const std::string user : {"nobody", "root"}) {
    refuses(
        {"user=" + user, "mkdir=" + wanted},
        "cannot use the directory \"" + wanted + "\": it is not empty, and others could have put it there");
  }
  BOOST_TEST(status_of(wanted).st_uid == 0U);
  BOOST_TEST((status_of(wanted).st_mode & 07777) == 0700U);
  fs::remove(wanted + "/dump");
  stop(start({"user=nobody", "mkdir=" + wanted}));
  BOOST_TEST(status_of(wanted).st_uid == nobody);
  // A directory that already has the right owner and mode needs no trust.
  scene::write_file(wanted + "/dump", "");
  stop(start({"user=nobody", "mkdir=" + wanted}));
}

BOOST_FIXTURE_TEST_CASE(a_directory_that_is_moved_while_a_start_makes_it_is_not_given_away, Stage) {
  const std::string home = scene.path("home");
  const std::string secret = home + "/secret";
  const std::string made = home + "/made";
  fs::create_directories(secret);
  scene::write_file(secret + "/text", "");
  ::chmod(secret.c_str(), 0700);
  BOOST_REQUIRE(::chown(home.c_str(), nobody, nobody) == 0);
  const pid_t thief = ::fork();
  if (thief == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {  // the first rename succeeds as soon as `made` exists and is empty
      if (::access(made.c_str(), F_OK) == 0 && ::rename(secret.c_str(), made.c_str()) == 0)
        ::rename(made.c_str(), secret.c_str());
    }
  }
  for (int round = 0; round < 150; ++round)
    begin({"daemon", "user=nobody", "mkdir=" + made + "/sub", "cwd=/none"}).finish();
  ::kill(thief, SIGKILL);
  ::waitpid(thief, nullptr, 0);
  const std::string now = scene::exists(secret) ? secret : made;
  BOOST_TEST(status_of(now).st_uid == 0U);
  BOOST_TEST((status_of(now).st_mode & 07777) == 0700U);
  BOOST_TEST(scene::exists(now + "/text"));
}

BOOST_FIXTURE_TEST_CASE(a_start_that_fails_after_the_change_of_user_leaves_nothing, Stage) {
  const std::string closed = scene.path("closed");
  fs::create_directory(closed);
  ::chmod(closed.c_str(), 0700);
  const std::string made = scene.path("made");
  const std::string root = scene.path("root");
  make_root_directory(scene, root);
  const std::string line = "cannot change the working directory to ";
  for (const std::string mode : {"detach=always", "detach=never", "respawn=first:1"}) {
    BOOST_TEST_CONTEXT(mode) {
      refuses({mode, "pidfile=" + pidfile, "user=nobody", "mkdir=" + made + "/deep", "cwd=" + closed},
              line + '"' + closed + "\": Permission denied");
      refuses({mode, "pidfile=" + pidfile, "user=nobody", "mkdir=" + made + "/deep", "chroot=" + root,
               "cwd=/none"},
              line + "\"/none\": No such file or directory");
      BOOST_TEST(!scene::exists(made));
    }
  }
  const auto dry_run = begin({"preflight", "user=nobody", "cwd=" + closed}).finish();
  BOOST_TEST(dry_run.end.exited(1));
  BOOST_TEST(dry_run.err.find(line + '"' + closed + "\": Permission denied") != std::string::npos);
}

// A child process tests the directory. The child has no other threads, so it waits for none.
BOOST_FIXTURE_TEST_CASE(threads_of_the_program_do_not_delay_the_test_of_a_directory, Stage) {
  if (scene::sanitized) return;  // a sanitizer counts threads, and makes them slow
  for (int round = 0; round < 20; ++round) {
    const auto result = begin({"churn", "daemon", "detach=never", "user=nobody", "_exit:0"}).finish();
    BOOST_TEST(result.end.exited(0));
    BOOST_TEST(result.err == "");
  }
}

BOOST_FIXTURE_TEST_CASE(a_before_drop_that_gives_up_root_does_not_get_round_the_check, Stage) {
  for (const std::string detach : {"always", "never"}) {
    rejects({"detach=" + detach, "user=nobody", "before_drop=become"},
            "cannot become the user \"nobody\": Operation not permitted");
  }
  scene.expect("before drop: uid 65534");
  scene.expect("before drop: uid 65534");
}

BOOST_FIXTURE_TEST_CASE(a_daemon_of_another_user_does_not_inherit_roots_keys, Stage) {
  for (const std::string user : {"nobody", "root"}) {
    const auto result =
        begin({"own_keyring:daemonctx", "daemon", "user=" + user, "seek_key:daemonctx"}).finish();
    BOOST_TEST(result.end.exited(0));
    if (scene.next() == "there are no keys") BOOST_TEST_MESSAGE("skipped: keyrings can't be used here");
    else scene.expect(user == "nobody" ? "no key" : "found the key");
    while (scene.has_line()) scene.next();
  }
}

BOOST_FIXTURE_TEST_CASE(neither_before_drop_nor_a_monitor_leaves_a_core, Stage) {
  for (const std::string detach : {"always", "never"}) {
    auto service = begin({"daemon", "detach=" + detach, "pidfile=" + pidfile, "user=nobody",
                          "before_drop=core", "respawn=first:1", "say:up", "wait"});
    const std::string core = scene.next();
    BOOST_TEST(core.rfind("core 1 ", 0) == 0U, core);
    scene.expect("before drop: uid 0");
    scene.expect("up");
    const pid_t monitor = scene::pid_in(pidfile);
    const std::string limits = scene::contents("/proc/" + std::to_string(monitor) + "/limits");
    BOOST_TEST(limits.find("Max core file size        1 ") != std::string::npos, limits);
    ::kill(monitor, SIGTERM);
    scene.expect("stop");
    BOOST_TEST(service.finish().end.exited(0));
    if (detach == "always") BOOST_TEST(scene::await_end(monitor).exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(a_new_root_directory_confines_the_daemon, Stage) {
  const std::string root = scene.path("root");
  make_root_directory(scene, root);
  const auto result =
      run({"pidfile=" + pidfile, "out=" + scene.path("log"), "chroot=" + root, "cwd=inside", "user=nobody",
           "say:inside", "print:logged", "seen:/inside", "seen:/etc", "seen:../../../../../etc", "wait"},
          scene::forgo_leak_check);
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  scene.expect("inside");
  scene.expect("/inside is there");
  scene.expect("/etc is not there");
  scene.expect("../../../../../etc is not there");
  const pid_t daemon = scene::pid_in(pidfile);
  const std::string process = "/proc/" + std::to_string(daemon);
  BOOST_TEST(boost::filesystem::read_symlink(process + "/root").string() == root);
  BOOST_TEST(boost::filesystem::read_symlink(process + "/cwd").string() == root + "/inside");
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(scene::contents(scene.path("log")) == "logged\n");
  // The daemon could not reach the pidfile to remove it, so the file is emptied.
  // The next start takes the file without complaint.
  BOOST_TEST(scene::exists(pidfile));
  BOOST_TEST(scene::contents(pidfile) == "");
  stop(start({"pidfile=" + pidfile}));
  refuses({"pidfile=" + pidfile, "chroot=" + scene.path("none")},
          "cannot change the root directory to \"" + scene.path("none") + "\": No such file or directory");
  refuses({"pidfile=" + pidfile, "chroot=" + root, "cwd=/etc"},
          "cannot change the working directory to \"/etc\": No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(the_environment_is_the_one_that_was_given, Stage) {
  const auto facts = start({"variable=A=1", "variable=B=x=y", "user=nobody"});
  BOOST_TEST(facts.at("environment") == "A=1 B=x=y HOME=/nonexistent USER=nobody LOGNAME=nobody ");
  stop(facts);
  const auto empty = start({"variable="});
  BOOST_TEST(empty.at("environment") == "");
  stop(empty);
}

BOOST_FIXTURE_TEST_CASE(no_new_privileges_is_set_on_request, Stage) {
  const auto facts = start({"no_new_privileges=yes"});
  BOOST_TEST(facts.at("no_new_privileges") == "1");
  stop(facts);
  const auto usual = start({});
  BOOST_TEST(usual.at("no_new_privileges") == "0");
  stop(usual);
}

BOOST_FIXTURE_TEST_CASE(a_set_uid_program_gives_up_its_elevation, Stage) {
  const std::string copy = scene.path("probe");
  scene::copy_file(scene::argument(2), copy);  // the probe that needs no library of ours
  BOOST_REQUIRE(::chown(copy.c_str(), 0, 0) == 0);
  BOOST_REQUIRE(::chmod(copy.c_str(), 06755) == 0);
  ::chmod(scene.folder().c_str(), 0755);
  const std::string made = scene.path("made");
  const auto result =
      Scene::run({copy, scene.path("channel"), "daemon", "mkdir=" + made, "facts", "wait"}, [] {
        if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
      });
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "65534\t65534\t65534\t65534");
  BOOST_TEST(facts.at("gids") == "65534\t65534\t65534\t65534");
  BOOST_TEST(status_of(made).st_uid == nobody);
  BOOST_TEST(status_of(made).st_gid == nobody);
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(a_set_uid_program_that_hides_its_elevation_gives_it_up_too, Stage) {
  use_probe_of_its_own();
  BOOST_REQUIRE(::chown(program.c_str(), 0, 0) == 0);
  BOOST_REQUIRE(::chmod(program.c_str(), 06755) == 0);
  for (const std::string detach : {"always", "never"}) {
    auto caller = begin({"lower", "daemon", "detach=" + detach, "facts", "wait"}, [] {
      if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
    });
    scene.expect("lowered");
    const auto facts = scene.facts();
    BOOST_TEST(facts.at("uids") == "65534\t65534\t65534\t65534");
    BOOST_TEST(facts.at("gids") == "65534\t65534\t65534\t65534");
    ::kill(std::stoi(facts.at("pid")), SIGTERM);
    scene.expect("stop");
    BOOST_TEST(caller.finish().end.exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(a_child_that_comes_back_from_before_drop_is_no_second_daemon, Stage) {
  const auto facts = start({"pidfile=" + pidfile, "before_drop=fork"});
  BOOST_TEST(std::to_string(scene::pid_in(pidfile)) == facts.at("pid"));
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(if_root_changes_the_user_only_for_root, Stage) {
  const scene::Words words = {"user=nobody", "change_user=if_root"};
  const auto of_root = start(words);
  BOOST_TEST(of_root.at("uids") == "65534\t65534\t65534\t65534");
  stop(of_root);
  use_probe_of_its_own();
  const auto as_another = [&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(1) != 0 || ::setuid(1) != 0) ::_exit(126);
  };
  BOOST_REQUIRE(
      begin(scene::Words{"daemon", "user=nobody", "change_user=if_root", "facts", "wait"}, as_another)
          .finish()
          .end.exited(0));
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "1\t1\t1\t1");
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(a_failed_change_of_the_group_is_reported_as_a_group, Stage) {
  use_probe_of_its_own();
  const auto as_nobody = [&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
  };
  const std::string line = "cannot become the group \"mail\": Operation not permitted";
  rejects({"group=mail"}, line, as_nobody);
  rejects({"user=nobody", "group=mail"}, line, as_nobody);
  rejects({"detach=never", "group=mail"}, line, as_nobody);
}

BOOST_FIXTURE_TEST_CASE(a_log_that_a_failed_start_has_made_is_removed_if_it_is_empty, Stage) {
  for (const std::string detach : {"always", "never"}) {
    refuses({"detach=" + detach, "pidfile=" + pidfile, "out=" + log, "cwd=/none"},
            "cannot change the working directory to \"/none\": No such file or directory");
    BOOST_TEST(!scene::exists(log));
  }
  BOOST_REQUIRE(::symlink(log.c_str(), scene.path("link").c_str()) == 0);
  refuses({"pidfile=" + pidfile, "out=" + scene.path("link"), "cwd=/none"},
          "cannot change the working directory to \"/none\": No such file or directory");
  BOOST_TEST(!scene::exists(log));
  scene::write_file(log, "");
  refuses({"pidfile=" + pidfile, "out=" + log, "cwd=/none"},
          "cannot change the working directory to \"/none\": No such file or directory");
  BOOST_TEST(scene::exists(log));  // the file was there before the start
}

BOOST_FIXTURE_TEST_CASE(a_preflight_makes_no_log_and_reports_where_none_can_be_made, Stage) {
  BOOST_TEST(begin({"preflight", "out=" + log}).finish().end.exited(0));
  BOOST_TEST(!scene::exists(log));
  const auto directory = begin({"preflight", "out=" + scene.folder().string() + "/"}).finish();
  BOOST_TEST(directory.end.exited(1));
  BOOST_TEST(directory.err.find("Is a directory") != std::string::npos, directory.err);
  const auto missing = begin({"preflight", "out=" + scene.path("no/log")}).finish();
  BOOST_TEST(missing.end.exited(1));
  BOOST_TEST(missing.err.find("No such file or directory") != std::string::npos, missing.err);
  use_probe_of_its_own();
  ::chmod(scene.folder().c_str(), 0755);
  const auto forbidden = begin({"preflight", "out=" + log}, [&] {
                           if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
                         }).finish();
  BOOST_TEST(forbidden.end.exited(1));
  BOOST_TEST(
      forbidden.err.find("cannot open the file \"" + log + "\": Permission denied") != std::string::npos,
      forbidden.err);
}

BOOST_FIXTURE_TEST_CASE(a_preflight_needs_no_directories_and_creates_none, Stage) {
  const std::string folder = scene.path("run/deep");
  fs::create_symlink(".", scene.path("here"));
  const Changes changes({scene.folder().string()});
  for (const std::string& way : {folder, scene.path("here/./run/deep")}) {
    const auto result = begin({"preflight", "mkdir=" + folder, "pidfile=" + way + "/pid",
                               "out=" + way + "/log", "cwd=" + way})
                            .finish();
    BOOST_TEST(result.end.exited(0));
    BOOST_TEST(result.err == "");
  }
  BOOST_TEST(changes.seen().empty());
}

BOOST_FIXTURE_TEST_CASE(a_preflight_reports_what_the_missing_directories_do_not_explain, Stage) {
  const std::string folder = scene.path("run");
  const auto fails = [&](const std::string& option, const std::string& text,
                         const scene::Surroundings& as = {}) {
    const auto result =
        begin({"preflight", "mkdir=" + folder, "out=" + folder + "/log", option}, as).finish();
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err.find(text) != std::string::npos, result.err);
  };
  fails("err=" + scene.path("no/log"), "cannot open the file \"" + scene.path("no/log") + "\": No such file");
  fails("in=" + folder + "/input", "cannot open the file \"" + folder + "/input\": No such file");
  fails("pidfile=" + scene.path("runner/pid"), "cannot open the pidfile");
  fails("cwd=" + scene.path("none"), "cannot change the working directory");
  use_probe_of_its_own();
  fails("umask=022", "cannot create the directory \"" + folder + "\": Permission denied", [] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
  });
}

BOOST_FIXTURE_TEST_CASE(a_link_to_another_root_directory_is_followed_only_if_it_is_roots, Stage) {
  const std::string home = scene.path("home");
  fs::create_directory(home);
  fs::create_symlink("/", home + "/jail");
  BOOST_REQUIRE(::lchown((home + "/jail").c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chown(home.c_str(), nobody, nobody) == 0);
  refuses({"chroot=" + home + "/jail"},
          "cannot change the root directory to \"" + home + "/jail\": Too many levels of symbolic links");
}
