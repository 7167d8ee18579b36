// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE confinement

// What only root can ask for. Without root it exits with 77: skipped.

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

// A root directory in which the daemon can do its work: the channel is all it needs.
void furnish(const Scene& scene, const std::string& root) {
  boost::filesystem::create_directories(root + scene.folder().string());
  boost::filesystem::create_directories(root + "/inside");
  boost::filesystem::create_directories(root + "/proc/self");
  BOOST_REQUIRE(::link(scene.path("channel").c_str(), (root + scene.path("channel")).c_str()) == 0);
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

// Owner and mode of a directory that was there, as a start finds and leaves it.
struct KeptDirectory : Stage {
  std::string folder = scene.path("kept");

  KeptDirectory() {
    fs::create_directory(folder);
    ::chmod(folder.c_str(), 0711);
  }
  void is_as_before() {
    BOOST_TEST(status_of(folder).st_uid == 0U);
    BOOST_TEST((status_of(folder).st_mode & 07777) == 0711U);
  }
};

BOOST_FIXTURE_TEST_CASE(a_start_that_is_refused_changes_no_directory, KeptDirectory) {
  const auto facts = start({"pidfile=" + pidfile});
  const auto second = run({"user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + pidfile});
  BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
  is_as_before();
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(a_start_that_fails_puts_owner_and_mode_back, KeptDirectory) {
  for (const Words& fault :
       {Words{"cwd=/none"}, Words{"err=/none/log"}, Words{"detach=never", "cwd=/none"}}) {
    Words words = {"user=nobody", "mkdir=" + folder + ":0750", "pidfile=" + folder + "/pid"};
    words.insert(words.end(), fault.begin(), fault.end());
    BOOST_TEST(run(words).end.exited(1));
    is_as_before();
    BOOST_TEST(fs::is_empty(folder));
  }
}

BOOST_FIXTURE_TEST_CASE(a_preflight_changes_no_directory, KeptDirectory) {
  BOOST_TEST(begin({"preflight", "user=nobody", "mkdir=" + folder + ":0750"}).finish().end.exited(0));
  is_as_before();
}

BOOST_FIXTURE_TEST_CASE(a_directory_for_everybody_is_given_to_nobody, KeptDirectory) {
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
  const auto first = start({"pidfile=" + pidfile});
  const std::string made = scene.path("made/deep");
  auto second =
      begin({"daemon", "mkdir=" + made, "pidfile=" + pidfile, "lock_timeout=forever", "on_wait=yes", "wait"});
  scene.expect("waiting");
  BOOST_TEST(scene::exists(made));
  ::kill(second.pid(), SIGTERM);
  BOOST_TEST(second.finish().end.killed_by(SIGTERM));
  BOOST_TEST(!scene::exists(scene.path("made")));
  while (scene.has_line()) scene.expect("waiting");
  stop(first);
}

// A worker whose monitor was killed holds this lock for a moment.
BOOST_FIXTURE_TEST_CASE(so_does_one_that_waits_for_a_worker_to_end, Stage) {
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
  // A monitor stays root, and may.
  const auto worker = start({"user=nobody", "pidfile=" + pidfile, "respawn=first:1"});
  BOOST_TEST(scene::status_field(std::stoi(worker.at("pid")), "Uid") == "65534\t65534\t65534\t65534");
  BOOST_TEST(std::to_string(scene::pid_in(pidfile)) == worker.at("ppid"));
  stop(scene::pid_in(pidfile));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_failed_start_takes_its_directories_away_again, Stage) {
  boost::filesystem::create_directory(scene.path("there"));
  refuses({"mkdir=" + scene.path("there/a"), "mkdir=" + scene.path("b/c"), "cwd=/none"},
          "cannot change the working directory to \"/none\": No such file or directory");
  BOOST_TEST(scene::exists(scene.path("there")));
  BOOST_TEST(!scene::exists(scene.path("there/a")));
  BOOST_TEST(!scene::exists(scene.path("b")));
}

BOOST_FIXTURE_TEST_CASE(no_planted_link_leads_a_directory_astray, Stage) {
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

// Who may write the folder can call any directory of root's by the name of the one that he is to get.
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
  // One that is as it should be is no matter of trust.
  scene::write_file(wanted + "/dump", "");
  stop(start({"user=nobody", "mkdir=" + wanted}));
}

BOOST_FIXTURE_TEST_CASE(nor_is_one_that_is_moved_while_it_is_made, Stage) {
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
    for (;;) {  // as soon as it is there, and empty
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

BOOST_FIXTURE_TEST_CASE(what_fails_after_the_change_of_user_leaves_nothing, Stage) {
  const std::string closed = scene.path("closed");
  fs::create_directory(closed);
  ::chmod(closed.c_str(), 0700);
  const std::string made = scene.path("made");
  const std::string root = scene.path("root");
  furnish(scene, root);
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

// In the child that tries the directory there are none, and nobody to wait for.
BOOST_FIXTURE_TEST_CASE(threads_of_the_program_do_not_hold_the_trial_up, Stage) {
  if (scene::sanitized) return;  // which counts threads, and makes them slow
  for (int round = 0; round < 20; ++round) {
    const auto result = begin({"churn", "daemon", "detach=never", "user=nobody", "_exit:0"}).finish();
    BOOST_TEST(result.end.exited(0));
    BOOST_TEST(result.err == "");
  }
}

BOOST_FIXTURE_TEST_CASE(who_gives_up_his_rights_by_himself_does_not_get_round_the_check, Stage) {
  for (const std::string detach : {"always", "never"}) {
    rejects({"detach=" + detach, "user=nobody", "before_drop=become"},
            "cannot become the user \"nobody\": Operation not permitted");
  }
  scene.expect("before drop: uid 65534");
  scene.expect("before drop: uid 65534");
}

BOOST_FIXTURE_TEST_CASE(roots_keys_stay_behind, Stage) {
  for (const std::string user : {"nobody", "root"}) {
    const auto result =
        begin({"own_keyring:daemonctx", "daemon", "user=" + user, "seek_key:daemonctx"}).finish();
    BOOST_TEST(result.end.exited(0));
    if (scene.next() == "there are no keys") BOOST_TEST_MESSAGE("skipped: keyrings can't be used here");
    else scene.expect(user == "nobody" ? "no key" : "found the key");
    while (scene.has_line()) scene.next();
  }
}

BOOST_FIXTURE_TEST_CASE(no_core_is_left_before_the_drop_and_by_a_monitor_either, Stage) {
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

BOOST_FIXTURE_TEST_CASE(another_root_directory_holds_the_daemon_in, Stage) {
  const std::string root = scene.path("root");
  furnish(scene, root);
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
  // Out of reach, so emptied; and the next start takes it without complaint.
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

BOOST_FIXTURE_TEST_CASE(new_privileges_are_ruled_out, Stage) {
  const auto facts = start({"no_new_privileges=yes"});
  BOOST_TEST(facts.at("no_new_privileges") == "1");
  stop(facts);
  const auto usual = start({});
  BOOST_TEST(usual.at("no_new_privileges") == "0");
  stop(usual);
}

BOOST_FIXTURE_TEST_CASE(a_set_uid_program_gives_up_its_elevation, Stage) {
  const std::string copy = scene.path("probe");
  scene::copy_file(scene::argument(2), copy);  // the one that needs no library of ours
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

BOOST_FIXTURE_TEST_CASE(a_user_can_be_for_root_alone, Stage) {
  const scene::Words words = {"user=nobody", "change_user=if_root"};
  const auto of_root = start(words);
  BOOST_TEST(of_root.at("uids") == "65534\t65534\t65534\t65534");
  stop(of_root);
  use_probe_of_its_own();
  const auto of_another = [&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(1) != 0 || ::setuid(1) != 0) ::_exit(126);
  };
  BOOST_REQUIRE(
      begin(scene::Words{"daemon", "user=nobody", "change_user=if_root", "facts", "wait"}, of_another)
          .finish()
          .end.exited(0));
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "1\t1\t1\t1");
  stop(facts);
}

BOOST_FIXTURE_TEST_CASE(a_group_that_can_not_be_had_is_called_a_group, Stage) {
  use_probe_of_its_own();
  const auto of_nobody = [&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
  };
  const std::string line = "cannot become the group \"mail\": Operation not permitted";
  rejects({"group=mail"}, line, of_nobody);
  rejects({"user=nobody", "group=mail"}, line, of_nobody);
  rejects({"detach=never", "group=mail"}, line, of_nobody);
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
  BOOST_TEST(scene::exists(log));  // it was there before
}

BOOST_FIXTURE_TEST_CASE(a_preflight_makes_no_log_and_says_where_none_can_be, Stage) {
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

BOOST_FIXTURE_TEST_CASE(a_preflight_needs_no_directories_and_leaves_none, Stage) {
  const std::string folder = scene.path("run");
  const auto result = begin({"preflight", "mkdir=" + folder, "pidfile=" + folder + "/pid"}).finish();
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.err == "");
  BOOST_TEST(!scene::exists(folder));
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
