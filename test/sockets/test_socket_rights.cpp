// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE socket_rights

// Sockets of a service that gives up root's rights. Without root the test exits with 77: skipped.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "service.hpp"
#include "stage.hpp"

using scene::answers;
using scene::connect_to;
using scene::listen_at;
using scene::NeedsRoot;
using scene::nobody;
using scene::SocketService;
using scene::status_of;
using scene::Way;
using scene::Words;

namespace fs = boost::filesystem;

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

namespace {

struct Stage : scene::Stage {
  std::string path = scene.path("x.sock");

  std::string cannot(const std::string& address) const {
    return "cannot listen on \"" + address + "\" for the socket \"web\": ";
  }
};

// A port below 1024 that is free now.
std::string free_low_port() {
  for (int port = 1023;; --port) {
    if (listen_at("127.0.0.1:" + std::to_string(port))) return std::to_string(port);
  }
}

bool low_ports_need_rights() {
  return scene::contents("/proc/sys/net/ipv4/ip_unprivileged_port_start") == "1024\n";
}

std::string owner_of(const std::string& file) {
  const auto found = status_of(file);
  return std::to_string(found.st_uid) + ':' + std::to_string(found.st_gid) + ' ' +
         std::to_string(found.st_mode & 07777);
}

}  // namespace

BOOST_DATA_TEST_CASE_F(Stage, a_service_without_rights_has_a_low_port, scene::ways, way) {
  const std::string address = "127.0.0.1:" + free_low_port();
  SocketService service(scene, way, {"user=nobody", "socket=web," + address});
  BOOST_TEST(service.begun() == address);
  BOOST_TEST(scene::status_field(service.worker(), "Uid").rfind("65534\t", 0) == 0U);
  BOOST_TEST(answers(address));
  if (way.has_monitor) {
    ::kill(service.worker(), SIGKILL);
    BOOST_TEST(service.begun() == address);
    BOOST_TEST(answers(address));
  }
  service.stop();
}

BOOST_FIXTURE_TEST_CASE(a_low_port_without_rights_is_refused_with_the_way_out, Stage) {
  if (!low_ports_need_rights()) {
    BOOST_TEST_MESSAGE("skipped: every user may have low ports here");
    return;
  }
  const std::string address = "127.0.0.1:" + free_low_port();
  for (const char* const action : {"run", "preflight"}) {
    const auto result = begin({action, "socket=web," + address}, [] {
                          if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(98);
                        }).finish();
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err.find(cannot(address) +
                               "Permission denied (a port below 1024 needs root, or the capability "
                               "CAP_NET_BIND_SERVICE)\n") != std::string::npos,
               result.err);
  }
}

BOOST_DATA_TEST_CASE_F(Stage, a_socket_file_gets_its_owner, scene::ways, way) {
  const auto owner = [&](const Words& options, const std::string& settings) {
    Words words = options;
    words.push_back("socket=web," + path + settings);
    SocketService service(scene, way, words);
    service.begun();
    const std::string found = owner_of(path);
    service.stop();
    ::unlink(path.c_str());
    return found;
  };
  BOOST_TEST(owner({}, "") == "0:0 " + std::to_string(0660));
  BOOST_TEST(owner({"user=nobody"}, "") == "65534:65534 " + std::to_string(0660));
  BOOST_TEST(owner({"user=nobody"}, ",user:1,group:2,mode:620") == "1:2 " + std::to_string(0620));
  BOOST_TEST(owner({"user=nobody"}, ",group:2") == "65534:2 " + std::to_string(0660));
}

// Only a process that may write the directory can remove the file.
BOOST_FIXTURE_TEST_CASE(a_file_that_the_daemon_may_not_remove_stays_for_the_next_start, Stage) {
  const Words options = {"user=nobody", "socket=web," + path};
  for (int round = 0; round < 2; ++round) {
    SocketService service(scene, scene::detached, options);
    service.begun();
    BOOST_TEST(answers(path));
    service.stop();
    BOOST_TEST(scene::exists(path));
  }
  SocketService service(scene, scene::monitored, options);
  service.begun();
  service.stop();
  BOOST_TEST(!scene::exists(path));  // the monitor is root
}

