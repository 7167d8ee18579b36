// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE service

// The command line of a service, as its user sees it.

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "service_fixture.hpp"

using scene::become_nobody;
using scene::Probe;
using scene::Scene;

BOOST_FIXTURE_TEST_CASE(an_exception_before_readiness_reaches_the_terminal, Probe) {
  const auto result = start({"--before-ready", "throw:cannot bind \"[::]:80\": taken"});
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(result.out == "configured 1\n");
  BOOST_TEST(result.err == "probe: cannot bind \"[::]:80\": taken\n");
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(an_exception_after_readiness_goes_to_the_log, Probe) {
  const auto result = start({"--afterwards", "throw:the sky has fallen"});
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.err == "");
  BOOST_TEST(logs("the sky has fallen\n"));
  const auto in_foreground = run({"run", "--afterwards", "throw:the sky has fallen"});
  BOOST_TEST(in_foreground.end.exited(1));
  BOOST_TEST(in_foreground.err == "probe: the sky has fallen\n");
}

BOOST_FIXTURE_TEST_CASE(the_return_value_is_the_exit_code, Probe) {
  BOOST_TEST(run({"run", "--afterwards", "return:23"}).end.exited(23));
  BOOST_TEST(run({"start", "--foreground", "--afterwards", "return:24"}).end.exited(24));
}

BOOST_FIXTURE_TEST_CASE(the_command_line_overrides_the_file_and_the_file_overrides_the_defaults, Probe) {
  BOOST_TEST(run({"run", "--afterwards", "return:0"}).out == "configured 1\n");
  scene::write_file(config, "# a comment\nnumber = 2\n\n[net]\nport = 80\n");
  BOOST_TEST(run({"run", "--afterwards", "return:0", "--config", config}).out == "configured 2\n");
  BOOST_TEST(run({"run", "--number", "3", "--afterwards", "return:0", "--config", config}).out ==
             "configured 3\n");
}

const std::string no_time = " is no time in seconds, as 10 or 0.5, or forever";

BOOST_FIXTURE_TEST_CASE(an_error_in_the_file_is_named_with_its_line, Probe) {
  const auto says = [&](const std::string& text, int line, const std::string& reason) {
    scene::write_file(config, text);
    fails({"start", "--config", config}, 6, config + ':' + std::to_string(line) + ": " + reason);
    BOOST_TEST(!scene::exists(pidfile));
  };
  says("number = 1\ncolour = red\n", 2, "unrecognised option 'colour'");
  says("[net]\nport = 1\n[other]\n\nport = 2", 5, "unrecognised option 'other.port'");
  says("number = 1\n\nnumber = 2\n", 3, "option 'number' cannot be specified more than once");
  says("number = many\n", 1, "the argument ('many') for option 'number' is invalid");
  says("number\n", 1, "the line \"number\" has not the form \"name = value\"; a comment begins with #");
  says("umask = 8\n", 1, "the argument ('8') for option 'umask' is no file mode in octal, as 022");
  says("json = 1\n", 1, "unrecognised option 'json'");
  says("stop-timeout = 1e999\n", 1, "the argument ('1e999') for option 'stop-timeout'" + no_time);
  says("\xef\xbb\xbfnumber = 1\nunknown = 1\n", 2, "unrecognised option 'unknown'");
  scene::write_file(config, "number = -1\n");
  fails({"start", "--config", config}, 2, config + ":1: number: must not be negative");
  fails({"start", "--config", scene.path("channel")}, 6,
        "the configuration file \"" + scene.path("channel") + "\" is no regular file");
  scene::write_file(pidfile, "");
  fails({"start", "--config", pidfile}, 2, "the configuration file is the pidfile");
  ::unlink(pidfile.c_str());
  fails({"start", "--config", "/none"}, 6,
        "cannot read the configuration file \"/none\": No such file or directory");
  fails({"start", "--config", "/"}, 6, "cannot read the configuration file \"/\": Is a directory");
  constexpr std::size_t too_large = (1U << 20U) + 1;
  scene::write_file(config, std::string(too_large, '#'));
  fails({"start", "--config", config}, 6,
        "cannot read the configuration file \"" + config + "\": File too large");
}

