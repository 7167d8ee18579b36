// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE controller
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <daemonctx/controller.hpp>
#include <daemonctx/error.hpp>
#include <thread>

#include "scene.hpp"

using daemonctx::Controller;
using daemonctx::DaemonState;
using scene::Scene;
using namespace std::chrono_literals;

namespace {

pid_t start(Scene& scene, const scene::Words& actions, const std::function<void()>& surroundings = {}) {
  scene::Words words = {"daemon", "pidfile=" + scene.path("pid"), "signal=10:count", "facts"};
  words.insert(words.end(), actions.begin(), actions.end());
  BOOST_TEST(scene.run_probe(words, surroundings).end.exited(0));
  return std::stoi(scene.facts().at("pid"));
}

// A process that has nothing to do with the daemon and must live on.
class Bystander {
 public:
  Bystander() : pid_(::fork()) {
    if (pid_ != 0) return;
    for (;;) ::pause();
  }
  ~Bystander() {
    BOOST_TEST(::waitpid(pid_, nullptr, WNOHANG) == 0);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(status_follows_from_the_locks) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  BOOST_TEST((controller.status().state == DaemonState::stopped));
  BOOST_TEST(!scene::exists(scene.path("pid")));  // asking creates nothing
  scene::write_file(scene.path("pid"), std::to_string(::getpid()) + '\n');
  BOOST_TEST((controller.status().state == DaemonState::stale));
  const pid_t daemon = start(scene, {"wait"});
  BOOST_TEST((controller.status().state == DaemonState::running));
  BOOST_TEST(controller.status().pid == daemon);
  const auto age = std::chrono::system_clock::now() - controller.status().since.value();
  BOOST_TEST((age > -1s && age < scene::patience));
}

BOOST_AUTO_TEST_CASE(a_status_has_a_text_and_an_exit_code) {
  Scene scene;
  const std::string file = scene.path("pid");
  const Controller controller(file);
  const auto text = [&] { return to_string(controller.status(), file); };
  const auto code = [&] { return exit_code_of(controller.status().state); };
  BOOST_TEST(text() == "not running");
  BOOST_TEST(code() == 3);
  scene::write_file(file, "1\n");
  BOOST_TEST(text() == "dead, and its pidfile \"" + file + "\" is still there; a start takes it over");
  BOOST_TEST(code() == 1);
  const pid_t daemon = start(scene, {"wait"});
  BOOST_TEST(text().rfind("running, pid " + std::to_string(daemon) + ", since 20", 0) == 0U, text());
  BOOST_TEST(code() == 0);
  const daemonctx::DaemonStatus hidden{.state = DaemonState::unknown};
  BOOST_TEST(to_string(hidden, file) ==
             "unknown: this user may not read \"" + file + "\", or it can't be trusted");
  BOOST_TEST(exit_code_of(hidden.state) == 4);
}

BOOST_AUTO_TEST_CASE(a_status_shows_what_the_service_said_last) {
  for (const std::string respawn : {"umask=022", "respawn=first:1"}) {
    Scene scene;
    const Controller controller(scene.path("pid"));
    BOOST_REQUIRE(scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), respawn, "statuses:2", "wait"})
                      .end.exited(0));
    BOOST_TEST(scene::eventually([&] { return controller.status().text == "still 1"; }));
    const std::string text = to_string(controller.status(), scene.path("pid"));
    BOOST_TEST(text.substr(text.rfind(';')) == "; still 1");
    controller.stop();
  }
}

BOOST_AUTO_TEST_CASE(a_status_shows_the_last_sign_of_life_of_a_worker_that_must_give_some) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  BOOST_REQUIRE(
      scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "respawn=first:1,hang:20000", "wait"})
          .end.exited(0));
  BOOST_TEST(scene::eventually([&] { return controller.status().worker.value().silent_for.has_value(); }));
  BOOST_TEST((controller.status().worker->silent_for.value() < scene::patience));
  BOOST_TEST(to_string(controller.status(), {}).find(", last sign of life ") != std::string::npos);
  controller.stop();
}

