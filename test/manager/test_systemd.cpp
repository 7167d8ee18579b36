// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE systemd

// Runs in a container whose process 1 is a real systemd (test/manager/under_systemd). The shipped units lie
// in /etc/systemd/system, and heartbeat and the probes in /usr/sbin.

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <regex>

#include "scene.hpp"

using scene::Scene;
using scene::Words;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

scene::Result command(Words words) {
  words[0] = "/usr/bin/" + words[0];
  return Scene::run(words);
}

scene::Result systemctl(Words words) {
  words.insert(words.begin(), "systemctl");
  return command(std::move(words));
}

void succeeds(const Words& words) {
  const auto result = systemctl(words);
  BOOST_TEST(result.end.exited(0), words[0] << ": " << result.end << ' ' << result.err);
}

void fails(const Words& words) {
  const auto result = systemctl(words);
  BOOST_TEST(!result.end.exited(0), words[0] << " succeeded");
}

int version() {
  const std::string text = systemctl({"--version"}).out;
  return std::atoi(text.c_str() + std::string("systemd ").size());
}

// A unit, stopped at the end of the scope.
class Unit {
 public:
  explicit Unit(std::string name) : name_(std::move(name)) {}

  // Makes the unit. `lines` belong to [Service].
  Unit(std::string name, const std::string& lines) : name_(std::move(name)) {
    scene::write_file("/run/systemd/system/" + name_, "[Service]\n" + lines);
    succeeds({"daemon-reload"});
  }
  ~Unit() {
    systemctl({"kill", "--signal=KILL", name_});
    systemctl({"stop", name_});
    systemctl({"reset-failed", name_});
  }
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  const std::string& name() const { return name_; }

  // More lines for an existing unit.
  void add(const std::string& lines) const {
    ::mkdir(("/run/systemd/system/" + name_ + ".d").c_str(), 0755);
    scene::write_file("/run/systemd/system/" + name_ + ".d/more.conf", lines);
    succeeds({"daemon-reload"});
  }
  std::string show(const std::string& property) const {
    std::string text = systemctl({"show", "--value", "-p", property, name_}).out;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  bool shows(const std::string& property, const std::string& value) const {
    return scene::eventually([&] { return show(property) == value; });
  }
  pid_t main_pid() const { return std::atoi(show("MainPID").c_str()); }

  // Its lines in the journal, in one of the formats of journalctl(1).
  std::string journal(const std::string& format = "cat") const {
    return command({"journalctl", "-u", name_, "-o", format}).out;
  }
  bool logs(const std::string& text) const {
    return scene::eventually([&] { return contains(journal(), text); });
  }

 private:
  std::string name_;
};

void configure_heartbeat(const std::string& message) {
  scene::write_file("/etc/heartbeat.conf", "message = " + message + "\ninterval = 0.05\n");
}

// heartbeat, by a shipped unit.
struct Heartbeat : Unit {
  explicit Heartbeat(const std::string& unit) : Unit(unit) { configure_heartbeat("one"); }
  ~Heartbeat() { ::unlink("/etc/heartbeat.conf"); }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;
};

// The probes, by units of the test.
struct Stage {
  Scene scene;

  Stage() { ::chmod(scene.path("channel").c_str(), 0666); }

  std::string probe(const std::string& words) const {
    return "ExecStart=/usr/sbin/daemon_probe " + scene.path("channel") + " daemon " + words + '\n';
  }
  static std::string service(const std::string& words) {
    return "ExecStart=/usr/sbin/service_probe run --pidfile /run/probe.pid " + words + '\n';
  }
};

}  // namespace

// ---- The shipped units.

BOOST_AUTO_TEST_CASE(the_shipped_unit_starts_reloads_and_stops) {
  const Heartbeat unit("heartbeat.service");
  succeeds({"start", unit.name()});
  BOOST_TEST(unit.show("ActiveState") == "active");
  BOOST_TEST(unit.show("SubState") == "running");
  BOOST_TEST(unit.logs("one"));
  const std::string main_pid = unit.show("MainPID");
  configure_heartbeat("two");
  succeeds({"reload", unit.name()});
  BOOST_TEST(unit.logs("two"));
  BOOST_TEST(unit.show("MainPID") == main_pid);
  succeeds({"stop", unit.name()});
  BOOST_TEST(unit.show("Result") == "success");
  BOOST_TEST(unit.logs("stopped"));
}