// The name becomes a part of paths.
BOOST_FIXTURE_TEST_CASE(a_service_needs_a_name_without_a_slash, Probe) {
  for (const std::string name : {"", "a/b"}) {
    const auto result = run({"status"}, [&] { ::setenv("SERVICE_NAME", name.c_str(), 1); });
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err.find("the name of the service") == 0U, result.err);
  }
}

BOOST_FIXTURE_TEST_CASE(an_error_on_the_command_line_is_reported_in_one_line, Probe) {
  const std::string actions =
      " (start, stop, restart, try-restart, reload, force-reload, upgrade, reopen, status, run, configtest, "
      "help, completion, manpage, submit, bare)";
  fails({"--verbose"}, 2, "an action is missing" + actions);
  fails({"dance"}, 2, "unknown action \"dance\"" + actions);
  fails({"stop", "now"}, 2, "unexpected argument \"now\"");
  fails({"start", "--number", "-1"}, 2, "number: must not be negative");
  fails({"status", "--action", "stop"}, 2, "unrecognised option '--action'");
  fails({"start", "--log", ""}, 2, "the argument for option '--log' is empty");
  fails({"start", "--config", ""}, 2, "the argument for option '--config' is empty");
  fails({"start", "--volume"}, 2, "unrecognised option '--volume'");
  fails({"start", "--verb"}, 2, "unrecognised option '--verb'");
  fails({"start", "--umask", "0999"}, 2,
        "the argument ('0999') for option '--umask' is no file mode in octal, as 022");
  fails({"start", "--ready-timeout", "-1"}, 2, "the argument ('-1') for option '--ready-timeout'" + no_time);
  fails({"start", "--ready-timeout", "nan"}, 2,
        "the argument ('nan') for option '--ready-timeout'" + no_time);
  fails({"start", "--pidfile", "x"}, 2, "option '--pidfile' cannot be specified more than once");
  const auto alone = Scene::run({program, "start", "--pidfile"});
  BOOST_TEST(alone.end.exited(2));
  BOOST_TEST(alone.err == "probe: the required argument for option '--pidfile' is missing\n");
}