BOOST_AUTO_TEST_CASE(a_daemon_that_was_told_to_stop_is_stopping) {
  Scene scene;
  const std::string file = scene.path("pid");
  const Controller controller(file);
  const pid_t daemon = start(scene, {"cleanup_hang", "wait"});
  ::kill(daemon, SIGTERM);
  BOOST_TEST(scene::eventually([&] { return controller.status().state == DaemonState::stopping; }));
  BOOST_TEST(to_string(controller.status(), file).rfind("stopping, pid " + std::to_string(daemon), 0) == 0U);
  BOOST_TEST(exit_code_of(DaemonState::stopping) == 0);
}

BOOST_AUTO_TEST_CASE(a_stale_pidfile_can_be_removed_and_no_other) {
  Scene scene;
  const std::string file = scene.path("pid");
  const Controller controller(file);
  BOOST_TEST(!controller.remove_stale_pidfile());
  scene::write_file(file, "");
  BOOST_TEST(!controller.remove_stale_pidfile());  // left by a daemon that could not remove its pidfile
  scene::write_file(file, "4711\n");
  BOOST_TEST(controller.remove_stale_pidfile());
  BOOST_TEST(!scene::exists(file));
  const pid_t daemon = start(scene, {"wait"});
  BOOST_TEST(!controller.remove_stale_pidfile());
  BOOST_TEST(scene::pid_in(file) == daemon);
  controller.stop();
  scene::write_file(file, "precious\n");
  std::error_code error;
  BOOST_TEST(!controller.remove_stale_pidfile(error));
  BOOST_TEST((error == std::errc::operation_not_permitted));
  BOOST_TEST(scene::contents(file) == "precious\n");
  BOOST_CHECK_EXCEPTION(controller.remove_stale_pidfile(), daemonctx::ControlError, [&](const auto& refusal) {
    return refusal.what() ==
           "cannot use the pidfile \"" + file +
               "\": it holds more than a number, so it is no pidfile; remove it or name another";
  });
}

BOOST_AUTO_TEST_CASE(a_stop_policy_follows_from_one_timeout) {
  for (const daemonctx::Timeout wait :
       {daemonctx::Timeout(), daemonctx::Timeout(1s), daemonctx::Timeout(daemonctx::forever)}) {
    const auto policy = daemonctx::stop_policy(wait);
    BOOST_TEST(policy.size() == 2U);
    BOOST_TEST(policy[0].signal == SIGTERM);
    BOOST_TEST((policy[0].wait == wait));
    BOOST_TEST(policy[1].signal == SIGKILL);
  }
  BOOST_TEST((daemonctx::stop_policy()[0].wait == daemonctx::Timeout(10s)));
}

BOOST_AUTO_TEST_CASE(a_daemon_whose_main_thread_has_ended_is_known_and_stopped) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  const pid_t daemon = start(scene, {"end_main_thread"}, scene::forgo_leak_check);
  scene.expect("the main thread has ended");
  BOOST_TEST((controller.status().state == DaemonState::running));
  BOOST_TEST(controller.status().pid == daemon);
  BOOST_TEST(controller.stop().pid == daemon);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(daemon).exited(0));
}

BOOST_AUTO_TEST_CASE(a_daemon_is_starting_until_it_is_ready) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  auto caller = scene.start_probe({"daemon", "pidfile=" + scene.path("pid"), "readiness=when_notified",
                                   "signal=10:count", "say:waits", "wait"});
  scene.expect("waits");
  const auto status = controller.status();
  BOOST_TEST((status.state == DaemonState::starting));
  BOOST_TEST(status.pid == scene::pid_in(scene.path("pid")));
  BOOST_TEST(controller.stop().pid == status.pid);
  BOOST_TEST(caller.finish().end.exited(1));
  BOOST_TEST((controller.status().state == DaemonState::stopped));
}

BOOST_AUTO_TEST_CASE(a_start_without_a_pid_is_waited_for) {
  Scene scene;
  const std::string file = scene.path("pid");
  scene::write_file(file, "left over\n");
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  struct flock exclusion {};
  exclusion.l_type = F_WRLCK;
  exclusion.l_len = 1;
  if (::fcntl(fd, F_OFD_SETLK, &exclusion) == -1) return;  // a kernel without OFD locks can't show this
  const Controller controller(file);
  if (controller.status().state == DaemonState::stale) return;  // nor a library built without them
  BOOST_TEST((controller.status().state == DaemonState::starting));
  BOOST_TEST(controller.status().pid == 0);
  std::error_code error;
  controller.stop(daemonctx::stop_policy(), error);
  BOOST_TEST((error == std::errc::resource_unavailable_try_again));
  ::close(fd);
  BOOST_TEST((controller.status().state == DaemonState::stale));
}