scene::Result upgrade(const Words& more) {
  Words words = {"/usr/sbin/heartbeat", "upgrade", "--pidfile", "/run/heartbeat/heartbeat.pid"};
  words.insert(words.end(), more.begin(), more.end());
  return Scene::run(words);
}

BOOST_AUTO_TEST_CASE(an_upgrade_with_a_monitor_keeps_the_main_process) {
  const Heartbeat unit("heartbeat.service");
  scene::write_file("/etc/heartbeat.conf", "message = one\ninterval = 0.05\nrespawn = true\n");
  succeeds({"start", unit.name()});
  const pid_t before = unit.main_pid();
  for (int round = 0; round < 3; ++round) {
    const auto result = upgrade({});
    BOOST_TEST(result.end.exited(0), result.err);
    BOOST_TEST(unit.main_pid() == before);
    BOOST_TEST(unit.show("ActiveState") == "active");
  }
  const auto refused = upgrade({"--binary", "/bin/false"});
  BOOST_TEST(refused.end.exited(1));
  scene::write_file("/etc/heartbeat.conf", "message = two\ninterval = 0.05\nrespawn = true\n");
  succeeds({"reload", unit.name()});
  BOOST_TEST(unit.logs("two"));
  BOOST_TEST(unit.main_pid() == before);
  BOOST_TEST(unit.show("NRestarts") == "0");
  succeeds({"stop", unit.name()});
  BOOST_TEST(unit.show("Result") == "success");
}

BOOST_AUTO_TEST_CASE(an_upgrade_changes_the_main_process) {
  const Heartbeat unit("heartbeat.service");
  succeeds({"start", unit.name()});
  for (int round = 0; round < 3; ++round) {
    const pid_t before = unit.main_pid();
    const auto result = upgrade({});
    BOOST_TEST(result.end.exited(0), result.err);
    const pid_t after = scene::pid_in("/run/heartbeat/heartbeat.pid");
    BOOST_TEST(after != before);
    BOOST_TEST(unit.main_pid() == after);
    BOOST_TEST(unit.show("ActiveState") == "active");
    BOOST_TEST(scene::eventually([&] { return ::kill(before, 0) == -1; }));
    BOOST_TEST(unit.main_pid() == after);
  }
  const pid_t before = unit.main_pid();
  const auto refused = upgrade({"--binary", "/bin/false"});
  BOOST_TEST(refused.end.exited(1));
  BOOST_TEST(contains(refused.err, "upgrade failed, the service runs on: "), refused.err);
  BOOST_TEST(unit.main_pid() == before);
  // The manager knows the new main process, and notices its end.
  BOOST_TEST(unit.show("NRestarts") == "0");
  ::kill(before, SIGKILL);
  BOOST_TEST(unit.shows("NRestarts", "1"));
  BOOST_TEST(unit.shows("ActiveState", "active"));
  succeeds({"stop", unit.name()});
  BOOST_TEST(unit.show("Result") == "success");
}

BOOST_AUTO_TEST_CASE(a_refused_reload_fails_and_is_shown_until_the_next_reload) {
  const Heartbeat unit("heartbeat.service");
  succeeds({"start", unit.name()});
  scene::write_file("/etc/heartbeat.conf", "interval = never\n");
  fails({"reload", unit.name()});
  BOOST_TEST(unit.show("ActiveState") == "active");
  BOOST_TEST(contains(unit.show("StatusText"), "reload failed: /etc/heartbeat.conf:1: "),
             unit.show("StatusText"));
  configure_heartbeat("two");
  succeeds({"reload", unit.name()});
  BOOST_TEST(unit.logs("two"));
  BOOST_TEST(!contains(unit.show("StatusText"), "failed"), unit.show("StatusText"));
}