BOOST_DATA_TEST_CASE_F(Stage, a_file_in_the_services_own_directory_is_removed, scene::ways, way) {
  const std::string folder = scene.path("run");
  SocketService service(scene, way,
                        {"user=nobody", "mkdir=" + folder + ":0750", "socket=web," + folder + "/x.sock"});
  service.begun();
  BOOST_TEST(answers(folder + "/x.sock"));
  service.stop();
  BOOST_TEST(fs::is_empty(folder));
}

BOOST_DATA_TEST_CASE_F(Stage, a_failed_start_removes_the_file_before_the_directory, scene::ways, way) {
  const std::string folder = scene.path("run");
  Words words = {"pidfile=" + pidfile, "user=nobody", "mkdir=" + folder + ":0750",
                 "socket=web," + folder + "/x.sock", "cwd=/none"};
  words.insert(words.end(), way.options.begin(), way.options.end());
  BOOST_TEST(run(words).end.exited(1));
  BOOST_TEST(!scene::exists(folder));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_DATA_TEST_CASE_F(Stage, a_service_in_another_root_directory_keeps_its_sockets, scene::ways, way) {
  const std::string root = scene.path("root");
  fs::create_directories(root + scene.folder().string());
  fs::create_directories(root + "/proc/self");
  BOOST_REQUIRE(::link(scene.path("channel").c_str(), (root + scene.path("channel")).c_str()) == 0);
  for (int round = 0; round < 2; ++round) {
    SocketService service(scene, way, {"chroot=" + root, "user=nobody", "socket=web," + path},
                          {"socket:web", "serve:web"}, scene::forgo_leak_check);
    service.begun();
    BOOST_TEST(answers(path));
    service.stop();
    BOOST_TEST(scene::exists(path) == !way.has_monitor);
  }
}

// No descriptor of a directory may show the way out of the new root.
BOOST_DATA_TEST_CASE_F(Stage, no_directory_stays_open, scene::ways, way) {
  SocketService service(scene, way, {"socket=web," + path});
  service.begun();
  BOOST_TEST(answers(path));  // by now a monitor knows that its worker is ready
  for (const pid_t process : {service.worker(), service.leader()}) {
    std::string descriptors;
    const auto is_closed = [&](const std::string& name) {
      return scene::eventually([&] {
        descriptors = scene::descriptors_of(process);
        return descriptors.find(name) == std::string::npos;
      });
    };
    BOOST_TEST(is_closed(scene.folder().string() + ' '), descriptors);
    BOOST_TEST(is_closed("x.sock"), descriptors);
  }
  service.stop();
}

BOOST_FIXTURE_TEST_CASE(another_users_link_is_not_followed, Stage) {
  const std::string theirs = scene.path("theirs");
  fs::create_directory(theirs);
  fs::create_directory(scene.path("roots"));
  BOOST_REQUIRE(::chown(theirs.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::symlink(scene.path("roots").c_str(), (theirs + "/way").c_str()) == 0);
  BOOST_REQUIRE(::lchown((theirs + "/way").c_str(), nobody, nobody) == 0);
  refuses({"socket=web," + theirs + "/way/x.sock"},
          cannot(theirs + "/way/x.sock") +
              "a symbolic link on the way to it could have been put there by others");
  BOOST_REQUIRE(::symlink((scene.path("roots") + "/x.sock").c_str(), (theirs + "/x.sock").c_str()) == 0);
  refuses({"socket=web," + theirs + "/x.sock"},
          cannot(theirs + "/x.sock") + "something that is no socket is in its place");
  BOOST_TEST(fs::is_empty(scene.path("roots")));
}

// The directory's owner could lead a path elsewhere, so the start goes by descriptors.
BOOST_DATA_TEST_CASE_F(Stage, a_directory_of_another_user_serves, scene::ways, way) {
  const std::string theirs = scene.path("theirs");
  fs::create_directory(theirs);
  BOOST_REQUIRE(::chown(theirs.c_str(), nobody, nobody) == 0);
  const std::string file = theirs + "/x.sock";
  for (int round = 0; round < 2; ++round) {
    BOOST_REQUIRE(bool(listen_at(file)));  // a stale one
    SocketService service(scene, way, {"user=nobody", "socket=web," + file + ",mode:600"});
    service.begun();
    BOOST_TEST(answers(file));
    BOOST_TEST(owner_of(file) == "65534:65534 " + std::to_string(0600));
    service.stop();
    BOOST_TEST(fs::is_empty(theirs));
  }
}

// The lock of a place must not be in the hands of others, and what is not the library's is not removed.
BOOST_FIXTURE_TEST_CASE(a_lock_file_of_another_is_refused_and_stays, Stage) {
  const std::string lock = scene.path(".x.sock.lock");
  const auto is_refused = [&](const std::string& what) {
    refuses({"socket=web," + path}, cannot(path) +
                                        "cannot use the lock file \".x.sock.lock\" beside it: it is no empty "
                                        "file of this user's; remove it");
    struct stat found {};
    BOOST_TEST(::lstat(lock.c_str(), &found) == 0, what);
    BOOST_TEST(!scene::exists(path));
    ::unlink(lock.c_str());
  };
  scene::write_file(lock, "");
  BOOST_REQUIRE(::chown(lock.c_str(), nobody, nobody) == 0);
  is_refused("another user's");
  scene::write_file(lock, "text");
  is_refused("a file with text");
  BOOST_REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
  is_refused("a FIFO");
  BOOST_REQUIRE(::symlink(pidfile.c_str(), lock.c_str()) == 0);
  is_refused("a link");
  scene::write_file(lock, "");  // a start that was killed left it
  BOOST_TEST(run({"detach=never", "socket=web," + path}).end.exited(0));
  BOOST_TEST(!scene::exists(lock));
}

// A start that was killed at the wrong moment leaves a file of mode 0, to which only root can connect.
BOOST_FIXTURE_TEST_CASE(a_stale_file_without_rights_is_replaced_by_its_owner, Stage) {
  const std::string theirs = scene.path("theirs");
  const std::string file = theirs + "/x.sock";
  fs::create_directory(theirs);
  BOOST_REQUIRE(::chown(theirs.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(bool(listen_at(file)));
  BOOST_REQUIRE(::chown(file.c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chmod(file.c_str(), 0) == 0);
  const auto result = run({"detach=never", "socket=web," + file}, [] {
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(98);
  });
  BOOST_TEST(result.end.exited(0), result.err);
  BOOST_TEST(!scene::exists(file));
}

// While root's start binds and gives the file away, those who may write the directory swap it for a link to
// root's file. In a sticky directory they may do so once the file is theirs.
BOOST_DATA_TEST_CASE_F(Stage, those_who_may_write_the_directory_gain_no_file_of_roots,
                       boost::unit_test::data::make({0755, 01770}), mode) {
  const std::string theirs = scene.path("theirs");
  const std::string file = theirs + "/x.sock";
  const std::string precious = scene.path("precious");
  scene::write_file(precious, "roots");
  BOOST_REQUIRE(::chmod(precious.c_str(), 0600) == 0);
  fs::create_directory(theirs);
  BOOST_REQUIRE(::chown(theirs.c_str(), (mode & S_ISVTX) != 0 ? 0 : nobody, nobody) == 0);
  BOOST_REQUIRE(::chmod(theirs.c_str(), static_cast<mode_t>(mode)) == 0);
  const pid_t attacker = ::fork();
  if (attacker == 0) {
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(98);
    for (;;) {
      struct stat found {};
      if (::lstat(file.c_str(), &found) == -1) continue;
      ::unlink(file.c_str());
      static_cast<void>(::symlink(precious.c_str(), file.c_str()));
      ::poll(nullptr, 0, 1);
      ::unlink(file.c_str());
    }
  }
  for (int n = 0; n < scene::rounds(50); ++n) {
    run({"detach=never", "user=nobody", "socket=web," + file + ",mode:666"});
    BOOST_TEST(owner_of(precious) == "0:0 " + std::to_string(0600));
  }
  ::kill(attacker, SIGKILL);
  scene::await_end(attacker);
}