BOOST_AUTO_TEST_CASE(a_pidfile_that_this_user_may_not_reach_is_unknown) {
  if (::geteuid() != 0) return;
  Scene scene;
  start(scene, {"wait"});
  ::chmod(scene.folder().c_str(), 0700);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
    const Controller controller(scene.path("pid"));
    std::error_code error;
    controller.stop(daemonctx::stop_policy(), error);
    ::_exit(controller.status().state == DaemonState::unknown && error == std::errc::permission_denied ? 0
                                                                                                       : 1);
  }
  BOOST_TEST(scene::await_end(child).exited(0));
}

BOOST_AUTO_TEST_CASE(a_user_who_may_not_signal_the_daemon_gets_an_error) {
  if (::geteuid() != 0) return;
  Scene scene;
  const pid_t daemon = start(scene, {"on_reload", "say:offers", "wait"});
  scene.expect("offers");
  ::chmod(scene.folder().c_str(), 0755);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
    const Controller controller(scene.path("pid"));
    std::error_code on_stop;
    std::error_code on_reload;
    controller.stop(daemonctx::stop_policy(), on_stop);
    controller.reload(0s, on_reload);
    const bool told =
        on_stop == std::errc::operation_not_permitted && on_reload == std::errc::operation_not_permitted;
    ::_exit(told && controller.status().pid == daemon ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(child).exited(0));
  BOOST_TEST((Controller(scene.path("pid")).status().state == DaemonState::running));
}

BOOST_AUTO_TEST_CASE(a_read_lock_of_somebody_who_may_only_read_makes_no_daemon) {
  Scene scene;
  const std::string file = scene.path("pid");
  scene::write_file(file, "1\n");
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct flock everything {};
  everything.l_type = F_RDLCK;
  BOOST_REQUIRE(::fcntl(fd, F_SETLK, &everything) == 0);
  const pid_t child = ::fork();  // a process does not see its own locks
  if (child == 0) {
    std::error_code error;
    Controller(file).send_signal(SIGKILL, error);
    ::_exit(Controller(file).status().state == DaemonState::stale && error == std::errc::no_such_process ? 0
                                                                                                         : 1);
  }
  BOOST_TEST(scene::await_end(child).exited(0));
  ::close(fd);
}

