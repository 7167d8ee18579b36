// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE managers

// Each installed service manager starts the unchanged heartbeat example, asks it to reload and stops it. The
// test of a manager that is not installed says so and does nothing.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <regex>

#include "listener.hpp"
#include "scene.hpp"

using scene::Scene;

namespace {

namespace fs = boost::filesystem;

// The program's path, or an empty string if the program is not installed.
std::string find_program(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}) {
    if (scene::exists(folder + program)) return folder + program;
  }
  return {};
}

bool is_installed(const std::string& program) {
  const bool found = !find_program(program).empty();
  if (!found) BOOST_TEST_MESSAGE("skipped: " << program << " is not installed");
  return found;
}

scene::Running start(scene::Words words) {
  words[0] = find_program(words[0]);
  return Scene::start(words);
}

struct Stage {
  Scene scene;
  std::string heartbeat = fs::absolute(scene::argument(1)).string();
  std::string pidfile = scene.path("heartbeat.pid");
  std::string log = scene.path("log");
  std::string config = scene.path("conf");

  Stage() {
    scene::write_file(config, "message = one\ninterval = 0.05\n");
    ::setenv("XDG_STATE_HOME", scene.folder().c_str(), 1);  // without root, heartbeat makes a folder there
  }

  std::string command() const {
    return heartbeat + " run --pidfile " + pidfile + " --log " + log + " --config " + config;
  }
  void write_script(const std::string& file, const std::string& text) const {
    scene::write_file(file, "#!/bin/sh\n" + text);
    ::chmod(file.c_str(), 0755);
  }
  bool logs(const std::string& text) const {
    return scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; });
  }
  // Ends the service by a signal, and waits for the next one.
  void crash() const {
    const pid_t crashed = scene::pid_in(pidfile);
    BOOST_REQUIRE(crashed > 0);
    ::kill(crashed, SIGKILL);  // a sanitizer has its own handler of SIGSEGV
    BOOST_TEST(scene::eventually([&] {
      const pid_t next = scene::pid_in(pidfile);
      return next > 0 && next != crashed;
    }));
  }
  // Without pidfds a monitor refuses.
  bool can_upgrade() const { return scene::argument(5) != "fallbacks"; }
  void upgrade() const {
    const auto result = Scene::run({heartbeat, "upgrade", "--pidfile", pidfile});
    BOOST_TEST(result.end.exited(can_upgrade() ? 0 : 1), result.err);
    if (!can_upgrade())
      BOOST_TEST(result.err.find("the kernel has no pidfds") != std::string::npos, result.err);
  }
  void change_configuration() const { scene::write_file(config, "message = two\ninterval = 0.05\n"); }
  void expect_running() const { BOOST_TEST(logs("one\n")); }
  void expect_reloaded() const { BOOST_TEST(logs("two\n")); }
  void expect_stopped() const {
    BOOST_TEST(logs("stopped\n"));
    BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
  }
};

