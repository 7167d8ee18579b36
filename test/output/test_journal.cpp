// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE journal

// Output that goes to the journal, as journald receives it. Without root the test exits with 77.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

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
    BOOST_REQUIRE(::listen(listener, 5) == 0);
  }
  ~Stage() { ::close(listener); }

  // Accepts one connection and returns its text, once every process has closed the connection.
  std::string read_connection() const {
    pollfd waiting{listener, POLLIN, 0};
    BOOST_REQUIRE(::poll(&waiting, 1, std::chrono::milliseconds(scene::patience).count()) == 1);
    const int stream = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
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
