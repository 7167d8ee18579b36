// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE sockets

// Named sockets of services that run.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/filesystem/operations.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <daemonctx/error.hpp>
#include <thread>

#include "service.hpp"

using scene::answers;
using scene::ask;
using scene::connect_to;
using scene::listen_at;
using scene::Scene;
using scene::SocketService;
using scene::Way;
using scene::Words;

namespace fs = boost::filesystem;

namespace {

struct Stage {
  Scene scene;
  std::string path = scene.path("x.sock");

  // A start that must fail: its one line on standard error.
  void refuses(Words options, const std::string& line, const std::function<void()>& surroundings = {}) const {
    options.insert(options.begin(), {"run", "pidfile=" + scene.path("refused")});
    const auto result = scene.run_probe(std::move(options), surroundings);
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err == "daemon_probe: " + line + '\n');
    BOOST_TEST(!scene::exists(scene.path("refused")));
  }

  // All that lies in the scene's folder but the channel.
  std::string files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(scene.folder()))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    std::string text;
    for (const auto& name : names) text += name == "channel" ? "" : name + ' ';
    return text;
  }
};

std::string in_use(const std::string& address) {
  return "cannot listen on \"" + address + "\" for the socket \"web\": Address already in use";
}

mode_t mode_of(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
}

ino_t inode_of(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

// A port that is free now.
std::string free_port(const std::string& host = "127.0.0.1", int type = SOCK_STREAM) {
  const auto peer = listen_at(host + ":0", type);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(peer.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return std::to_string(ntohs(address.sin_port));
}

// "127.0.0.1:81" for "0.0.0.0:81"
std::string on_loopback(const std::string& address) {
  const std::string port = address.substr(address.rfind(':'));
  return (address[0] == '[' ? "[::1]" : "127.0.0.1") + port;
}

// Passes descriptors to this process from 3 on, as a manager does just before exec.
void pass(const std::vector<int>& descriptors, const char* names) {
  std::vector<int> copies;  // first above the numbers that they get
  for (const int fd : descriptors) copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 100));
  int number = 3;
  for (const int copy : copies) ::dup2(copy, number++);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", std::to_string(descriptors.size()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names, 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(in_each_mode)

BOOST_DATA_TEST_CASE_F(Stage, a_tcp_socket_serves_and_is_closed_at_the_end, scene::ways, way) {
  SocketService service(scene, way, {"socket=web,127.0.0.1:0"});
  const std::string address = service.begun();
  BOOST_TEST(address.rfind("127.0.0.1:", 0) == 0U);
  BOOST_TEST(answers(address));
  service.stop();
  BOOST_TEST(!connect_to(address));
  BOOST_TEST(errno == ECONNREFUSED);
}

BOOST_DATA_TEST_CASE_F(Stage, a_socket_file_has_its_mode_and_is_removed_at_the_end, scene::ways, way) {
  for (const char* umask : {"0", "777"}) {
    SocketService service(scene, way, {"socket=web," + path + ",mode:640"}, {"socket:web", "serve:web"},
                          [&] { ::umask(static_cast<mode_t>(std::stoi(umask, nullptr, 8))); });
    BOOST_TEST(service.begun() == path);
    BOOST_TEST(mode_of(path) == 0640U);
    BOOST_TEST(answers(path));
    service.stop();
    BOOST_TEST(files() == "");
  }
}

BOOST_DATA_TEST_CASE_F(Stage, a_second_start_says_that_the_daemon_runs_and_harms_no_socket, scene::ways,
                       way) {
  const std::string port = free_port();
  SocketService service(scene, way, {"socket=web," + path, "socket=tcp,127.0.0.1:" + port});
  service.begun();
  const auto inode = inode_of(path);
  const auto second = scene.run_probe(
      {"run", "pidfile=" + scene.path("pid"), "socket=web," + path, "socket=tcp,127.0.0.1:" + port});
  BOOST_TEST(second.end.exited(1));
  BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
  BOOST_TEST(inode_of(path) == inode);
  BOOST_TEST(answers(path));
  service.stop();
}

BOOST_DATA_TEST_CASE_F(Stage, an_address_of_another_daemon_is_in_use, scene::ways, way) {
  const std::string tcp = "127.0.0.1:" + free_port();
  const std::string name = "@" + scene.folder().string();
  SocketService service(scene, way, {"socket=web," + path, "socket=tcp," + tcp, "socket=name," + name});
  service.begun();
  for (Words options : {Words{}, Words{"detach=never"}}) {
    for (const std::string& address : {path, tcp, name}) {
      auto words = options;
      words.push_back("socket=web," + address);
      refuses(words, in_use(address));
    }
    // A socket of another type has the path all the same.
    for (const char* type : {",datagram", ",seqpacket"}) {
      auto words = options;
      words.push_back("socket=web," + path + type);
      refuses(words, in_use(path));
    }
  }
  BOOST_TEST(files() == "pid x.sock ");
  BOOST_TEST(answers(path));
  service.stop();
}

BOOST_DATA_TEST_CASE_F(Stage, a_stale_socket_file_is_replaced, scene::ways, way) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    BOOST_REQUIRE(bool(listen_at(path, type)));  // closed at once; its file stays
    SocketService service(scene, way, {"socket=web," + path});
    BOOST_TEST(service.begun() == path);
    BOOST_TEST(answers(path));
    service.stop();
    BOOST_TEST(files() == "");
  }
}