BOOST_FIXTURE_TEST_CASE(a_failed_start_says_why, Probe) {
  fails({"start", "--chdir", "/none"}, 1,
        "cannot change the working directory to \"/none\": No such file or directory");
  fails({"start", "--log", pidfile}, 2, "stdio.out: the file is the pidfile");
  fails({"start", "--before-ready", "throw:two\nlines"}, 1, "two lines");
  fails({"start", "--user", "nosuch"}, 1, "there is no user \"nosuch\"");
  fails({"start", "--ready-timeout", "0.05", "--before-ready", "sleep:5000"}, 1,
        "the daemon was not ready within 50 ms");
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(options_reach_the_daemon, Probe) {
  BOOST_TEST(start({"--chdir", "/usr", "--umask", "077", "--number", "5"}).end.exited(0));
  BOOST_TEST(logs("number 5 in /usr\n"));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_daemon_becomes_the_user, Probe) {
  if (::geteuid() != 0) return;
  BOOST_TEST(start({"--user", "nobody"}).end.exited(0));
  const std::string status = scene::contents("/proc/" + std::to_string(scene::pid_in(pidfile)) + "/status");
  BOOST_TEST(status.find("Uid:\t65534\t65534\t65534\t65534\n") != std::string::npos);
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_lack_of_permission_is_reported_with_exit_code_4, Probe) {
  if (::geteuid() != 0) return;
  ::chmod(scene.folder().c_str(), 0755);
  BOOST_TEST(start().end.exited(0));
  for (const std::string action : {"stop", "reload", "restart"}) {
    const auto result = run({action}, become_nobody);
    BOOST_TEST(result.end.exited(4));
    BOOST_TEST(result.err == (action == "restart"
                                  ? "probe: cannot open the pidfile \"" + pidfile + "\": Permission denied\n"
                                  : "probe: cannot " + action + " the daemon of \"" + pidfile +
                                        "\": Operation not permitted\n"));
  }
  const pid_t pid = scene::pid_in(pidfile);
  BOOST_TEST(run({"status"}, become_nobody).out.find("probe: running, pid " + std::to_string(pid)) == 0U);
  const auto again = run({"start"}, become_nobody);
  BOOST_TEST(again.end.exited(4));
  BOOST_TEST(again.err == "probe: cannot open the pidfile \"" + pidfile + "\": Permission denied\n");
  ::chmod(pidfile.c_str(), 0600);
  const auto hidden = run({"status"}, become_nobody);
  BOOST_TEST(hidden.end.exited(4));
  BOOST_TEST(hidden.out ==
             "probe: unknown: this user may not read \"" + pidfile + "\", or it can't be trusted\n");
}

BOOST_FIXTURE_TEST_CASE(a_daemon_that_ignores_SIGTERM_is_killed_and_that_is_reported, Probe) {
  BOOST_TEST(start({"--afterwards", "deaf"}).end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  const auto result = run({"stop", "--stop-timeout", "0.05"});
  BOOST_TEST(result.end.exited(150));
  BOOST_TEST(result.err.find("probe: pid " + std::to_string(pid) +
                             " did not end on SIGTERM, and was killed after ") == 0U);
  BOOST_TEST(scene::await_end(pid).killed_by(SIGKILL));
  const auto status = run({"status"});
  BOOST_TEST(status.end.exited(1));
  BOOST_TEST(status.out ==
             "probe: dead, and its pidfile \"" + pidfile + "\" is still there; a start takes it over\n");
  BOOST_TEST(start().end.exited(0));  // takes it over
}

BOOST_FIXTURE_TEST_CASE(a_stop_tells_how_the_daemon_ended, Probe) {
  const auto stop = [&](const scene::Words& words) {
    const pid_t pid = scene::pid_in(pidfile);
    // The kernel tells it of a process that was reaped, and `stop` waits a tenth of a second for that.
    std::thread reaper([pid] { ::waitpid(pid, nullptr, 0); });
    auto result = run(words);
    reaper.join();
    return result;
  };
  const bool kernel_tells = scene::kernel_tells_ends() && scene::argument(3) == "pidfds";
  BOOST_TEST(start().end.exited(0));
  const auto object = stop({"stop", "--json"});
  BOOST_TEST(object.end.exited(0));
  BOOST_TEST(object.out.find("\"sent_signal\":15,\"took\":0.") != std::string::npos, object.out);
  const std::string end = "\"end\":{\"exit_code\":0,\"core_dumped\":false}";
  BOOST_TEST((object.out.find(end) != std::string::npos) == kernel_tells, object.out);
  BOOST_TEST(start({"--afterwards", "exit:3"}).end.exited(0));
  const auto failed = stop({"stop"});
  BOOST_TEST(failed.end.exited(0));
  BOOST_TEST((failed.err.find(" ms: it exited with code 3\n") != std::string::npos) == kernel_tells,
             failed.err);
  for (const std::string kind : {"--verbose", "--respawn"}) {
    BOOST_TEST(start({"--afterwards", "crash", kind}).end.exited(0));
    const auto crashed = stop({"stop"});
    BOOST_TEST(crashed.end.exited(kernel_tells ? 150 : 0), crashed.err);
    const std::string killed = " ms: it was killed by SIGABRT\n";
    BOOST_TEST((crashed.err.find(killed) != std::string::npos) == kernel_tells, crashed.err);
  }
}

BOOST_FIXTURE_TEST_CASE(a_health_check_asks_whether_the_service_is_ready, Probe) {
  BOOST_TEST(run({"status", "--ready"}).end.exited(1));
  BOOST_TEST(start().end.exited(0));
  BOOST_TEST(run({"status", "--ready"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_broken_configuration_file_does_not_prevent_a_stop, Probe) {
  scene::write_file(config, "pidfile = " + pidfile + '\n');
  const auto control = [&](const std::string& action) {
    return Scene::run({program, action, "--config", config});
  };
  BOOST_TEST(control("start").end.exited(0));
  scene::write_file(config, "number = many\n=\npidfile = " + pidfile + "\nunknown = 1\n");
  BOOST_TEST(control("status").end.exited(0));
  const auto reload = control("reload");
  BOOST_TEST(reload.end.exited(1));
  BOOST_TEST(reload.err == "probe: reload refused: " + config +
                               ":1: the argument ('many') for option 'number' is invalid\n");
  BOOST_TEST(control("restart").end.exited(6));  // and the daemon still runs
  BOOST_TEST(control("status").end.exited(0));
  BOOST_TEST(control("stop").end.exited(0));
  BOOST_TEST(control("stop").end.exited(7));
}

BOOST_FIXTURE_TEST_CASE(a_refused_configuration_leaves_the_old_one, Probe) {
  scene::write_file(config, "number = 2\n");
  BOOST_TEST(start({"--config", config}).end.exited(0));
  scene::write_file(config, "number = -3\n");
  const auto refused = run({"reload"});
  BOOST_TEST(refused.end.exited(1));
  BOOST_TEST(refused.err == "probe: reload refused: " + config + ":1: number: must not be negative\n");
  scene::write_file(config, "number = 4\n");
  const auto taken = run({"reload", "--verbose"});
  BOOST_TEST(taken.end.exited(0));
  BOOST_TEST(taken.out == "probe: reloaded, pid " + std::to_string(scene::pid_in(pidfile)) + '\n');
  BOOST_TEST(logs("configured 4\n"));
  BOOST_TEST(scene::contents(log).find("configured -3") == std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_refused_configuration_changes_no_variable_either, Probe) {
  scene::write_file(config, "number = 2\nbound = 1\n");
  BOOST_TEST(start({"--config", config}).end.exited(0));
  scene::write_file(config, "number = -3\nbound = 2\n");
  BOOST_TEST(run({"reload"}).end.exited(1));
  scene::write_file(config, "number = 3\nbound = 3\n");
  BOOST_TEST(run({"reload"}).end.exited(0));
  BOOST_TEST(logs("configured 3, was 1\n"));
}

BOOST_FIXTURE_TEST_CASE(another_pidfile_is_refused_while_the_daemon_runs, Probe) {
  scene::write_file(config, "number = 2\n");
  scene::write_file(config, "pidfile = " + pidfile + '\n');
  BOOST_TEST(Scene::run({program, "start", "--config", config, "--log", log}).end.exited(0));
  scene::write_file(config, "pidfile = " + scene.path("other") + '\n');
  const auto refused = run({"reload"});
  BOOST_TEST(refused.end.exited(1));
  BOOST_TEST(refused.err == "probe: reload refused: " + config + ":1: pidfile: is \"" + pidfile +
                                "\" as long as the daemon runs\n");
  BOOST_TEST(run({"stop"}).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_files_stop_timeout_counts_even_if_the_command_line_names_the_pidfile, Probe) {
  scene::write_file(config, "stop-timeout = 0.05\n");
  BOOST_TEST(start({"--afterwards", "deaf"}).end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  BOOST_TEST(run({"stop", "--config", config}).end.exited(150));
  BOOST_TEST(scene::await_end(pid).killed_by(SIGKILL));
  BOOST_TEST(run({"stop", "--config", "/none"}).end.exited(7));  // the command line names the pidfile
}

BOOST_FIXTURE_TEST_CASE(a_monitor_kills_its_worker_before_a_stop_kills_the_monitor, Probe) {
  scene::write_file(config, "stop-timeout = 0.5\n");
  BOOST_TEST(start({"--respawn", "--afterwards", "slow:20000", "--config", config}).end.exited(0));
  BOOST_TEST(run({"stop", "--config", config}).err.find(" did not end on ") == std::string::npos);
  BOOST_TEST(logs(", which did not stop in time"), scene::contents(log));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_restart_checks_the_new_start_before_it_stops_the_daemon, Probe) {
  BOOST_TEST(start().end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  for (const auto& words :
       {scene::Words{"restart", "--user", "nosuch"}, scene::Words{"restart", "--chdir", "/none"},
        scene::Words{"restart", "--log", "/none/log"}, scene::Words{"restart", "--number", "-1"}}) {
    BOOST_TEST(!run(words).end.exited(0));
    BOOST_TEST(run({"status"}).end.exited(0));
  }
  BOOST_TEST(scene::pid_in(pidfile) == pid);
  const auto failed = run({"restart", "--before-ready", "throw:no luck"});
  BOOST_TEST(failed.end.exited(1));
  BOOST_TEST(failed.err ==
             "probe: pid " + std::to_string(pid) + " was stopped, and now none runs\nprobe: no luck\n");
  BOOST_TEST(run({"status"}).end.exited(3));
}

BOOST_FIXTURE_TEST_CASE(after_a_clean_stop_nothing_looks_like_a_crash, Probe) {
  if (::geteuid() != 0) return;
  BOOST_TEST(start({"--user", "nobody"}).end.exited(0));
  BOOST_TEST(run({"stop"}).end.exited(0));
  BOOST_TEST(scene::exists(pidfile));  // the user nobody may not remove it
  BOOST_TEST(run({"status"}).end.exited(3));
}

BOOST_FIXTURE_TEST_CASE(a_large_file_is_read_in_a_moment, Probe) {
  std::string text;
  for (int n = 0; n < 20000; ++n) text += "peer = host" + std::to_string(n) + '\n';
  scene::write_file(config, text + "number = many\n");
  fails({"run", "--config", config}, 6,
        config + ":20001: the argument ('many') for option 'number' is invalid");
  scene::write_file(config, text);
  BOOST_TEST(run({"run", "--afterwards", "return:5", "--config", config}).end.exited(5));
}

BOOST_FIXTURE_TEST_CASE(a_failure_to_print_is_no_success, Probe) {
  for (const std::string action : {"help", "status", "manpage"}) {
    const auto result = Scene::run({program, action},
                                   [] { ::dup2(::open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO); });
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err == "probe: cannot write to standard output\n");
  }
}

// Boost.Program_options never ended on these.
BOOST_FIXTURE_TEST_CASE(placeholders_of_boost_are_refused, Probe) {
  for (const std::string text :
       {"%canonical_option% = 1", "number = %value%", "%original_token%", "%invalid_line%"}) {
    scene::write_file(config, "\n" + text + "\n");
    const auto started = run({"start", "--config", config});
    BOOST_TEST(started.end.exited(6));
    BOOST_TEST(started.err.find(config + ":2: \"%") != std::string::npos, started.err);
    BOOST_TEST(run({"status", "--config", config}).end.exited(3));
  }
  fails({"start", "--number", "%value%"}, 2, "\"%value%\" is not allowed in an argument");
}

// The system would take a path up to the NUL byte, and a message would end there.
BOOST_FIXTURE_TEST_CASE(a_line_with_a_nul_byte_is_refused, Probe) {
  for (const std::string& line : {std::string("number = \0", 10), std::string("pidfile = /run\0/x", 17)}) {
    scene::write_file(config, '\n' + line + '\n');
    fails({"start", "--config", config}, 6, config + ":2: the line has a NUL byte");
  }
}

BOOST_FIXTURE_TEST_CASE(a_wrong_value_is_named_before_a_later_line_that_is_not_allowed, Probe) {
  for (const std::string& later : {std::string("%value%"), "name = " + std::string(5000, 'x')}) {
    scene::write_file(config, "number = many\n" + later + '\n');
    fails({"start", "--config", config}, 6,
          config + ":1: the argument ('many') for option 'number' is invalid");
  }
}

BOOST_FIXTURE_TEST_CASE(of_many_wrong_lines_the_first_is_named_and_status_skips_all, Probe) {
  std::string text;
  for (int line = 1; line <= 20000; ++line) text += line % 2 == 0 ? "number = many\n" : "number = 1\n";
  scene::write_file(config, text + "pidfile = " + pidfile + "\n");
  const auto started = run({"start", "--config", config});
  BOOST_TEST(started.end.exited(6));
  BOOST_TEST(started.err.find(config + ":2: ") != std::string::npos, started.err);
  BOOST_TEST(Scene::run({scene::probe(), "status", "--config", config}).end.exited(3));
}

BOOST_FIXTURE_TEST_CASE(an_absolute_configuration_file_is_found_from_a_removed_directory, Probe) {
  scene::write_file(config, "number = 2\n");
  const std::string gone = scene.path("gone");
  const auto in_removed_directory = [&] {
    if (::mkdir(gone.c_str(), 0700) != 0 || ::chdir(gone.c_str()) != 0 || ::rmdir(gone.c_str()) != 0)
      ::_exit(126);
  };
  BOOST_TEST(run({"status", "--config", config}, in_removed_directory).end.exited(3));
  BOOST_TEST(run({"start", "--config", config}, in_removed_directory).end.exited(0));
  BOOST_TEST(run({"stop", "--config", config}, in_removed_directory).end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(explain_prints_the_steps_of_a_start_and_does_none, Probe) {
  const std::string log = scene.path("log");
  const auto detached = run({"start", "--explain", "--user", "nobody", "--chdir", "/", "--log", log});
  BOOST_TEST(detached.end.exited(0));
  BOOST_TEST(detached.err == "");
  BOOST_TEST(detached.out ==
             "configured 1\nmode: detached, because no service manager started this process\n"
             "this process:\n"
             "  look up the user \"nobody\"\n"
             "  lock the pidfile \"" +
                 pidfile +
                 "\"\n"
                 "  start the daemon in a session of its own, and end when it is ready\n"
                 "the daemon:\n"
                 "  reset the signal dispositions\n"
                 "  close the inherited descriptors\n"
                 "  set the umask 022\n"
                 "  write the pidfile\n"
                 "  install the signal map\n"
                 "  become the user \"nobody\", and make sure that there is no way back\n"
                 "  prevent core files\n"
                 "  change the working directory to \"/\"\n"
                 "  standard input: the null device\n"
                 "  become ready when the service says so\n"
                 "  standard output: \"" +
                 log + "\", standard error: \"" + log +
                 "\"\n"
                 "at the end:\n"
                 "  run the cleanups, last first\n"
                 "  remove the pidfile, or empty it where that is not permitted\n");
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(!scene::exists(log));
}

BOOST_FIXTURE_TEST_CASE(start_detaches_unless_the_manager_waits_for_its_message, Probe) {
  const auto named = [](const char* socket) {
    return [socket] {
      ::setenv("SYSTEMD_EXEC_PID", std::to_string(::getpid()).c_str(), 1);
      if (socket != nullptr) ::setenv("NOTIFY_SOCKET", socket, 1);
    };
  };
  const auto mode = [&](const std::string& action, const char* socket) {
    const std::string text = run({action, "--explain"}, named(socket)).out;
    const auto begin = std::min(text.find("mode: "), text.size());
    return text.substr(begin, text.find(',', begin) - begin);
  };
  BOOST_TEST(mode("start", nullptr) == "mode: detached");
  BOOST_TEST(mode("run", nullptr) == "mode: managed");
  BOOST_TEST(mode("start", "/run/notify") == "mode: managed");
}

BOOST_FIXTURE_TEST_CASE(explain_prints_the_steps_for_a_service_manager_too, Probe) {
  const auto managed = Scene::run({scene::probe(), "run", "--explain", "--pidfile", pidfile},
                                  [] { ::setenv("NOTIFY_SOCKET", "/nowhere", 1); });
  BOOST_TEST(
      managed.out.rfind(
          "configured 1\nmode: managed, because NOTIFY_SOCKET is set\nthis process:\n  lock the pidfile",
          0) == 0U);
  BOOST_TEST(managed.out.find("\nthen:\n  set the umask 022\n") != std::string::npos);
  const auto watched = Scene::run({scene::probe(), "run", "--explain"}, [] {
    const std::string self = std::to_string(::getpid());
    for (const char* variable : {"LISTEN_PID", "WATCHDOG_PID"}) ::setenv(variable, self.c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", "web:admin", 1);
    ::setenv("WATCHDOG_USEC", "1000000", 1);
  });
  BOOST_TEST(watched.err == "");
  for (const char* step : {"  take over the service manager's descriptors: 2, named \"web:admin\"\n",
                           "  while waiting, tell the service manager's watchdog every 500 ms\n"}) {
    BOOST_TEST(watched.out.find(step) != std::string::npos, watched.out);
  }
  BOOST_TEST(run({"start", "--notify-fd", "77"}).err ==
             "probe: start_options.notify_descriptor: descriptor 77 is not open\n");
}

BOOST_FIXTURE_TEST_CASE(the_state_is_unknown_if_the_pidfile_can_not_be_reached, Probe) {
  const auto result = Scene::run({program, "status", "--pidfile", "/etc/passwd/pid"});
  BOOST_TEST(result.end.exited(4));
  BOOST_TEST(result.err ==
             "probe: unknown: cannot ask for the daemon of \"/etc/passwd/pid\": Not a directory\n");
  BOOST_TEST(Scene::run({program, "status", "--pidfile", "/etc"}).end.exited(4));
}

// With a C++ locale that groups digits, in caller, monitor and worker.
BOOST_FIXTURE_TEST_CASE(output_for_programs_follows_no_locale, Probe) {
  const auto grouping = [] { ::setenv("GROUP_DIGITS", "yes", 1); };
  BOOST_TEST(run({"start", "--log", log, "--respawn", "--umask", "027"}, grouping).end.exited(0));
  const std::string pid = std::to_string(scene::pid_in(pidfile));
  BOOST_TEST(scene::contents(pidfile) == pid + '\n');
  for (int reload = 0; reload < 11; ++reload) BOOST_TEST(run({"reload"}, grouping).end.exited(0));
  BOOST_TEST(run({"status", "--json"}, grouping).out.find("\"pid\":" + pid + ",") != std::string::npos);
  BOOST_TEST(run({"status"}, grouping).out.find(", pid " + pid + ",") != std::string::npos);
  BOOST_TEST(run({"stop", "--verbose"}, grouping).end.exited(0));
  const std::string text = run({"start", "--explain", "--umask", "027"}, grouping).out;
  BOOST_TEST(text.find("set the umask 027\n") != std::string::npos, text);
}

BOOST_FIXTURE_TEST_CASE(status_can_print_json, Probe) {
  BOOST_TEST(run({"status", "--json"}).out ==
             R"({"name":"probe","state":"stopped","pidfile":")" + pidfile + "\"}\n");
  BOOST_TEST(start().end.exited(0));
  const std::string begin = R"({"name":"probe","state":"running","pidfile":")" + pidfile + R"(","pid":)" +
                            std::to_string(scene::pid_in(pidfile)) + R"(,"since":"2)";
  BOOST_TEST(run({"status", "--json"}).out.find(begin) == 0U);
}

BOOST_FIXTURE_TEST_CASE(a_killed_worker_is_respawned_and_the_status_shows_it, Probe) {
  BOOST_TEST(start({"--respawn"}).end.exited(0));
  const std::string text = kill_worker_and_await_respawn();
  BOOST_TEST(text.find("; the last one was killed by SIGKILL after ") != std::string::npos, text);
  const std::string json = run({"status", "--json"}).out;
  BOOST_TEST(json.find(R"("worker":{"worker_number":2,"since":"2)") != std::string::npos, json);
  BOOST_TEST(
      json.find(R"("last_worker_end":{"signal":9,"core_dumped":false,"hung":false,)") != std::string::npos,
      json);
  BOOST_TEST(run({"stop"}).end.exited(0));
  scene::write_file(config, "respawn = true\n");
  BOOST_TEST(run({"start", "--explain", "--config", config}).out.find("become the monitor") !=
             std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_killed_worker_is_respawned_although_nobody_reads_the_reports, Probe) {
  const auto unread = [] {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0 || ::dup2(ends[1], STDERR_FILENO) == -1) ::_exit(96);
    for (const int end : ends) ::close(end);
  };
  auto service = Scene::start(command({"run", "--respawn"}), unread);
  kill_worker_and_await_respawn();
  BOOST_TEST(run({"stop"}).end.exited(0));
  BOOST_TEST(service.finish().end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(output_goes_to_a_log_or_to_syslog, Probe) {
  const auto explained = run({"start", "--explain", "--syslog"}).out;
  BOOST_TEST(explained.find(R"(standard output: syslog, as "probe", standard error: syslog, as "probe")") !=
             std::string::npos);
  BOOST_TEST(explained.find("become the monitor") != std::string::npos);
  scene::write_file(config, "syslog = true\n");
  BOOST_TEST(run({"start", "--explain", "--config", config, "--log", log}).out.find("\"" + log + "\"") !=
             std::string::npos);
  scene::write_file(config, "log = " + log + "\n");
  BOOST_TEST(run({"start", "--explain", "--config", config, "--syslog"}).out.find("syslog, as") !=
             std::string::npos);
  const auto result = run({"start", "--syslog", "--log", log});
  BOOST_TEST(result.end.exited(2));
  BOOST_TEST(result.err.find("the output can go to a log or to syslog, not to both") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_wait_is_shown_on_a_terminal_only, Probe) {
  const auto starts =
      command({"start", "--log", log, "--before-ready", "sleep:1200", "--afterwards", "slow:1200"});
  const auto stops = command({"stop"});
  const auto started = Scene::run_on_terminal(starts);
  BOOST_TEST(started.end.exited(0));
  const std::regex starting("configured 1\n(probe: starting, [0-9.]+ s\r)+ +\r");
  BOOST_TEST(std::regex_match(started.out, starting), started.out);
  const auto stopped = Scene::run_on_terminal(stops);
  BOOST_TEST(stopped.end.exited(0));
  BOOST_TEST(std::regex_match(stopped.out, std::regex("(probe: stopping, [0-9.]+ s\r)+ +\r")), stopped.out);
  // Without a terminal nothing is shown.
  BOOST_TEST(run({"start", "--log", log, "--before-ready", "sleep:700", "--afterwards", "slow:700"}).err ==
             "");
  BOOST_TEST(run({"stop"}).err == "");
}

BOOST_FIXTURE_TEST_CASE(the_default_pidfile_is_the_users, Probe) {
  const auto status = [&](const char* directory) {
    return Scene::run({program, "status"}, [&] {
      become_nobody();
      if (directory == nullptr) ::unsetenv("XDG_RUNTIME_DIR");
      else ::setenv("XDG_RUNTIME_DIR", directory, 1);
    });
  };
  BOOST_TEST(status(nullptr).end.exited(2));
  BOOST_TEST(
      status(nullptr).err ==
      "probe: there is no default pidfile, since XDG_RUNTIME_DIR is not set: name one with --pidfile\n");
  BOOST_TEST(status("relative").end.exited(2));
  ::chmod(scene.folder().c_str(), 0755);
  BOOST_TEST(status(scene.folder().c_str()).end.exited(3));
  scene::write_file(scene.path("probe.pid"), "1\n");
  BOOST_TEST(status(scene.folder().c_str()).end.exited(1));
}

BOOST_AUTO_TEST_CASE(a_relative_pidfile_is_named_where_nothing_runs) {
  Scene scene;
  const auto run = [&](const std::string& action) {
    return Scene::run({scene::probe(), action, "--pidfile", "probe.pid"}, [&] {
      if (::chdir(scene.folder().c_str()) != 0) ::_exit(126);
    });
  };
  BOOST_TEST(run("status").out == "probe: not running; \"probe.pid\" is a pidfile in this directory\n");
  BOOST_TEST(run("stop").err == "probe: Not running; \"probe.pid\" is a pidfile in this directory\n");
}

BOOST_AUTO_TEST_CASE(a_relative_configuration_file_is_refused_in_one_line) {
  const auto result =
      Scene::run({scene::probe(), "status"}, [] { ::setenv("SERVICE_FILE", "probe.conf", 1); });
  BOOST_TEST(result.end.exited(2));
  BOOST_TEST(
      result.err ==
      "probe: the configuration file \"probe.conf\" has no absolute path: a reload would look for it in "
      "another directory\n");
}