// A restart would not mend the configuration.
BOOST_AUTO_TEST_CASE(a_broken_configuration_is_not_started_again_for_ever) {
  for (const std::string name :
       {"heartbeat.service", "heartbeat-notify-reload.service", "heartbeat-forking.service"}) {
    if (name == "heartbeat-notify-reload.service" && version() < 253) continue;
    BOOST_TEST_CONTEXT(name) {
      const Heartbeat unit(name);
      scene::write_file("/etc/heartbeat.conf", "interval = never\n");
      fails({"start", unit.name()});
      BOOST_TEST(unit.shows("ActiveState", "failed"));
      BOOST_TEST(unit.show("NRestarts") == (name == "heartbeat-forking.service" ? "5" : "0"));
      BOOST_TEST(unit.logs("heartbeat: /etc/heartbeat.conf:1: "), unit.journal());
    }
  }
}

BOOST_AUTO_TEST_CASE(systemd_itself_reloads_where_it_can) {
  if (version() < 253) {
    BOOST_TEST_MESSAGE("skipped: this systemd knows no Type=notify-reload");
    return;
  }
  const Heartbeat unit("heartbeat-notify-reload.service");
  succeeds({"start", unit.name()});
  BOOST_TEST(unit.logs("one"));
  configure_heartbeat("two");
  succeeds({"reload", unit.name()});
  BOOST_TEST(unit.logs("two"));
  scene::write_file("/etc/heartbeat.conf", "interval = never\n");
  succeeds({"reload", unit.name()});  // the protocol has no word for a refusal
  BOOST_TEST(contains(unit.show("StatusText"), "reload failed: "), unit.show("StatusText"));
  configure_heartbeat("three");
  succeeds({"reload", unit.name()});
  BOOST_TEST(unit.logs("three"));
  BOOST_TEST(!contains(unit.show("StatusText"), "failed"), unit.show("StatusText"));
}

BOOST_AUTO_TEST_CASE(a_forking_unit_with_a_pidfile_detaches) {
  const Heartbeat unit("heartbeat-forking.service");
  succeeds({"start", unit.name()});
  BOOST_TEST(unit.show("SubState") == "running");
  BOOST_TEST(unit.main_pid() == scene::pid_in("/run/heartbeat/heartbeat.pid"));
  const std::string log = "/var/log/heartbeat/heartbeat.log";
  const auto logs = [&](const std::string& text) {
    return scene::eventually([&] { return contains(scene::contents(log), text); });
  };
  BOOST_TEST(logs("one\n"));
  configure_heartbeat("two");
  succeeds({"reload", unit.name()});
  BOOST_TEST(logs("two\n"));
  succeeds({"stop", unit.name()});
  BOOST_TEST(logs("stopped\n"));
  BOOST_TEST(unit.show("Result") == "success");
}

BOOST_AUTO_TEST_CASE(the_shipped_units_are_hardened) {
  for (const std::string name : {"heartbeat.service", "heartbeat-notify-reload.service",
                                 "heartbeat-forking.service", "heartbeat-activated.service"}) {
    const auto result = command({"systemd-analyze", "security", "--no-pager", "--threshold=25", name});
    BOOST_TEST(result.end.exited(0), result.out.substr(result.out.rfind("Overall")));
  }
}

// ---- A start.

BOOST_FIXTURE_TEST_CASE(a_service_that_is_not_ready_in_time_fails, Stage) {
  const Unit unit("late.service", "Type=notify\nTimeoutStartSec=1\nTimeoutStopSec=1\n" +
                                      service("--before-ready sleep:60000"));
  fails({"start", unit.name()});
  BOOST_TEST(unit.show("Result") == "timeout");
}

BOOST_FIXTURE_TEST_CASE(a_start_that_fails_shows_why, Stage) {
  const Unit unit("refused.service", "Type=notify\n" + service("--before-ready 'throw:no database'"));
  fails({"start", unit.name()});
  BOOST_TEST(unit.show("Result") == "exit-code");
  BOOST_TEST(contains(unit.show("StatusText"), "no database"), unit.show("StatusText"));
  BOOST_TEST(unit.logs("no database"));
}

