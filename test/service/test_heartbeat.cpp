// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE heartbeat

// The heartbeat example, with the commands that a new user types.

#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <regex>

#include "scene.hpp"

using scene::Scene;

namespace {

constexpr uid_t nobody = 65534;

std::string heartbeat() { return boost::filesystem::absolute(scene::argument(1)).string(); }

struct Session {
  bool on_terminal;
  Scene scene = {};
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  std::string config = scene.path("conf");

  // Without root, heartbeat keeps files that no option names in these folders.
  explicit Session(bool terminal) : on_terminal(terminal) {
    ::setenv("XDG_STATE_HOME", scene.folder().c_str(), 1);
    ::setenv("XDG_RUNTIME_DIR", scene.folder().c_str(), 1);
  }

  // Types a command. `says` is the expected text of both streams, with PID and TIME for the parts that differ
  // each time.
  void type(scene::Words words, int status, const std::string& says) const {
    const std::string typed = words.empty() ? "" : words[0];
    words.insert(words.begin(), heartbeat());
    const auto result = on_terminal ? Scene::run_on_terminal(words) : Scene::run(words);
    std::string printed = std::regex_replace(result.out + result.err, std::regex("pid [0-9]+"), "pid PID");
    printed = std::regex_replace(printed, std::regex("[0-9-]{10} [0-9:]{8}"), "TIME");
    BOOST_TEST(result.end.exited(status), typed << ": " << result.end);
    BOOST_TEST(printed == says);
    if (!on_terminal && status != 0 && typed != "status") BOOST_TEST(result.out == "");
    if (!on_terminal && status == 0) BOOST_TEST(result.err == "");
  }
  // Like `type`, with the options of this session's daemon.
  void command(scene::Words words, int status, const std::string& says) const {
    words.insert(words.end(), {"--pidfile", pidfile, "--config", config});
    type(std::move(words), status, says);
  }
  scene::Words start(const std::string& action) const { return {action, "--log", log, "--interval", "0.01"}; }
  bool logs(const std::string& text) const {
    return scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; });
  }
};

}  // namespace

BOOST_DATA_TEST_CASE(a_whole_session_has_no_surprises, boost::unit_test::data::make({false, true}),
                     on_terminal) {
  const Session session{on_terminal};
  scene::write_file(session.config, "message = first\n");
  session.command(session.start("start"), 0, "started, pid PID\n");
  const pid_t first = scene::pid_in(session.pidfile);
  session.command({"status"}, 0, "heartbeat: running, pid PID, since TIME\n");
  session.command(session.start("start"), 1, "heartbeat: Already running, pid PID\n");
  session.command({"start", "--log", session.log, "--oknodo"}, 0, "heartbeat: Already running, pid PID\n");
  BOOST_TEST(session.logs("first\nfirst\n"));

  scene::write_file(session.config, "message = second\n");
  session.command({"reload"}, 0, "");
  BOOST_TEST(session.logs("second\nsecond\n"));
  scene::write_file(session.config, "message = third\ninterval = fast\n");
  session.command({"reload"}, 1,
                  "heartbeat: reload refused: " + session.config +
                      ":2: the argument ('fast') for option 'interval' is invalid\n");
  BOOST_TEST(scene::pid_in(session.pidfile) == first);
  session.command(
      {"restart"}, 6,
      "heartbeat: " + session.config + ":2: the argument ('fast') for option 'interval' is invalid\n");
  BOOST_TEST(scene::pid_in(session.pidfile) == first);

  scene::write_file(session.config, "message = fourth\n");
  session.command(session.start("restart"), 0, "started, pid PID\n");
  BOOST_TEST(scene::pid_in(session.pidfile) != first);
  BOOST_TEST(scene::await_end(first).exited(0));
  BOOST_TEST(session.logs("stopped\n"));
  BOOST_TEST(session.logs("fourth\nfourth\n"));
  BOOST_TEST(scene::contents(session.log).find("third") == std::string::npos);

  session.command({"stop"}, 0, "");
  BOOST_TEST(!scene::exists(session.pidfile));
  session.command({"stop"}, 7, "heartbeat: Not running\n");
  session.command({"stop", "--oknodo"}, 0, "heartbeat: Not running\n");
  session.command({"status"}, 3, "heartbeat: not running\n");

  const std::string actions =
      " (start, stop, restart, try-restart, reload, force-reload, upgrade, reopen, status, run, configtest, "
      "help, completion, manpage)\n";
  session.command({"dance"}, 2, "heartbeat: unknown action \"dance\"" + actions);
  session.type({}, 2, "heartbeat: an action is missing" + actions);
  session.type({"start", "--pidfile"}, 2,
               "heartbeat: the required argument for option '--pidfile' is missing\n");
  session.type({"--version"}, 0, "heartbeat 1.0\n");
}

