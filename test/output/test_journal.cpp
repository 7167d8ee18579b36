// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE journal

// Output that goes to the journal, as journald receives it. Without root the test exits with 77.

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>

#include "listener.hpp"
#include "stage.hpp"

using scene::NeedsRoot;

namespace {

struct PrivateMounts {
  PrivateMounts() {
    scene::have_private_mounts();
    BOOST_REQUIRE(::mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0);
    ::mkdir("/run/systemd", 0755);
    ::mkdir("/run/systemd/journal", 0755);
  }
};

struct Stage : scene::Stage {
  int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  Stage() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/run/systemd/journal/stdout";
    ::unlink(path.c_str());
    path.copy(address.sun_path, path.size());
    BOOST_REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    BOOST_REQUIRE(::chmod(path.c_str(), 0666) == 0);
    BOOST_REQUIRE(::listen(listener, 5) == 0);
  }
  ~Stage() { ::close(listener); }

  int accept() const {
    pollfd waiting{listener, POLLIN, 0};
    BOOST_REQUIRE(::poll(&waiting, 1, std::chrono::milliseconds(scene::patience).count()) == 1);
    return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  }
  // Accepts one connection and returns its text, once every process has closed the connection.
  std::string read_connection() const {
    const int stream = accept();
    std::string text;
    for (char byte = 0;;) {
      pollfd readable{stream, POLLIN, 0};
      BOOST_REQUIRE(::poll(&readable, 1, std::chrono::milliseconds(scene::patience).count()) == 1);
      if (::read(stream, &byte, 1) != 1) break;
      text += byte;
    }
    ::close(stream);
    return text;
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);
BOOST_TEST_GLOBAL_FIXTURE(PrivateMounts);

BOOST_FIXTURE_TEST_CASE(lines_go_to_the_journal_under_their_name, Stage) {
  const auto result =
      run({"out=journal:probe", "err=journal:probe", "user=nobody", "print:one", "eprint:<3>two"},
          scene::forgo_leak_check);
  BOOST_TEST(result.err == "");
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(read_connection() == "probe\n\n6\n1\n0\n0\n0\none\n<3>two\n");
}

BOOST_FIXTURE_TEST_CASE(the_last_lines_of_a_crashed_worker_and_of_the_monitor_are_kept, Stage) {
  const auto result = run(
      {"out=journal:probe", "err=journal:probe", "respawn=first:1,most:1", "print:last words", "raise:9"});
  BOOST_TEST(result.end.exited(0));
  const std::string text = read_connection();
  BOOST_TEST(text.find("last words\n") != text.rfind("last words\n"));
  BOOST_TEST(text.find("(number 1) was killed by SIGKILL after ") != std::string::npos);
  BOOST_TEST(text.find("given up after 1 restarts within 10000 ms") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(without_a_journal_there_is_no_start, Stage) {
  ::unlink("/run/systemd/journal/stdout");
  refuses({"pidfile=" + pidfile, "out=journal:probe"},
          "cannot open the file \"/run/systemd/journal/stdout\": No such file or directory");
  refuses({"out=journal:"}, "stdio.out: the identifier for the journal is empty, or not one line");
}

namespace {

bool reads(int stream, const std::string& wanted) {
  std::string text;
  return scene::eventually([&] {
    std::array<char, 4096> part{};
    const auto size = ::recv(stream, part.data(), part.size(), MSG_DONTWAIT);
    if (size > 0) text.append(part.data(), static_cast<std::size_t>(size));
    return text.find(wanted) != std::string::npos;
  });
}

double cpu_seconds_of_children() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

// The names of its lines stay.
BOOST_FIXTURE_TEST_CASE(a_journal_that_has_closed_the_stream_is_connected_to_again, Stage) {
  for (const std::string kind : {"umask=22", "user=nobody"}) {
    BOOST_REQUIRE(run({"pidfile=" + pidfile, kind, "out=journal:probe", "err=journal:other", "beat:beat"})
                      .end.exited(0));
    std::array<scene::Received, 2> streams;
    for (const bool again : {false, true}) {
      for (auto& each : streams) each = scene::Received();
      for (auto& each : streams) each = scene::Received(accept());
      BOOST_TEST(reads(streams[0].get(), "probe\n\n6\n1\n0\n0\n0\n"));
      BOOST_TEST(reads(streams[1].get(), "other\n\n6\n1\n0\n0\n0\n"));
      BOOST_TEST(reads(streams[0].get(), "beat\n"), again);
    }
    scene::Stage::stop(scene::pid_in(pidfile));
  }
}

BOOST_FIXTURE_TEST_CASE(a_stream_that_the_program_has_closed_is_left_alone, Stage) {
  const double before = cpu_seconds_of_children();
  const auto service = [&](const scene::Words& words) {
    scene::Words all = {"pidfile=" + pidfile, "out=journal:probe"};
    all.insert(all.end(), words.begin(), words.end());
    BOOST_REQUIRE(run(all).end.exited(0));
  };
  service({"wait_for:1", "close:1", "wait_for:1000"});
  for (int n = 0; n < 2; ++n) scene.expect("no stop");
  BOOST_TEST(
      scene::eventually([] { return scene::children().empty() || ::waitpid(-1, nullptr, WNOHANG) > 0; }));
  BOOST_TEST(cpu_seconds_of_children() - before <
             (scene::sanitized ? 5 : 0.5));  // it does not poll in a loop
}