// The socket and SYSTEMD_EXEC_PID in the shell of another unit are meant for that unit.
BOOST_FIXTURE_TEST_CASE(a_start_by_hand_in_a_unit_detaches_and_tells_that_unit_nothing, Stage) {
  const Unit unit(
      "shell.service",
      "Type=notify\nNotifyAccess=all\nTimeoutStartSec=3\nExecStart=/bin/sh -c '/usr/sbin/service_probe start "
      "--pidfile /run/probe.pid --log /run/probe.log; exec sleep 60'\n");
  fails({"start", unit.name()});  // sleep(1) says nothing, and nobody else did
  BOOST_TEST(unit.show("Result") == "timeout");
  BOOST_TEST(contains(scene::contents("/run/probe.log"), "number 1 in /\n"));
}

// ---- A running service.

BOOST_FIXTURE_TEST_CASE(the_watchdog_bites_a_service_that_hangs_and_no_other, Stage) {
  const std::string type = "Type=notify\nWatchdogSec=2\nTimeoutAbortSec=5\n";
  const Unit healthy("healthy.service", type + probe("on_reload:say wait"));
  const Unit deaf("deaf.service", type + service("--afterwards deaf"));
  succeeds({"start", healthy.name()});
  succeeds({"start", deaf.name()});
  BOOST_TEST(deaf.shows("Result", "watchdog"));
  BOOST_TEST(healthy.show("ActiveState") == "active");
}

BOOST_FIXTURE_TEST_CASE(a_crashed_service_is_started_again, Stage) {
  const Unit unit("crash.service", "Type=notify\nRestart=on-failure\nRestartSec=0\n" + probe("say:up wait"));
  succeeds({"start", unit.name()});
  scene.expect("up");
  ::kill(unit.main_pid(), SIGSEGV);
  scene.expect("up");
  BOOST_TEST(unit.shows("ActiveState", "active"));
  BOOST_TEST(unit.show("NRestarts") == "1");
}

BOOST_FIXTURE_TEST_CASE(systemd_does_not_see_the_crash_of_a_worker, Stage) {
  const Unit unit("worker.service", "Type=notify\nRestart=on-failure\nWatchdogSec=5\nKillMode=mixed\n" +
                                        probe("respawn=first:1 on_reload:say facts wait"));
  succeeds({"start", unit.name()});
  const auto first = scene.facts();
  BOOST_TEST(std::stoi(first.at("ppid")) == unit.main_pid());
  ::kill(std::stoi(first.at("pid")), SIGSEGV);
  const auto second = scene.facts();
  BOOST_TEST(second.at("ppid") == first.at("ppid"));
  BOOST_TEST(unit.show("NRestarts") == "0");
  succeeds({"kill", "--kill-who=main", "--signal=HUP", unit.name()});
  scene.expect("reloaded");
  succeeds({"stop", unit.name()});
  scene.expect("stop");
  BOOST_TEST(unit.show("Result") == "success");
}

BOOST_FIXTURE_TEST_CASE(a_stored_descriptor_comes_back_after_a_restart, Stage) {
  const Unit unit("store.service",
                  "Type=notify\nRestart=on-failure\nRestartSec=0\nFileDescriptorStoreMax=2\n" +
                      probe("listen store:kept wait"));
  succeeds({"start", unit.name()});
  scene.expect("descriptors");
  scene.expect("stored");
  ::kill(unit.main_pid(), SIGKILL);
  scene.expect("descriptors 3:kept");
}