BOOST_AUTO_TEST_CASE(a_wrong_setting_is_reported_before_anything_is_started) {
  const Session session{false};
  session.type({"start", "--pidfile", session.pidfile, "--interval", "-1"}, 2,
               "heartbeat: interval: must be above 0 and at most 86400 seconds\n");
  const std::string nowhere = session.scene.path("none/log");
  session.type({"start", "--pidfile", session.pidfile, "--log", nowhere}, 1,
               "heartbeat: cannot open the file \"" + nowhere + "\": No such file or directory\n");
  BOOST_TEST(!scene::exists(session.pidfile));
  BOOST_TEST(scene::children().empty());
}

namespace {

// Gives up root, if the test runs as root. Call it in a new process.
void become_nobody() {
  if (::geteuid() != 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
}

// A user with a home directory: the user nobody, if the test runs as root.
struct User {
  Scene scene = {};
  std::string home = scene.path("home");

  User() {
    boost::filesystem::create_directory(home);
    if (::geteuid() != 0) return;
    boost::filesystem::permissions(scene.folder(), boost::filesystem::perms(0755));
    BOOST_REQUIRE(::chown(home.c_str(), nobody, nobody) == 0);
  }

  scene::Result type(const scene::Words& words, const std::map<std::string, std::string>& variables) const {
    scene::Words command = {heartbeat()};
    command.insert(command.end(), words.begin(), words.end());
    return Scene::run(command, [&] {
      for (const char* name : {"HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"}) ::unsetenv(name);
      for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
      become_nobody();
    });
  }

  void expect_files(const std::string& pidfile, const std::string& log,
                    const std::map<std::string, std::string>& variables) const {
    const auto started = type({"start", "--interval", "0.01"}, variables);
    BOOST_TEST(started.end.exited(0), started.err);
    BOOST_TEST(scene::pid_in(pidfile) > 0);
    BOOST_TEST(scene::eventually([&] { return scene::contents(log).find("beat\n") != std::string::npos; }));
    BOOST_TEST(type({"stop"}, variables).end.exited(0));
    BOOST_TEST(!scene::exists(pidfile));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_users_files_lie_where_his_variables_say, User) {
  const std::string state = home + "/state";
  const std::string runtime = home + "/run";
  const std::map<std::string, std::string> variables = {
      {"HOME", home}, {"XDG_STATE_HOME", state}, {"XDG_RUNTIME_DIR", runtime}};
  boost::filesystem::create_directory(runtime);
  if (::geteuid() == 0) BOOST_REQUIRE(::chown(runtime.c_str(), nobody, nobody) == 0);
  expect_files(runtime + "/heartbeat.pid", state + "/heartbeat/heartbeat.log", variables);
}

BOOST_FIXTURE_TEST_CASE(without_variables_a_users_files_lie_below_his_home, User) {
  const std::string folder = home + "/.local/state/heartbeat";
  expect_files(folder + "/heartbeat.pid", folder + "/heartbeat.log", {{"HOME", home}});
  const auto mode = boost::filesystem::status(folder).permissions();
  BOOST_TEST(mode == 0700);
}

BOOST_FIXTURE_TEST_CASE(in_the_foreground_a_user_without_a_home_needs_none, User) {
  auto service = Scene::start({heartbeat(), "run", "--pidfile", home + "/pid"}, [&] {
    for (const char* name : {"XDG_RUNTIME_DIR", "XDG_STATE_HOME"}) ::unsetenv(name);
    ::setenv("HOME", "/", 1);
    become_nobody();
  });
  BOOST_TEST(scene::eventually([&] { return scene::pid_in(home + "/pid") == service.pid(); }));
  ::kill(service.pid(), SIGTERM);
  const auto result = service.finish();
  BOOST_TEST(result.end.exited(0), result.err);
}

BOOST_AUTO_TEST_CASE(root_finds_the_files_where_administrators_look,
                     *boost::unit_test::precondition([](auto) {
                       return boost::test_tools::assertion_result(::geteuid() == 0);
                     })) {
  const auto plan = Scene::run({heartbeat(), "start", "--explain"});
  BOOST_TEST(plan.end.exited(0), plan.err);
  BOOST_TEST(plan.out.find("/run/heartbeat.pid") != std::string::npos, plan.out);
  BOOST_TEST(plan.out.find("/var/log/heartbeat.log") != std::string::npos, plan.out);
}

// The shipped configuration, with other paths. logrotate renames the log and makes a new one.
BOOST_AUTO_TEST_CASE(logrotate_rotates_its_log) {
  if (!scene::exists("/usr/sbin/logrotate")) {
    BOOST_TEST_MESSAGE("skipped: logrotate is not installed");
    return;
  }
  const Session session{false};
  scene::write_file(session.config, "");
  session.command(session.start("start"), 0, "started, pid PID\n");
  BOOST_TEST(session.logs("beat\nbeat\n"));
  std::string setup = scene::contents(scene::argument(2));
  setup = std::regex_replace(setup, std::regex("/var/log/heartbeat.log"), session.log);
  setup = std::regex_replace(setup, std::regex("/usr/sbin/heartbeat reopen"),
                             heartbeat() + " reopen --pidfile " + session.pidfile);
  const std::string file = session.scene.path("logrotate");
  scene::write_file(file, setup);
  ::chmod(file.c_str(), 0644);
  for (int rotation = 0; rotation < 3; ++rotation) {
    const auto result =
        Scene::run({"/usr/sbin/logrotate", "--force", "--state", session.scene.path("state"), file});
    BOOST_TEST(result.end.exited(0));
    BOOST_TEST(result.err == "");
    BOOST_TEST(session.logs("beat\nbeat\n"));
  }
  session.command({"stop"}, 0, "");
  for (const std::string old : {".1", ".2.gz", ".3.gz"}) BOOST_TEST(scene::exists(session.log + old), old);
  BOOST_TEST(scene::contents(session.log + ".1").find("beat\n") == 0U);
}

BOOST_AUTO_TEST_CASE(what_does_not_run_can_neither_reload_nor_reopen) {
  const Session session{false};
  scene::write_file(session.config, "");
  for (const std::string action : {"reload", "reopen"}) {
    session.command({action}, 7, "heartbeat: Not running\n");
    session.command({action, "--oknodo"}, 0, "heartbeat: Not running\n");
  }
}

BOOST_AUTO_TEST_CASE(help_names_every_action_and_option) {
  const auto help = Scene::run({heartbeat(), "help"});
  BOOST_TEST(help.end.exited(0));
  for (const std::string word :
       {"start",     "stop",         "restart",         "reload",         "status", "run",      "reopen",
        "help",      "--pidfile",    "--chdir",         "--umask",        "--user", "--group",  "--log",
        "--config",  "--foreground", "--ready-timeout", "--stop-timeout", "--json", "--oknodo", "--verbose",
        "--version", "--help",       "--interval",      "--message"}) {
    BOOST_TEST(help.out.find("  " + word + ' ') != std::string::npos, word);
  }
  BOOST_TEST(help.out.find("\n\n\n") == std::string::npos);
}