BOOST_DATA_TEST_CASE_F(Stage, a_failed_start_leaves_no_socket_file, scene::ways, way) {
  const auto fails = [&](const Words& options) {
    Words words = {"daemon", "pidfile=" + scene.path("pid"), "socket=web," + path};
    words.insert(words.end(), way.options.begin(), way.options.end());
    words.insert(words.end(), options.begin(), options.end());
    const auto result = scene.run_probe(words);
    BOOST_TEST(result.end.exited(1), result.err);
    BOOST_TEST(files() == "");
    BOOST_TEST(scene::children().empty());
    while (scene.has_line()) scene.next();
  };
  fails({"socket=tcp,192.0.2.1:0"});  // the next socket
  fails({"out=" + scene.path("none/log")});
  fails({"before_drop=throw no"});
  fails({"cwd=/none"});
  fails({"mkdir=" + scene.path("made"), "socket=inner," + scene.path("made/x.sock"), "cwd=/none"});
}

BOOST_DATA_TEST_CASE_F(Stage, a_file_that_has_taken_the_sockets_name_is_not_removed, scene::ways, way) {
  SocketService service(scene, way, {"socket=web," + path});
  service.begun();
  BOOST_TEST(::unlink(path.c_str()) == 0);
  const auto other = listen_at(path);
  service.stop();
  BOOST_TEST(scene::exists(path));
}

