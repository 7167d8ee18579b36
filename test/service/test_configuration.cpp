// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE configuration

// Where a service's values come from, and what survives a crash.

#include <sys/stat.h>
#include <unistd.h>

#include "service_fixture.hpp"

using scene::Probe;
using scene::Scene;
using scene::skipped;

namespace {

/// A service with a default configuration file.
struct DefaultFile : Probe {
  scene::Result control(const scene::Words& words, const std::function<void()>& more = {}) const {
    scene::Words all = words;
    all.insert(all.begin(), program);
    return Scene::run(all, [&] {
      ::setenv("SERVICE_FILE", config.c_str(), 1);
      if (more) more();
    });
  }
  void configure(const std::string& text) const {
    scene::write_file(config, "pidfile = " + pidfile + "\nlog = " + log + '\n' + text);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(after_a_crash_the_service_has_what_was_accepted_last, Probe) {
  scene::write_file(config, "number = 2\n");
  BOOST_TEST(start({"--respawn", "--config", config}).end.exited(0));
  BOOST_TEST(logs("number 2 in"));
  scene::write_file(config, "number = 3\n");
  BOOST_TEST(run({"reload"}).end.exited(0));
  scene::write_file(config, "number = -4\n");
  BOOST_TEST(run({"reload"}).end.exited(1));
  for (const std::string left : {"broken", "gone"}) {
    if (left == "broken") scene::write_file(config, "=\nnumber = many\n");
    else ::unlink(config.c_str());
    scene::write_file(log, "");
    kill_worker_and_await_respawn(left == "broken" ? 1 : 2);
    BOOST_TEST(logs("configured 3\nnumber 3 in"), scene::contents(log));
  }
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(what_the_program_remembers_is_its_own, Probe) {
  scene::write_file(config, "number = 2\n");
  BOOST_TEST(start({"--respawn", "--afterwards", "remember", "--config", config}).end.exited(0));
  scene::write_file(config, "number = 3\n");
  BOOST_TEST(run({"reload"}).end.exited(0));
  scene::write_file(log, "");
  kill_worker_and_await_respawn();
  BOOST_TEST(logs("number 3 in"), scene::contents(log));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(what_was_accepted_and_is_refused_after_a_crash_gives_way_to_the_start, Probe) {
  scene::write_file(config, "number = 2\n");
  BOOST_TEST(start({"--respawn", "--config", config}).end.exited(0));
  const std::string needed = scene.path("needed");
  scene::write_file(needed, "");
  scene::write_file(config, "number = 3\nneeds = " + needed + '\n');
  BOOST_TEST(run({"reload"}).end.exited(0));
  ::unlink(needed.c_str());
  scene::write_file(log, "");
  kill_worker_and_await_respawn();
  BOOST_TEST(logs("probe: the configuration accepted last is refused now: " + config +
                  ":2: needs: it is not there\n"),
             scene::contents(log));
  BOOST_TEST(logs("number 2 in"));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

// The text is larger than a datagram.
BOOST_FIXTURE_TEST_CASE(a_large_configuration_survives_too, Probe) {
  scene::write_file(config, "number = 2\n");
  BOOST_TEST(start({"--respawn", "--config", config}).end.exited(0));
  std::string text = "number = 5\n";
  for (int n = 0; n < 30000; ++n) text += "peer = host" + std::to_string(n) + '\n';
  scene::write_file(config, text);
  BOOST_TEST(run({"reload"}).end.exited(0));
  ::unlink(config.c_str());
  kill_worker_and_await_respawn();
  BOOST_TEST(logs("number 5 in"), scene::contents(log));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_monitor_opens_a_file_that_only_the_starter_may_read, Probe) {
  if (skipped(::geteuid() != 0, "needs root")) return;
  scene::write_file(config, "number = 2\n");
  ::chmod(config.c_str(), 0600);
  BOOST_TEST(start({"--respawn", "--user", "nobody", "--config", config}).end.exited(0));
  scene::write_file(config, "number = 3\n");
  const auto accepted = run({"reload"});
  BOOST_TEST(accepted.end.exited(0), accepted.err);
  BOOST_TEST(logs("configured 3"));
  ::chmod(scene.folder().c_str(), 0777);  // now another user could put a link to any file there
  const auto refused = run({"reload"});
  BOOST_TEST(refused.err ==
             "probe: reload refused: cannot read the configuration file \"" + config +
                 "\": Operation not permitted; others than root and the starter can replace it\n");
  ::chmod(config.c_str(), 0644);  // the service may read it itself
  BOOST_TEST(run({"reload"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(without_a_monitor_the_refusal_says_how_the_file_can_be_read, Probe) {
  if (skipped(::geteuid() != 0, "needs root")) return;
  scene::write_file(config, "number = 2\n");
  ::chmod(config.c_str(), 0600);
  BOOST_TEST(start({"--user", "nobody", "--config", config}).end.exited(0));
  const auto refused = run({"reload"});
  BOOST_TEST(refused.end.exited(1));
  BOOST_TEST(refused.err == "probe: reload refused: cannot read the configuration file \"" + config +
                                "\": Permission denied; let the service's user read it, or set respawn: its "
                                "monitor opens the file\n");
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(every_action_finds_the_default_file, DefaultFile) {
  configure("number = 2\n");
  BOOST_TEST(control({"start"}).end.exited(0));
  BOOST_TEST(logs("number 2 in"));
  configure("number = 3\n");
  BOOST_TEST(control({"restart"}).end.exited(0));
  BOOST_TEST(logs("number 3 in"));
  configure("number = 4\n");
  BOOST_TEST(control({"reload"}).end.exited(0));
  BOOST_TEST(logs("configured 4"));
  BOOST_TEST(control({"status"}).end.exited(0));
  BOOST_TEST(control({"submit", "x"}).out == "x\nnumber 4, priority 0\n");
  BOOST_TEST(control({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_missing_default_file_is_an_error_unless_the_program_says_otherwise, DefaultFile) {
  const std::string missing =
      "cannot read the configuration file \"" + config + "\": No such file or directory";
  const auto refused = control({"start", "--pidfile", pidfile});
  BOOST_TEST(refused.end.exited(6));
  BOOST_TEST(refused.err == "probe: " + missing + "; create it, or name another with --config\n");
  BOOST_TEST(control({"status", "--pidfile", pidfile}).end.exited(3));
  const auto may_miss = [] { ::setenv("SERVICE_FILE_MAY_MISS", "1", 1); };
  BOOST_TEST(control({"start", "--pidfile", pidfile, "--log", log}, may_miss).end.exited(0));
  BOOST_TEST(control({"reload", "--pidfile", pidfile}, may_miss).end.exited(0));
  configure("number = 4\n");
  BOOST_TEST(control({"reload"}, may_miss).end.exited(0));
  BOOST_TEST(logs("configured 4"));
  ::unlink(config.c_str());  // it was there: somebody has lost it
  BOOST_TEST(control({"reload", "--pidfile", pidfile}, may_miss).err ==
             "probe: reload refused: " + missing + '\n');
  BOOST_TEST(control({"stop", "--pidfile", pidfile}, may_miss).end.exited(0));
  BOOST_TEST(control({"start", "--config", config}, may_miss).end.exited(6));
}

BOOST_FIXTURE_TEST_CASE(a_refusal_names_the_place_of_the_value, Probe) {
  const auto says = [&](const std::string& text, int status, const std::string& reason) {
    scene::write_file(config, "\n" + text + '\n');
    fails({"start", "--config", config}, status, config + ":2: " + reason);
  };
  says("number = -1", 2, "number: must not be negative");
  says("home = relative", 2, "home: must be absolute");
  says("user = nosuch", 1, "there is no user \"nosuch\"");
  says("log = /none/log", 1, "cannot open the file \"/none/log\": No such file or directory");
  says("chdir = /none", 1, "cannot change the working directory to \"/none\": No such file or directory");
  says("chdir = nowhere", 1,
       "cannot change the working directory to \"" + boost::filesystem::current_path().string() +
           "/nowhere\": No such file or directory");
  says("user =", 6, "the argument for option 'user' is empty");
  says("log = " + log + "\nsyslog = 1", 2, "log: the output can go to a log or to syslog, not to both");
  says("numbr = 1", 6, "unrecognised option 'numbr'; did you mean \"number\"?");
  // The command line hides the file's value.
  fails({"start", "--config", config, "--number", "-2"}, 6,
        config + ":2: unrecognised option 'numbr'; did you mean \"number\"?");
  scene::write_file(config, "number = 1\n");
  fails({"start", "--config", config, "--number", "-2"}, 2, "number: must not be negative");
}

BOOST_FIXTURE_TEST_CASE(options_that_depend_on_values_are_set_in_the_caller, Probe) {
  const std::string home = scene.path("home");
  scene::write_file(config, "home = " + home + '\n');
  BOOST_TEST(start({"--config", config}).end.exited(0));
  BOOST_TEST(logs("number 1 in " + home));
  const auto explained = run({"restart", "--config", config, "--explain"});
  BOOST_TEST(explained.out.find("create the directory \"" + home + '"') != std::string::npos, explained.out);
  BOOST_TEST(run({"restart", "--home", "relative"}).end.exited(2));
  BOOST_TEST(run({"restart", "--home", "pidfile"}).err == "probe: on_options must not change the pidfile\n");
  BOOST_TEST(run({"status"}).end.exited(0));  // neither has stopped it
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_file_is_the_one_that_the_system_finds_under_the_name, Probe) {
  const std::string folder = scene.folder().string();
  boost::filesystem::create_directories(folder + "/real/sub");
  BOOST_REQUIRE(::symlink("real/sub", (folder + "/link").c_str()) == 0);
  scene::write_file(folder + "/real/conf", "number = 7\n");
  scene::write_file(config, "number = 8\n");
  const std::string name = folder + "/link/../conf";
  BOOST_TEST(start({"--config", name}).end.exited(0));
  BOOST_TEST(logs("number 7 in"));
  for (const std::string& same : {folder + "/real/conf", folder + "//real/./conf"})
    BOOST_TEST(run({"reload", "--config", same}).end.exited(0));
  BOOST_TEST(run({"reload", "--config", config}).end.exited(2));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(options_are_set_once_and_before_a_restart_stops_anything, Probe) {
  BOOST_TEST(start().end.exited(0));
  const auto restarted =
      run({"restart", "--log", log, "--verbose"}, [] { ::setenv("SERVICE_COUNTS", "1", 1); });
  BOOST_TEST(restarted.out.find("configured 1\nsets options\nprobe: stopped, ") == 0U, restarted.out);
  BOOST_TEST(restarted.out.find("sets options") == restarted.out.rfind("sets options"));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(configtest_says_whether_a_start_would_work_and_changes_nothing, Probe) {
  scene::write_file(config, "number = 2\n");
  const auto right = run({"configtest", "--config", config});
  BOOST_TEST(right.end.exited(0));
  BOOST_TEST(right.out == "configured 2\nprobe: the configuration is right\n");
  BOOST_TEST(!scene::exists(pidfile));
  scene::write_file(config, "number = -2\n");
  BOOST_TEST(run({"configtest", "--config", config}).end.exited(2));
  scene::write_file(config, "chdir = /none\n");
  BOOST_TEST(run({"configtest", "--config", config}).end.exited(1));
  BOOST_TEST(start().end.exited(0));
  BOOST_TEST(run({"configtest"}).end.exited(0));  // also beside a running daemon
  BOOST_TEST(run({"stop"}).end.exited(0));
}