BOOST_FIXTURE_TEST_CASE(a_socket_starts_the_service_and_is_passed_on, Stage) {
  scene::write_file("/run/systemd/system/activated.socket",
                    "[Socket]\nListenStream=127.0.0.1:7001\nFileDescriptorName=web\n");
  const Unit unit("activated.service", "Type=notify\n" + probe("listen:web wait"));
  const Unit socket("activated.socket");
  succeeds({"start", socket.name()});
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(7001);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_TEST(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  BOOST_TEST(contains(scene.next(), "3:web"));
  ::close(client);
  BOOST_TEST(unit.shows("ActiveState", "active"));
  succeeds({"stop", socket.name()});
}

// ---- A stop.

BOOST_FIXTURE_TEST_CASE(a_stop_ends_the_children_too, Stage) {
  const Unit unit("children.service",
                  "Type=notify\nTimeoutStopSec=3\n" + probe("fork:wait cleanup:done wait"));
  succeeds({"start", unit.name()});
  const std::string child = scene.next();
  BOOST_REQUIRE(child.rfind("worker ", 0) == 0U);
  succeeds({"stop", unit.name()});
  scene.expect("stop");
  scene.expect("cleanup done");
  // With cgroup v1 systemd is not told in a container that the last process has ended, and may wait in vain.
  if (scene::exists("/sys/fs/cgroup/cgroup.controllers")) BOOST_TEST(unit.show("Result") == "success");
  BOOST_TEST(::kill(std::atoi(child.c_str() + std::string("worker ").size()), 0) == -1);
}

// systemd sends SIGCONT after SIGTERM; to a worker its monitor does. (Without KillMode=mixed the worker is
// told twice, and the second SIGTERM may end it after its last cleanup.)
BOOST_FIXTURE_TEST_CASE(a_suspended_service_stops_in_order, Stage) {
  for (const std::string kind : {"umask=22", "respawn=first:1"}) {
    const Unit unit("suspended.service", "Type=notify\nKillMode=mixed\nTimeoutStopSec=10\n" +
                                             probe(kind + " cleanup:done facts wait"));
    succeeds({"start", unit.name()});
    const auto facts = scene.facts();
    for (const std::string& who : {facts.at("pid"), unit.show("MainPID")}) ::kill(std::stoi(who), SIGSTOP);
    succeeds({"stop", unit.name()});
    scene.expect("stop");
    scene.expect("cleanup done");
    BOOST_TEST(unit.show("Result") == "success");
  }
}

// ---- The journal.

namespace {

void stop_journal() {
  systemctl({"stop", "systemd-journald.socket", "systemd-journald-dev-log.socket",
             "systemd-journald-audit.socket", "systemd-journald.service"});
  BOOST_TEST(systemctl({"is-active", "systemd-journald.service"}).out == "inactive\n");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_service_lives_on_while_the_journal_is_stopped_and_is_heard_afterwards) {
  const Heartbeat unit("heartbeat.service");
  succeeds({"start", unit.name()});
  BOOST_TEST(unit.logs("one"));
  stop_journal();
  configure_heartbeat("after the journal's stop");
  succeeds({"reload", unit.name()});
  succeeds({"start", "systemd-journald.service"});
  BOOST_TEST(unit.logs("after the journal's stop"));
  BOOST_TEST(unit.show("NRestarts") == "0");
  BOOST_TEST(unit.show("ActiveState") == "active");
}

BOOST_FIXTURE_TEST_CASE(a_monitor_and_its_workers_are_heard_after_the_journals_stop, Stage) {
  const Unit unit("journal.service", "Type=notify\n" + probe("respawn=first:1 facts beat:beat"));
  succeeds({"start", unit.name()});
  const auto first = scene.facts();
  stop_journal();
  succeeds({"start", "systemd-journald.service"});
  ::kill(std::stoi(first.at("pid")), SIGKILL);
  scene.facts();
  BOOST_TEST(unit.logs("worker " + first.at("pid") + " (number 1) was killed by SIGKILL"), unit.journal());
  BOOST_TEST(unit.show("NRestarts") == "0");
}

BOOST_FIXTURE_TEST_CASE(the_librarys_own_lines_have_a_priority_in_the_journal, Stage) {
  const Unit unit("lines.service", "Type=notify\n" + service("--before-ready 'throw:no database'"));
  fails({"start", unit.name()});
  BOOST_TEST(unit.logs("no database"));
  const std::string errors = command({"journalctl", "-u", unit.name(), "-p", "err", "-o", "cat"}).out;
  BOOST_TEST(contains(errors, "probe: no database"), errors);
}