scene::Words in_namespaces(const scene::Words& command) {
  scene::Words all = {find_program("unshare"), "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

bool can_have_namespaces() {
  const bool can = Scene::run(in_namespaces({find_program("true")})).end.exited(0);
  if (!can) BOOST_TEST_MESSAGE("skipped: the system allows no namespaces");
  return can;
}

scene::Result run(scene::Words words) {
  words[0] = find_program(words[0]);
  const auto result = Scene::run(words);
  BOOST_TEST(result.end.exited(0), words[0] << ": " << result.err << result.out);
  return result;
}

// A service directory of s6.
struct S6Stage : Stage {
  std::string service = scene.path("scan/heartbeat");

  S6Stage() {
    fs::create_directories(service);
    write_script(service + "/run", "exec " + command() + " --notify-fd 3\n");
    scene::write_file(service + "/notification-fd", "3\n");
  }
  void await_readiness() const { run({"s6-svwait", "-U", "-t", "30000", service}); }  // a line end on 3

  void use_service() const {
    BOOST_TEST(scene::eventually([&] { return scene::exists(service + "/supervise/status"); }));
    await_readiness();
    expect_running();
    change_configuration();
    run({"s6-svc", "-h", service});
    expect_reloaded();
    crash();
    await_readiness();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(s6, S6Stage) {
  if (!is_installed("s6-supervise")) return;
  auto supervisor = start({"s6-supervise", service});
  use_service();
  run({"s6-svc", "-wD", "-T", "30000", "-d", service});
  expect_stopped();
  run({"s6-svc", "-x", service});
  BOOST_TEST(supervisor.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(s6_keeps_a_monitor_over_an_upgrade, S6Stage) {
  if (!is_installed("s6-supervise")) return;
  write_script(service + "/run", "exec " + command() + " --respawn --notify-fd 3\n");
  auto supervisor = start({"s6-supervise", service});
  BOOST_TEST(scene::eventually([&] { return scene::exists(service + "/supervise/status"); }));
  await_readiness();
  const pid_t before = scene::pid_in(pidfile);
  upgrade();
  BOOST_TEST(scene::pid_in(pidfile) == before);
  change_configuration();
  run({"s6-svc", "-h", service});
  expect_reloaded();
  run({"s6-svc", "-wD", "-T", "30000", "-d", service});
  expect_stopped();
  run({"s6-svc", "-x", service});
  BOOST_TEST(supervisor.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(s6_svscan, S6Stage) {
  if (!is_installed("s6-svscan")) return;
  auto scanner = start({"s6-svscan", scene.path("scan")});
  use_service();
  run({"s6-svscanctl", "-t", scene.path("scan")});
  expect_stopped();
  BOOST_TEST(scanner.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(runit, Stage) {
  if (!is_installed("runsv")) return;
  const std::string service = scene.path("service");
  fs::create_directory(service);
  write_script(service + "/run", "exec " + command() + '\n');
  auto supervisor = start({"runsv", service});
  expect_running();
  change_configuration();
  run({"sv", "hup", service});
  expect_reloaded();
  crash();
  run({"sv", "-w", "30", "stop", service});
  expect_stopped();
  run({"sv", "exit", service});
  BOOST_TEST(supervisor.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(supervisord, Stage) {
  if (!is_installed("supervisord")) return;
  const std::string setup = scene.path("supervisord.conf");
  const std::string socket = scene.path("supervisor.sock");
  scene::write_file(
      setup, "[supervisord]\nnodaemon = true\nlogfile = " + scene.path("supervisord.log") +
                 "\nchildlogdir = " + scene.folder().string() +
                 "\npidfile = " + scene.path("supervisord.pid") + "\n[unix_http_server]\nfile = " + socket +
                 "\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = "
                 "supervisor.rpcinterface:make_main_rpcinterface\n[supervisorctl]\nserverurl = unix://" +
                 socket + "\n[program:heartbeat]\ncommand = " + command() + "\nstartsecs = 0\n");
  auto supervisor = start({"supervisord", "-c", setup});
  expect_running();
  change_configuration();
  run({"supervisorctl", "-c", setup, "signal", "HUP", "heartbeat"});
  expect_reloaded();
  crash();
  run({"supervisorctl", "-c", setup, "stop", "heartbeat"});
  expect_stopped();
  run({"supervisorctl", "-c", setup, "shutdown"});
  BOOST_TEST(supervisor.finish().end.exited(0));
}

// OpenRC is not process 1 here: it gets a /run and an /etc/init.d of its own, as after its boot.
BOOST_FIXTURE_TEST_CASE(openrc, Stage) {
  if (!is_installed("openrc-run") || !can_have_namespaces()) return;
  write_script(scene.path("openrc"), R"(set -e
mount -t tmpfs tmpfs /run
for each in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive \
  scheduled init.d tmp; do mkdir -p "/run/openrc/$each"; done
mkdir /run/lock
touch /run/openrc/softlevel
mount -t tmpfs tmpfs /etc/init.d
sed "s,/usr/sbin/heartbeat,$HEARTBEAT,; s,/etc/heartbeat.conf,$CONFIG,; s,/var/log/heartbeat.log,$LOG," \
  "$1" >/etc/init.d/heartbeat
chmod 755 /etc/init.d/heartbeat
cd /
rc-service heartbeat start
until grep -q one "$LOG"; do sleep 0.02; done
rc-service heartbeat status
printf 'message = two\ninterval = 0.05\n' >"$CONFIG"
rc-service heartbeat reload
until grep -q two "$LOG"; do sleep 0.02; done
printf 'message = three\ninterval = -1\n' >"$CONFIG"
! rc-service heartbeat reload
printf 'message = three\ninterval = 0.05\n' >"$CONFIG"
monitor=$(cat /run/heartbeat.pid)
kill -KILL $(cat "/proc/$monitor/task/$monitor/children")
until grep -q "was killed by SIGKILL" "$LOG"; do sleep 0.02; done
until tail -n 1 "$LOG" | grep -qx two; do sleep 0.02; done  # what was accepted last
rc-service heartbeat status
rc-service heartbeat stop
until grep -q stopped "$LOG"; do sleep 0.02; done  # OpenRC may return before the service has ended
while test -e /run/heartbeat.pid; do sleep 0.02; done
)");
  const auto result = Scene::run(
      in_namespaces({find_program("timeout"), "60", scene.path("openrc"), scene::argument(4)}), [&] {
        ::setenv("HEARTBEAT", heartbeat.c_str(), 1);
        ::setenv("CONFIG", config.c_str(), 1);
        ::setenv("LOG", log.c_str(), 1);
        ::setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
      });
  BOOST_TEST(result.end.exited(0), result.out + result.err + scene::contents(log));
}

// As in a container, heartbeat is process 1 of its namespace.
BOOST_FIXTURE_TEST_CASE(container, Stage) {
  if (!can_have_namespaces()) return;
  scene::Words words = {heartbeat, "run", "--respawn", "--pidfile", pidfile,
                        "--log",   log,   "--config",  config};
  auto container = Scene::start(in_namespaces(words));
  const auto child_of = [](pid_t parent) {
    const std::string name = std::to_string(parent);
    pid_t child = 0;
    BOOST_TEST(scene::eventually([&] {
      child = std::atoi(scene::contents("/proc/" + name + "/task/" + name + "/children").c_str());
      return child != 0;
    }));
    return child;
  };
  expect_running();
  const pid_t process_1 = child_of(container.pid());
  const pid_t monitor = child_of(process_1);
  const pid_t worker = child_of(monitor);
  upgrade();
  BOOST_TEST(child_of(process_1) == monitor);
  if (can_upgrade()) BOOST_TEST(scene::eventually([&] { return ::kill(worker, 0) == -1; }));
  const pid_t next_worker = child_of(monitor);
  change_configuration();
  ::kill(process_1, SIGHUP);
  expect_reloaded();
  ::kill(next_worker, SIGKILL);
  BOOST_TEST(logs("was killed by SIGKILL"));
  BOOST_TEST(child_of(monitor) != next_worker);
  ::kill(process_1, SIGTERM);
  expect_stopped();
  BOOST_TEST(container.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(start_stop_daemon_waits_for_readiness, Stage) {
  if (!is_installed("start-stop-daemon")) return;
  const std::string own = scene.path("own.pid");
  run({"start-stop-daemon", "--start", "--background", "--notify-await", "--notify-timeout", "30",
       "--make-pidfile", "--pidfile", own, "--exec", heartbeat, "--", "run", "--pidfile", pidfile, "--log",
       log, "--config", config});
  BOOST_TEST(scene::pid_in(pidfile) == scene::pid_in(own));  // heartbeat did not detach
  expect_running();
  change_configuration();
  run({"start-stop-daemon", "--stop", "--signal", "HUP", "--pidfile", own});
  expect_reloaded();
  auto stop = start({"start-stop-daemon", "--stop", "--pidfile", own, "--retry", "TERM/30"});
  BOOST_TEST(scene::await_end(scene::pid_in(own)).exited(0));  // start-stop-daemon takes a zombie for alive
  BOOST_TEST(stop.finish().end.exited(0));
  expect_stopped();
}

BOOST_FIXTURE_TEST_CASE(start_stop_daemon_follows_a_daemon_that_detaches, Stage) {
  if (!is_installed("start-stop-daemon")) return;
  run({"start-stop-daemon", "--start", "--pidfile", pidfile, "--exec", heartbeat, "--", "start", "--pidfile",
       pidfile, "--log", log, "--config", config});
  expect_running();
  change_configuration();
  run({"start-stop-daemon", "--stop", "--signal", "HUP", "--pidfile", pidfile, "--exec", heartbeat});
  expect_reloaded();
  run({"start-stop-daemon", "--stop", "--pidfile", pidfile, "--exec", heartbeat, "--retry", "TERM/30"});
  expect_stopped();
}

BOOST_FIXTURE_TEST_CASE(systemd_notify_sends_the_same_text, Stage) {
  if (!is_installed("systemd-notify")) return;
  const scene::Listener manager(scene.path("socket"));
  const auto messages_of = [&](const scene::Words& words) {
    auto sender = Scene::start(words, [&] { ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1); });
    std::vector<std::string> all;
    do {
      const auto datagram = manager.await();
      all.push_back(datagram.text + (datagram.descriptor ? " and a descriptor" : ""));
    } while (all.back() != "BARRIER=1 and a descriptor");
    ::kill(sender.pid(), SIGKILL);
    sender.finish();
    return all;
  };
  const auto ours = messages_of(
      {fs::absolute(scene::argument(2)).string(), scene.path("channel"), "daemon", "manager", "wait"});
  for (const char* option : {"--ready", "--status=working"}) {
    for (const auto& text : messages_of({find_program("systemd-notify"), option})) {
      BOOST_TEST((std::find(ours.begin(), ours.end(), text) != ours.end()), text);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(systemd_socket_activate_passes_its_socket, Stage) {
  if (!is_installed("systemd-socket-activate")) return;
  // A free port. Another process could still take the port before the activator does.
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(::bind(probe, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  BOOST_REQUIRE(::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(probe);
  auto activator = start({"systemd-socket-activate", "--fdname=web", "-l",
                          "127.0.0.1:" + std::to_string(ntohs(address.sin_port)),
                          fs::absolute(scene::argument(2)).string(), scene.path("channel"), "daemon",
                          "listen:web", "facts", "wait"});
  const auto connected = [&] {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool done = ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(client);
    return done;
  };
  BOOST_REQUIRE(scene::eventually(connected));
  scene.expect("descriptors 3:web, 1 web");
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("mode") == "managed");
  ::kill(std::stoi(facts.at("pid")), SIGTERM);
  scene.expect("stop");
  BOOST_TEST(activator.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(systemd_accepts_the_unit_files, Stage) {
  if (!is_installed("systemd-analyze")) return;
  int checked = 0;
  for (const auto& unit : fs::directory_iterator(scene::argument(3))) {
    const std::string name = unit.path().filename().string();
    std::string text = scene::contents(unit.path().string());
    // systemd-analyze looks for the program.
    text = std::regex_replace(text, std::regex("/usr/sbin/(heartbeat|jobd)"), heartbeat);
    scene::write_file(scene.path(name), text);
    ++checked;
  }
  BOOST_TEST(checked >= 8);
  for (const auto& unit : fs::directory_iterator(scene.folder())) {
    const std::string extension = unit.path().extension().string();
    if (extension != ".service" && extension != ".socket") continue;
    const auto result =
        Scene::run({find_program("systemd-analyze"), "verify", "--man=no", unit.path().string()});
    BOOST_TEST(result.end.exited(0), unit.path() << ": " << result.err);
    // systemd before 253 does not know the type notify-reload, and warns of it.
    const bool is_unknown_type =
        result.err.find("service type, ignoring: notify-reload") != std::string::npos;
    BOOST_TEST((result.err.empty() || is_unknown_type), result.err);
  }
}
