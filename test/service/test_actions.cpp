// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE actions

// The actions of a service: the program's own, and which options each takes.

#include <sys/stat.h>
#include <unistd.h>

#include "service_fixture.hpp"

using scene::Probe;
using scene::Scene;

BOOST_FIXTURE_TEST_CASE(a_program_adds_actions_with_options_and_words_of_their_own, Probe) {
  const auto submit = [&](scene::Words words) {
    words.insert(words.begin(), {program, "submit"});
    return Scene::run(words);
  };
  const auto done = submit({"mow", "--priority", "3", "rake", "--number", "7"});
  BOOST_TEST(done.end.exited(2));
  BOOST_TEST(done.out == "mow\nrake\nnumber 7, priority 3\n");
  const auto failed = submit({"none"});
  BOOST_TEST(failed.end.exited(1));
  BOOST_TEST(failed.err == "probe: no such job\n");
  BOOST_TEST(submit({}).err == "probe: the option '--job' is required but missing\n");
  BOOST_TEST(submit({"x", "--priorty", "3"}).err ==
             "probe: unrecognised option '--priorty'; did you mean \"--priority\"?\n");
  BOOST_TEST(submit({"x", "--oknodo"}).err == "probe: the option '--oknodo' has no effect on submit\n");
  const auto elsewhere = run({"start", "--priority", "3"});
  BOOST_TEST(elsewhere.end.exited(2));
  BOOST_TEST(elsewhere.err == "probe: unrecognised option '--priority'\n");
  const auto without_pidfile = Scene::run({program, "submit", "x", "--verbose"}, [] {
    scene::become_nobody();
    ::unsetenv("XDG_RUNTIME_DIR");
  });
  BOOST_TEST(without_pidfile.end.exited(1));
  BOOST_TEST(Scene::run({program, "--number", "7", "submit", "x"}).out == "x\nnumber 7, priority 0\n");
}

BOOST_FIXTURE_TEST_CASE(an_option_without_effect_is_refused, Probe) {
  BOOST_TEST(start().end.exited(0));
  const auto refuses = [&](const std::string& action, const std::string& option,
                           const std::string& more = "") {
    scene::Words words{action, option};
    const bool has_value = option != "--json" && option != "--ready" && option != "--verbose" &&
                           option != "--foreground" && option != "--explain" && option != "--respawn";
    if (has_value) words.insert(words.end(), "2");
    const auto result = run(words);
    BOOST_TEST(result.end.exited(2), action << ' ' << option);
    BOOST_TEST(result.err == "probe: the option '" + option + "' has no effect on " + action + more + '\n');
  };
  const std::string reads = ", which reads the configuration file again";
  for (const std::string option : {"--number", "--user", "--log", "--respawn"}) {
    refuses("reload", option, reads);
    refuses("status", option);
    refuses("stop", option);
  }
  refuses("start", "--ready");
  refuses("start", "--stop-timeout");
  refuses("stop", "--explain");
  refuses("reload", "--json");
  refuses("run", "--foreground");
  refuses("restart", "--notify-fd");
  refuses("reopen", "--stop-timeout");
  refuses("status", "--verbose");
  scene::write_file(config, "number = 2\n");
  const auto other = run({"reload", "--config", config});
  BOOST_TEST(other.end.exited(2));
  const std::string elsewhere = "\": a reload reads the configuration file of the start\n";
  BOOST_TEST(other.err == "probe: the daemon does not read \"" + config + elsewhere);
  BOOST_TEST(!logs_now("configured 2"));
  BOOST_TEST(run({"restart", "--log", log, "--config", config}).end.exited(0));
  BOOST_TEST(run({"reload", "--config", scene.path(".") + "/conf"}).end.exited(0));  // the same file
  BOOST_TEST(run({"reload", "--config", scene.path("other")}).end.exited(2));
  BOOST_TEST(run({"reload"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_word_that_is_almost_right_is_answered_with_the_right_one, Probe) {
  const auto says = [&](const scene::Words& words, const std::string& end) {
    const std::string text = run(words).err;
    BOOST_TEST((text.size() > end.size() && text.substr(text.size() - end.size()) == end), text);
  };
  says({"strat"}, "; did you mean \"start\"?\n");
  says({"relaod"}, "; did you mean \"reload\"?\n");
  says({"start", "--numbr", "1"}, "; did you mean \"--number\"?\n");
  says({"start", "--stop-timout=3"}, "; did you mean \"--stop-timeout\"?\n");
  says({"dance"}, ")\n");
  says({"start", "--volume"}, "'--volume'\n");
}

BOOST_FIXTURE_TEST_CASE(try_restart_starts_nothing, Probe) {
  scene::write_file(config, "number = many\n");
  BOOST_TEST(run({"try-restart", "--config", config}).end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(start().end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  BOOST_TEST(run({"try-restart", "--config", config}).end.exited(6));
  BOOST_TEST(scene::pid_in(pidfile) == pid);
  BOOST_TEST(run({"try-restart", "--log", log}).end.exited(0));
  BOOST_TEST(scene::pid_in(pidfile) != pid);
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(force_reload_restarts_what_does_not_reload, Probe) {
  BOOST_TEST(run({"force-reload"}).end.exited(7));
  BOOST_TEST(run({"force-reload", "--oknodo"}).end.exited(0));
  BOOST_TEST(start().end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  BOOST_TEST(run({"force-reload"}).end.exited(0));
  BOOST_TEST(scene::pid_in(pidfile) == pid);
  BOOST_TEST(run({"stop"}).end.exited(0));
  BOOST_TEST(run({"bare"}).end.exited(0));
  const pid_t bare = scene::pid_in(pidfile);
  BOOST_TEST(run({"reload"}).end.exited(3));
  BOOST_TEST(run({"force-reload"}).end.exited(0));
  BOOST_TEST(scene::pid_in(pidfile) != bare);
  BOOST_TEST(run({"reload"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_program_says_how_it_is_stopped, Probe) {
  const auto drains = [] { ::setenv("SERVICE_DRAINS", "1", 1); };
  const auto help = Scene::run({program, "help"}, drains).out;
  BOOST_TEST(help.find("is killed (0.05);") != std::string::npos, help);
  BOOST_TEST(start({"--afterwards", "deaf"}).end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  const auto result = run({"stop"}, drains);
  BOOST_TEST(scene::await_end(pid).killed_by(SIGQUIT));  // which the probe has not mapped
  BOOST_TEST(result.end.exited(0), result.err);
  BOOST_TEST(start({"--afterwards", "deaf to SIGQUIT"}).end.exited(0));
  const std::string who = "pid " + std::to_string(scene::pid_in(pidfile));
  const auto killed = run({"stop"}, drains);
  BOOST_TEST(killed.end.exited(150));
  BOOST_TEST(killed.err.find("probe: " + who + " did not end on SIGQUIT, and was killed after ") == 0U,
             killed.err);
}

BOOST_FIXTURE_TEST_CASE(as_the_lsb_wants_it_with_oknodo, Probe) {
  BOOST_TEST(run({"stop"}).end.exited(7));
  BOOST_TEST(run({"stop", "--oknodo"}).end.exited(0));
  BOOST_TEST(start().end.exited(0));
  BOOST_TEST(start().end.exited(1));
  BOOST_TEST(start({"--oknodo"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_name_of_an_action_is_taken_once, Probe) {
  BOOST_TEST(Scene::run({program, "submit", "x"}).out.find("start can be replaced") == std::string::npos);
}