// With a monitor, the end of a worker's context is the end of the service.
BOOST_DATA_TEST_CASE_F(Stage, cleanups_may_use_the_socket_and_a_second_context_has_it_anew,
                       scene::ways_without_monitor, way) {
  const std::string fifo = scene.path("fifo");  // opened once the caller has ended
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const std::string address = "127.0.0.1:" + free_port();
  SocketService service(
      scene, way, {"socket=web," + address, "socket=file," + path},
      {"cleanup_socket:web", "cleanup_socket:file", "await:" + fifo, "again", "socket:web", "serve:web"});
  ::close(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  BOOST_TEST(::unlink(fifo.c_str()) == 0);
  scene.expect("cleanup " + path);
  scene.expect("cleanup " + address);
  BOOST_TEST(service.begun() == address);
  BOOST_TEST(answers(address));
  service.stop();
  BOOST_TEST(files() == "");
}

BOOST_DATA_TEST_CASE_F(Stage, a_forked_child_has_no_socket_by_name_and_its_end_removes_nothing, scene::ways,
                       way) {
  SocketService service(scene, way, {"socket=web," + path},
                        {"child_socket:web", "fork:exit", "socket:web", "serve:web"});
  scene.expect("child -1");
  for (std::string line = scene.next(); line != "worker ended 3"; line = scene.next()) {
    BOOST_REQUIRE(line.rfind("worker ", 0) == 0U);
  }
  BOOST_TEST(service.begun() == path);
  BOOST_TEST(answers(path));
  service.stop();
}

BOOST_DATA_TEST_CASE_F(Stage, a_descriptor_of_the_manager_with_the_name_is_taken, scene::ways, way) {
  const auto first = listen_at("127.0.0.1:0");
  const auto second = listen_at("127.0.0.1:0");
  const auto file = listen_at(path);
  const bool detaches = way.options.empty() || way.options[0] != "detach=never";
  SocketService service(scene, way,
                        {detaches ? "detach=always" : "detach=never", "socket=web,127.0.0.1:0",
                         "socket=file," + path, "socket=own,127.0.0.1:0"},
                        {"listen:web", "socket:file", "socket:web", "serve:web"}, [&] {
                          pass({STDIN_FILENO, first.get(), second.get(), file.get()}, "log:web:web:file");
                        });
  scene.expect("descriptors 3:log 5:web, 1 web");  // the first one with the name is taken, the next one left
  scene.expect("file " + path);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(first.get(), reinterpret_cast<sockaddr*>(&address), &size);
  BOOST_TEST(service.begun() == "127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  BOOST_TEST(answers("127.0.0.1:" + std::to_string(ntohs(address.sin_port))));
  service.stop();
  BOOST_TEST(files() == "x.sock ");  // the manager's
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(addresses)

BOOST_FIXTURE_TEST_CASE(each_kind_of_address_and_type_serves, Stage) {
  const std::string name = "@" + scene.folder().string();
  std::vector<std::pair<std::string, int>> all = {
      {"127.0.0.1:0", SOCK_STREAM}, {"127.0.0.1:0", SOCK_DGRAM}, {"0.0.0.0:0", SOCK_STREAM},
      {path, SOCK_STREAM},          {path, SOCK_DGRAM},          {path, SOCK_SEQPACKET},
      {name, SOCK_STREAM},          {name, SOCK_DGRAM},          {name, SOCK_SEQPACKET}};
  if (scene::has_ip6()) all.insert(all.end(), {{"[::1]:0", SOCK_STREAM}, {"[::1]:0", SOCK_DGRAM}});
  else BOOST_TEST_MESSAGE("skipped: IPv6, which this machine does not have");
  for (const auto& [address, type] : all) {
    BOOST_TEST_CONTEXT(address << " of type " << type) {
      const char* const word = type == SOCK_STREAM ? "" : type == SOCK_DGRAM ? ",datagram" : ",seqpacket";
      SocketService service(scene, scene::monitored, {"socket=web," + address + word});
      const std::string bound = service.begun();
      const bool is_unix = address[0] == '/' || address[0] == '@';
      BOOST_TEST(bound.substr(0, bound.rfind(':')) == address.substr(0, address.rfind(':')));
      BOOST_TEST((is_unix || !bound.ends_with(":0")));
      BOOST_TEST(answers(is_unix ? bound : on_loopback(bound), type));
      service.stop();
    }
  }
}

BOOST_FIXTURE_TEST_CASE(a_star_means_ipv6_and_ipv4, Stage) {
  SocketService service(scene, scene::detached, {"socket=web,*:0"});
  const std::string bound = service.begun();
  const std::string port = bound.substr(bound.rfind(':'));
  BOOST_TEST(answers("127.0.0.1" + port));
  if (scene::has_ip6()) BOOST_TEST(answers("[::1]" + port));
  else BOOST_TEST_MESSAGE("skipped: IPv6, which this machine does not have");
  service.stop();
}

BOOST_FIXTURE_TEST_CASE(v6only_leaves_the_port_of_ipv4_free, Stage) {
  if (!scene::has_ip6()) {
    BOOST_TEST_MESSAGE("skipped: IPv6, which this machine does not have");
    return;
  }
  const std::string port = free_port("0.0.0.0");
  SocketService service(scene, scene::detached,
                        {"socket=web,[::]:" + port + ",v6only", "socket=four,0.0.0.0:" + port});
  service.begun();
  BOOST_TEST(answers("[::1]:" + port));
  service.stop();
  refuses({"socket=six,[::]:" + port, "socket=web,0.0.0.0:" + port}, in_use("0.0.0.0:" + port));
}

BOOST_FIXTURE_TEST_CASE(reuse_port_shares_a_port, Stage) {
  const std::string address = "127.0.0.1:" + free_port();
  SocketService service(scene, scene::detached, {"socket=web," + address + ",reuse_port"});
  service.begun();
  {
    SocketService second(scene, scene::detached, {"socket=web," + address + ",reuse_port"},
                         {"socket:web", "serve:web"}, {}, "second");
    second.begun();
    second.stop();
  }
  refuses({"socket=web," + address}, in_use(address));
  service.stop();
}

BOOST_FIXTURE_TEST_CASE(the_backlog_limits_the_connections_that_wait, Stage) {
  const auto waiting = [&](const std::string& setting) {
    SocketService service(scene, scene::detached, {"socket=web," + path + setting}, {"socket:web", "wait"});
    scene.expect("web " + path);
    std::vector<scene::Peer> peers;
    for (int n = 0; n < 20; ++n) {
      peers.push_back(connect_to(path, SOCK_STREAM | SOCK_NONBLOCK));
      if (!peers.back()) break;
    }
    BOOST_TEST((peers.back() || errno == EAGAIN));
    service.stop();
    return peers.size() - 1;
  };
  BOOST_TEST(waiting(",backlog:2") == 3U);
  BOOST_TEST(waiting("") == 19U);
}

BOOST_FIXTURE_TEST_CASE(a_relative_path_is_resolved_in_the_caller, Stage) {
  const auto result = scene.run_probe({"cd:" + scene.folder().string(), "daemon", "pidfile=./pid",
                                       "socket=web,./x.sock", "socket:web", "serve:web"});
  BOOST_TEST(result.end.exited(0));
  scene.expect("web " + path);
  BOOST_TEST(answers(path));
  ::kill(scene::pid_in(scene.path("pid")), SIGTERM);
  scene.next();
  scene.expect("stop");
  BOOST_TEST(scene::eventually([&] { return files().empty(); }));
}

BOOST_FIXTURE_TEST_CASE(a_path_must_be_short_enough_for_its_clients, Stage) {
  const std::string deep = scene.path(std::string(60, 'd') + '/' + std::string(60, 'd'));
  fs::create_directories(deep);
  const auto result = scene.run_probe({"cd:" + deep, "run", "socket=web,./x.sock"});
  BOOST_TEST(result.err ==
             "daemon_probe: cannot listen on \"" + deep +
                 "/x.sock\" for the socket \"web\": a client could not connect to a path of more "
                 "than 107 characters\n");
  fs::create_symlink(deep, scene.path("short"));
  SocketService service(scene, scene::detached, {"socket=web," + scene.path("short/x.sock")});
  service.begun();
  BOOST_TEST(answers(scene.path("short/x.sock")));
  service.stop();
  BOOST_TEST(fs::is_empty(deep));
}

BOOST_FIXTURE_TEST_CASE(a_restart_takes_the_port_while_connections_of_the_former_daemon_linger, Stage) {
  const std::string address = "127.0.0.1:" + free_port();
  const Words options = {"socket=web," + address};
  for (int round = 0; round < 2; ++round) {
    SocketService service(scene, scene::detached, options);
    service.begun();
    const auto peer = connect_to(address);
    BOOST_TEST(ask(peer, 'a') == 'b');
    char end = 0;
    BOOST_TEST(::recv(peer.get(), &end, 1, 0) == 0);  // the daemon closes first: TIME_WAIT is its
    service.stop();
  }
}

BOOST_FIXTURE_TEST_CASE(an_unknown_name_is_an_error, Stage) {
  SocketService service(scene, scene::detached, {"socket=web," + path},
                        {"socket:we", "socket:web", "serve:web"});
  scene.expect("no socket has the name \"we\"");
  service.begun();
  service.stop();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(socket_files)

BOOST_FIXTURE_TEST_CASE(nothing_else_in_the_place_is_removed, Stage) {
  const std::string other = "cannot listen on \"" + path + "\" for the socket \"web\": ";
  const std::string no_socket = other + "something that is no socket is in its place";
  scene::write_file(path, "precious");
  refuses({"socket=web," + path}, no_socket);
  BOOST_TEST(scene::contents(path) == "precious");
  fs::remove(path);
  fs::create_directory(path);
  refuses({"socket=web," + path}, no_socket);
  fs::remove(path);
  BOOST_REQUIRE(bool(listen_at(scene.path("stale"))));
  fs::create_symlink(scene.path("stale"), path);
  refuses({"socket=web," + path}, no_socket);
  BOOST_TEST(files() == "stale x.sock ");
  refuses({"socket=web," + scene.path("none/x.sock")},
          "cannot listen on \"" + scene.path("none/x.sock") +
              "\" for the socket \"web\": No such file or directory");
  refuses({"socket=web,/."}, "cannot listen on \"/\" for the socket \"web\": it is a directory");
}

BOOST_FIXTURE_TEST_CASE(a_full_queue_is_in_use, Stage) {
  const auto full = listen_at(path, SOCK_STREAM, 0);
  const auto waiting = connect_to(path);
  BOOST_REQUIRE(bool(waiting));
  refuses({"socket=web," + path}, in_use(path));
  BOOST_TEST(bool(full));
  BOOST_TEST(files() == "x.sock ");
}

// A start sees a file of mode 0 until it has its owner and mode.
BOOST_FIXTURE_TEST_CASE(nobody_can_connect_before_the_file_has_its_mode, Stage) {
  std::atomic<bool> done = false;
  std::atomic<int> seen = 0;
  std::atomic<unsigned> too_wide = 0;
  std::thread watcher([&] {
    while (!done) {
      struct stat found {};
      if (::lstat(path.c_str(), &found) == -1) continue;
      ++seen;
      too_wide |= found.st_mode & 07777 & ~mode_t{0600};
    }
  });
  const std::string fifo = scene.path("fifo");
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  for (int round = 0; round < scene::rounds(30); ++round) {
    const int before = seen;
    auto running = scene.start_probe(
        {"daemon", "detach=never", "socket=web," + path + ",mode:600", "say:x", "await:" + fifo},
        [] { ::umask(0); });
    scene.expect("x");
    BOOST_TEST(scene::eventually([&] { return seen > before; }));
    ::close(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
    BOOST_TEST(running.finish().end.exited(0));
  }
  done = true;
  watcher.join();
  BOOST_TEST(seen > 0);
  BOOST_TEST(too_wide == 0U);
}

// All of them see the stale file. The one that gets the place must keep it.
BOOST_FIXTURE_TEST_CASE(of_starts_at_the_same_time_one_gets_the_place_and_keeps_it, Stage) {
  for (int round = 0; round < scene::rounds(10); ++round) {
    BOOST_REQUIRE(bool(listen_at(path)));
    std::vector<scene::Running> starts;
    constexpr int most = 4;
    for (int n = 0; n < most; ++n) {
      starts.push_back(scene.start_probe(
          {"daemon", "pidfile=" + scene.path("pid" + std::to_string(n)), "socket=web," + path, "serve:web"}));
    }
    int refused = 0;
    for (auto& start : starts) {
      const auto result = start.finish();
      if (result.end.exited(0)) continue;
      ++refused;
      BOOST_TEST(result.err.find(in_use(path)) != std::string::npos, result.err);
    }
    BOOST_TEST(refused == most - 1);
    BOOST_REQUIRE(scene.next().rfind("serving ", 0) == 0U);
    BOOST_TEST(answers(path));
    for (int n = 0; n < most; ++n) {
      const pid_t daemon = scene::pid_in(scene.path("pid" + std::to_string(n)));
      if (daemon == 0) continue;
      ::kill(daemon, SIGTERM);
      scene.expect("stop");
      BOOST_TEST(scene::await_end(daemon).exited(0));
    }
    BOOST_TEST(files() == "");
  }
}

BOOST_FIXTURE_TEST_CASE(a_daemon_that_was_killed_leaves_a_file_which_the_next_start_replaces, Stage) {
  for (int round = 0; round < 2; ++round) {
    SocketService service(scene, scene::detached, {"socket=web," + path});
    service.begun();
    BOOST_TEST(answers(path));
    ::kill(service.worker(), SIGKILL);
    BOOST_TEST(scene::await_end(service.worker()).killed_by(SIGKILL));
    BOOST_TEST(scene::exists(path));
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(with_a_monitor)

// The client connects while the worker can accept nothing.
BOOST_DATA_TEST_CASE_F(Stage, a_crash_closes_no_socket_and_loses_no_waiting_connection,
                       boost::unit_test::data::make({SIGKILL, SIGSEGV}), signal) {
  for (const auto& address : {path, std::string("127.0.0.1:0")}) {
    SocketService service(scene, scene::monitored, {"socket=web," + address});
    const std::string bound = service.begun();
    const auto inode = inode_of(path);
    const pid_t first = service.worker();
    ::kill(first, SIGSTOP);
    const auto waiting = connect_to(bound);
    ::kill(first, signal);
    ::kill(first, SIGCONT);
    BOOST_TEST(service.begun() == bound);
    BOOST_TEST(service.worker() != first);
    BOOST_TEST(ask(waiting, 'x') == 'y');
    BOOST_TEST(inode_of(path) == inode);
    service.stop();
    BOOST_TEST(files() == "");
  }
}

// The worker's context comes to its end, and the service does not.
BOOST_FIXTURE_TEST_CASE(a_worker_that_exits_leaves_the_file_to_the_monitor, Stage) {
  SocketService service(scene, scene::monitored, {"socket=web," + path},
                        {"until:2,exit:1", "socket:web", "serve:web"});
  BOOST_TEST(service.begun() == path);
  BOOST_TEST(answers(path));
  service.stop();
  BOOST_TEST(files() == "");
}

BOOST_FIXTURE_TEST_CASE(datagrams_that_wait_outlive_a_crash, Stage) {
  SocketService service(scene, scene::monitored, {"socket=web,127.0.0.1:0,datagram"});
  const std::string bound = service.begun();
  const pid_t first = service.worker();
  ::kill(first, SIGSTOP);
  const auto peer = connect_to(bound, SOCK_DGRAM);
  BOOST_TEST(::send(peer.get(), "x", 1, 0) == 1);
  ::kill(first, SIGKILL);
  service.begun();
  char byte = 0;
  BOOST_TEST(::recv(peer.get(), &byte, 1, 0) == 1);
  BOOST_TEST(byte == 'y');
  service.stop();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(from_the_manager)

BOOST_FIXTURE_TEST_CASE(a_descriptor_that_does_not_fit_is_refused, Stage) {
  const auto bound = listen_at("127.0.0.1:0", SOCK_STREAM, -1);
  const auto datagram = listen_at("127.0.0.1:0", SOCK_DGRAM);
  const auto stream = listen_at("127.0.0.1:0");
  const std::string cannot = "cannot use the service manager's descriptor 3 for the socket \"web\": ";
  const auto refuses_it = [&](int fd, const std::string& type, const std::string& why) {
    refuses({"socket=web," + path + type}, cannot + why, [&] { pass({fd}, "web"); });
  };
  refuses_it(STDERR_FILENO, "", "it is no socket");
  refuses_it(bound.get(), "", "it does not listen");
  refuses_it(datagram.get(), "", "it is not a stream socket");
  refuses_it(stream.get(), ",datagram", "it is not a datagram socket");
  refuses_it(stream.get(), ",seqpacket", "it is not a seqpacket socket");
  BOOST_TEST(files() == "");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(without_a_start)

BOOST_FIXTURE_TEST_CASE(a_preflight_accepts_what_the_running_daemon_has_and_creates_nothing, Stage) {
  const std::string address = "127.0.0.1:" + free_port();
  const std::string datagrams = "127.0.0.1:" + free_port("127.0.0.1", SOCK_DGRAM);
  const Words options = {"socket=web," + path, "socket=tcp," + address,
                         "socket=udp," + datagrams + ",datagram", "socket=any,*:0",
                         "socket=name,@" + scene.folder().string()};
  const auto passes = [&](Words words) {
    words.insert(words.begin(), "preflight");
    const auto result = scene.run_probe(words);
    BOOST_TEST(result.err == "");
    BOOST_TEST(result.end.exited(0));
  };
  passes(options);
  BOOST_TEST(files() == "");
  SocketService service(scene, scene::detached, options);
  service.begun();
  passes(options);
  BOOST_TEST(answers(path));
  service.stop();
  passes({"mkdir=" + scene.path("made"), "socket=web," + scene.path("made/x.sock")});
  BOOST_TEST(files() == "");
}

BOOST_FIXTURE_TEST_CASE(a_preflight_reports_what_the_start_could_not_open, Stage) {
  const auto reports = [&](const std::string& socket, const std::string& reason) {
    const auto result = scene.run_probe({"preflight", "socket=web," + socket});
    BOOST_TEST(result.end.exited(1));
    const std::string address = socket.substr(0, socket.find(','));
    const std::string line = "cannot listen on \"" + address + "\" for the socket \"web\": " + reason + '\n';
    BOOST_TEST(result.err.find(line) != std::string::npos, result.err);
  };
  reports("192.0.2.1:80", "Cannot assign requested address (this machine does not have the address)");
  reports(scene.path("none/x.sock"), "No such file or directory");
  reports(path + ",user:nosuch", "there is no user \"nosuch\"");
  scene::write_file(path, "precious");
  reports(path, "something that is no socket is in its place");
}

BOOST_FIXTURE_TEST_CASE(explain_names_each_socket, Stage) {
  const auto explain = [&](const std::function<void()>& surroundings) {
    return scene
        .run_probe({"explain", "socket=web,127.0.0.1:80", "socket=file," + path + ",mode:600"}, surroundings)
        .out;
  };
  const auto has = [](const std::string& text, const std::string& line) {
    return text.find("  " + line + '\n') != std::string::npos;
  };
  const std::string plain = explain({});
  BOOST_TEST(has(plain, "listen on \"127.0.0.1:80\" for the socket \"web\""), plain);
  BOOST_TEST(has(plain, "listen on \"" + path + "\" for the socket \"file\", mode 0600"), plain);
  BOOST_TEST(has(plain, "remove the socket file \"" + path + "\", if that is permitted"), plain);
  const std::string passed = explain([] { pass({STDERR_FILENO, STDERR_FILENO}, "a:file"); });
  BOOST_TEST(has(passed, "take the socket \"file\" from the service manager"), passed);
  BOOST_TEST(has(passed, "listen on \"127.0.0.1:80\" for the socket \"web\""), passed);
  BOOST_TEST(passed.find("remove the socket file") == std::string::npos, passed);
}

BOOST_AUTO_TEST_SUITE_END()