BOOST_AUTO_TEST_CASE(a_daemon_may_ask_after_itself_and_keeps_its_locks) {
  Scene scene;
  const std::string file = scene.path("pid");
  BOOST_TEST(scene.run_probe({"daemon", "pidfile=" + file, "signal=10:count", "control_self:" + file, "wait"})
                 .end.exited(0));
  for (int n = 0; n < 3; ++n) scene.expect("I am running");
  scene.expect("it is me");
  for (const std::string task : {"stop", "reload"}) {
    scene.expect("cannot " + task + " the daemon of \"" + file + "\": it can't wait for itself");
  }
  BOOST_TEST(scene.next().find("signal 10") == 0U);
  BOOST_TEST((Controller(file).status().state == DaemonState::running));
  Controller(file).stop();
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_daemon_and_says_how) {
  Scene scene;
  const pid_t daemon = start(scene, {"cleanup:done", "wait"});
  const auto result = Controller(scene.path("pid")).stop();
  BOOST_TEST(result.pid == daemon);
  BOOST_TEST(result.signal == SIGTERM);
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(!scene::exists(scene.path("pid")));
  scene.expect("stop");
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(a_daemon_that_does_not_act_on_sigterm_is_killed_or_reported) {
  Scene scene;
  const pid_t daemon = start(scene, {"hang"});
  std::error_code error;
  const Controller controller(scene.path("pid"));
  controller.stop({{SIGTERM, 20ms}}, error);
  BOOST_TEST((error == std::errc::timed_out));
  const auto result = controller.stop({{SIGTERM, 20ms}, {SIGKILL, 30s}});
  BOOST_TEST(result.signal == SIGKILL);
  BOOST_TEST(scene::await_end(daemon).killed_by(SIGKILL));
}

BOOST_AUTO_TEST_CASE(a_slow_cleanup_is_waited_for) {
  Scene scene;
  const pid_t daemon = start(scene, {"cleanup_slow:3000", "wait"});
  std::vector<std::chrono::milliseconds> told;
  const auto result = Controller(scene.path("pid"), [&](auto passed) { told.push_back(passed); }).stop();
  BOOST_TEST(result.signal == SIGTERM);
  BOOST_TEST((result.took >= 3s));
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(told.size() >= 2U);  // `on_wait` is called every half second, on a busy machine less often
  BOOST_TEST((told.front() >= 500ms && std::is_sorted(told.begin(), told.end())));
}

BOOST_AUTO_TEST_CASE(a_reload_ends_with_the_daemons_own_verdict) {
  Scene scene;
  const pid_t daemon = start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  const Controller controller(scene.path("pid"));
  for (int n = 0; n < 3; ++n) {
    scene::write_file(scene.path("conf"), "good");
    const auto result = controller.reload();
    BOOST_TEST(result.pid == daemon);
    BOOST_TEST(result.refusal == "");
    scene.expect("reloaded");
    const std::string reason = "line 3: \"colour\" is no option,\n\tbut \"color\" is " + std::to_string(n);
    const std::string as_one_line = "line 3: \"colour\" is no option,  but \"color\" is " + std::to_string(n);
    scene::write_file(scene.path("conf"), reason);
    BOOST_CHECK_EXCEPTION(controller.reload(), daemonctx::ControlError, [&](const auto& error) {
      return error.code() == std::errc::invalid_argument && error.what() == as_one_line;
    });
    BOOST_TEST((controller.status().state == DaemonState::running));
  }
  // Whatever has happened, the pidfile holds only the pid: `kill -HUP "$(cat pidfile)"` must work.
  BOOST_TEST(scene::contents(scene.path("pid")) == std::to_string(daemon) + '\n');
}

BOOST_AUTO_TEST_CASE(a_refusal_without_a_reason_says_so) {
  Scene scene;
  start(scene, {"on_reload:throw_nothing", "say:offers", "wait"});
  scene.expect("offers");
  const Controller controller(scene.path("pid"));
  std::error_code error;
  BOOST_TEST(controller.reload(scene::patience, error).refusal == "the daemon gave no reason");
  BOOST_CHECK_EXCEPTION(controller.reload(), daemonctx::ControlError, [](const auto& refusal) {
    return refusal.what() == std::string("the daemon gave no reason");
  });
}

BOOST_AUTO_TEST_CASE(a_refusal_is_shown_without_control_characters) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  scene::write_file(scene.path("conf"), "no \033]0;title\007\177\xc2\x9b colour \xc2\xb5");
  std::error_code error;
  const auto result = Controller(scene.path("pid")).reload(scene::patience, error);
  BOOST_TEST(result.refusal == "no  ]0;title     colour \xc2\xb5");
}

BOOST_AUTO_TEST_CASE(a_long_refusal_is_cut) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  const std::string reason(10000, 'x');
  scene::write_file(scene.path("conf"), reason);
  std::error_code error;
  const auto result = Controller(scene.path("pid")).reload(scene::patience, error);
  BOOST_TEST((error == std::errc::invalid_argument));
  BOOST_TEST(result.refusal.size() > 238U);
  BOOST_TEST(result.refusal == reason.substr(0, result.refusal.size() - 3) + "...");
}

BOOST_AUTO_TEST_CASE(a_daemon_that_does_not_reload_is_not_signalled) {
  Scene scene;
  start(scene, {"wait"});
  std::error_code error;
  Controller(scene.path("pid")).reload(scene::patience, error);
  BOOST_TEST((error == std::errc::operation_not_supported));
  BOOST_TEST((Controller(scene.path("pid")).status().state == DaemonState::running));
}

BOOST_AUTO_TEST_CASE(a_reload_that_never_ends_times_out) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  scene::write_file(scene.path("conf"), "hang");
  std::error_code error;
  const Controller controller(scene.path("pid"));
  controller.reload(0s, error);
  BOOST_TEST(!error);
  scene.expect("hanging");
  controller.reload(20ms, error);
  BOOST_TEST((error == std::errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_daemon_that_dies_of_its_new_configuration_is_reported) {
  Scene scene;
  const pid_t daemon = start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  scene::write_file(scene.path("conf"), "end");
  BOOST_CHECK_EXCEPTION(
      Controller(scene.path("pid")).reload(), daemonctx::ControlError, [&](const auto& error) {
        return error.code() == std::errc::operation_canceled &&
               error.what() ==
                   "cannot reload the daemon of \"" + scene.path("pid") + "\": it ended meanwhile";
      });
  BOOST_TEST(scene::await_end(daemon).exited(9));
}

// Signals of one number merge. Still, every caller of `reload` hears of one that began after its request.
BOOST_AUTO_TEST_CASE(every_caller_of_reload_hears_of_one) {
  Scene scene;
  start(scene, {"on_reload:quiet", "say:offers", "wait"});
  scene.expect("offers");
  std::atomic<int> served = 0;
  std::vector<std::thread> all;
  for (int n = 0; n < 8; ++n) {
    all.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        std::error_code error;
        Controller(scene.path("pid")).reload(scene::patience, error);
        if (!error) ++served;
      }
    });
  }
  for (auto& each : all) each.join();
  BOOST_TEST(served == 400);
}

// However refusals follow one another, no caller reads a mixture of two.
BOOST_AUTO_TEST_CASE(every_caller_reads_a_whole_refusal) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  const std::string reason(240, 'r');
  scene::write_file(scene.path("conf"), reason);
  std::atomic<int> whole = 0;
  std::vector<std::thread> all;
  for (int n = 0; n < 4; ++n) {
    all.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        std::error_code error;
        if (Controller(scene.path("pid")).reload(scene::patience, error).refusal == reason) ++whole;
      }
    });
  }
  for (auto& each : all) each.join();
  BOOST_TEST(whole == 200);
}

BOOST_AUTO_TEST_CASE(a_reload_in_one_thread_keeps_no_other_waiting) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "waiting_thread", "wait"});
  scene.expect("waits");
  scene::write_file(scene.path("conf"), "hang");
  std::error_code error;
  const Controller controller(scene.path("pid"));
  controller.reload(0s, error);
  scene.expect("hanging");
  controller.reload(0s, error);  // the other thread takes this signal, and must not wait for the first reload
  controller.send_signal(SIGTERM);
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(an_empty_pidfile_is_no_sign_of_a_crash) {
  Scene scene;
  scene::write_file(scene.path("pid"), "");
  BOOST_TEST((Controller(scene.path("pid")).status().state == DaemonState::stopped));
}

BOOST_AUTO_TEST_CASE(a_path_that_is_no_regular_file_is_no_pidfile) {
  Scene scene;
  std::error_code error;
  BOOST_TEST((Controller(scene.folder()).status(error).state == DaemonState::unknown));
  BOOST_TEST((error == std::errc::is_a_directory));
  BOOST_TEST((Controller(scene.path("channel")).status(error).state == DaemonState::unknown));
  BOOST_TEST((error == std::errc::no_such_device));
  Controller(scene.folder()).stop(daemonctx::stop_policy(), error);
  BOOST_TEST((error == std::errc::is_a_directory));
}

BOOST_AUTO_TEST_CASE(a_restart_stops_and_starts) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  for (int n = 0; n < 2; ++n) {  // the first one has nothing to stop
    BOOST_TEST(controller.restart([&](const auto& stopped) {
      BOOST_TEST((stopped.pid != 0) == (n != 0));
      BOOST_TEST((controller.status().state == DaemonState::stopped));
      start(scene, {"wait"});
      return 7;
    }) == 7);
    BOOST_TEST((controller.status().state == DaemonState::running));
  }
  std::error_code error;
  BOOST_TEST(controller.restart([](const auto&) { return 3; }, {{SIGUSR1, 20ms}}, error) != 3);
  BOOST_TEST((error == std::errc::timed_out));
}

BOOST_AUTO_TEST_CASE(a_restart_that_loses_to_another_start_is_an_error) {
  Scene scene;
  const auto lose_to_another_start = [](const daemonctx::StopResult&) -> int {
    throw daemonctx::DaemonError(daemonctx::Step::lock_pidfile, std::make_error_code(std::errc::file_exists),
                                 {}, "already running, pid 7", 7);
  };
  BOOST_CHECK_EXCEPTION(Controller(scene.path("pid")).restart(lose_to_another_start), daemonctx::ControlError,
                        [](const auto& error) {
                          return error.code() == std::errc::file_exists &&
                                 std::string(error.what()) == "another start won: already running, pid 7";
                        });
}

BOOST_AUTO_TEST_CASE(a_signal_reaches_the_daemon) {
  Scene scene;
  start(scene, {"wait"});
  Controller(scene.path("pid")).send_signal(SIGUSR1);
  scene.expect("signal 10 value 0 from " + std::to_string(::getpid()) + ' ' + std::to_string(::getuid()));
}

BOOST_AUTO_TEST_CASE(no_bystander_is_signalled_whatever_the_pidfile_holds) {
  Scene scene;
  const Bystander bystander;
  const std::string file = scene.path("pid");
  std::error_code error;
  const Controller controller(file);
  controller.stop(daemonctx::stop_policy(), error);
  BOOST_TEST((error == std::errc::no_such_process));
  for (const std::string& text :
       {std::to_string(bystander.pid()) + '\n', std::string(), std::string("1\n"), std::string("-1\n"),
        std::string("0\n"), std::string(1 << 20, '9'), std::string("\0\xff", 2)}) {
    scene::write_file(file, text);
    controller.stop(daemonctx::stop_policy(), error);
    BOOST_TEST((error == std::errc::no_such_process));
    controller.send_signal(SIGKILL, error);
    BOOST_TEST((error == std::errc::no_such_process));
  }
  ::unlink(file.c_str());  // no start would overwrite the last text
  // The pidfile is forged while a daemon runs: `stop` ends the daemon, and not the process that is named.
  const pid_t daemon = start(scene, {"wait"});
  scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  BOOST_TEST(controller.stop().pid == daemon);
}

BOOST_AUTO_TEST_CASE(thrown_errors_name_the_pidfile) {
  Scene scene;
  BOOST_CHECK_EXCEPTION(
      Controller(scene.path("pid")).stop(), std::system_error, [&](const std::system_error& error) {
        return error.code() == std::errc::no_such_process &&
               std::string(error.what()) ==
                   "cannot stop the daemon of \"" + scene.path("pid") + "\": it is not running";
      });
  BOOST_CHECK_THROW(Controller(scene.path("pid")).send_signal(SIGUSR1), std::system_error);
}

// The watch on the pidfile wakes the controller after each write of any process.
BOOST_AUTO_TEST_CASE(writes_to_the_pidfile_do_not_hold_a_reload_up) {
  Scene scene;
  start(scene, {"configuration:" + scene.path("conf"), "say:offers", "wait"});
  scene.expect("offers");
  scene::write_file(scene.path("conf"), "hang");
  const pid_t writer = ::fork();
  if (writer == 0) {
    const int file = ::open(scene.path("pid").c_str(), O_WRONLY | O_CLOEXEC);
    for (;;) static_cast<void>(::pwrite(file, "\n", 1, 20));
  }
  std::error_code error;
  Controller(scene.path("pid")).reload(200ms, error);
  BOOST_TEST((error == std::errc::timed_out), error.message());
  ::kill(writer, SIGKILL);
  scene::await_end(writer);
}

// kill(1) and process managers do the same, or the stop would wait its time out, and run no cleanup.
BOOST_AUTO_TEST_CASE(a_suspended_daemon_is_stopped_in_order) {
  for (const std::string kind : {"umask=22", "respawn=first:1"}) {
    Scene scene;
    scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), kind, "cleanup:done", "facts", "wait"});
    const pid_t service = std::stoi(scene.facts().at("pid"));
    const pid_t holder = scene::pid_in(scene.path("pid"));
    for (const pid_t each : {service, holder}) ::kill(each, SIGSTOP);
    const auto result = Controller(scene.path("pid")).stop({{SIGTERM, scene::patience}});
    BOOST_TEST(result.signal == SIGTERM);
    scene.expect("stop");
    scene.expect("cleanup done");
    BOOST_TEST(scene::await_end(holder).exited(0));
  }
}
