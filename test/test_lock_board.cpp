// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE lock_board
#include "posix/lock_board.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "posix/file_lock.hpp"
#include "reload_notice.hpp"
#include "scene.hpp"
#include "unique_fd.hpp"

using daemonctx::ReloadNotice;
using daemonctx::UniqueFd;
using namespace daemonctx::posix;

namespace {

struct Board {
  scene::Scene scene;
  UniqueFd file{::open(scene.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  pid_t author = ::getpid();

  // One's own locks are not seen: what a child makes of them, through a descriptor of its own.
  template <class Look>
  bool others_see(Look look) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const int own = ::open(scene.path("file").c_str(), O_RDONLY | O_CLOEXEC);
      ::_exit(look(own) ? 0 : 1);
    }
    return scene::await_end(child).exited(0);
  }
  bool others_read(std::uint64_t number, const std::string& text) const {
    return others_see(
        [&](int fd) { return shown_number(fd, author) == number && shown_text(fd, author) == text; });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(an_empty_board_shows_nothing, Board) {
  BOOST_TEST(others_see([&](int fd) { return !shown_number(fd, author) && shown_text(fd, author).empty(); }));
}

BOOST_FIXTURE_TEST_CASE(number_and_text_are_read_by_others, Board) {
  BOOST_TEST(show_text(file.get(), "first") == 0);
  BOOST_TEST(show_number(file.get(), 0) == 0);
  BOOST_TEST(others_read(0, "first"));
  const std::uint64_t largest = (std::uint64_t{1} << 56) - 1;
  for (const std::uint64_t number :
       {std::uint64_t{1}, std::uint64_t{2}, largest - 1, largest, std::uint64_t{5}}) {
    BOOST_TEST(show_number(file.get(), number) == 0);  // neighbours too, and back again
    BOOST_TEST(others_read(number, "first"));
  }
  struct stat found {};
  BOOST_REQUIRE(::fstat(file.get(), &found) == 0);
  BOOST_TEST(found.st_size == 0);
}

BOOST_FIXTURE_TEST_CASE(a_text_of_any_length_and_any_bytes, Board) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  BOOST_TEST(show_number(file.get(), 1) == 0);
  for (std::size_t size = 0; size <= all.size(); size += size < 20 ? 1 : 47) {
    BOOST_TEST(show_text(file.get(), all.substr(0, size)) == 0);
    BOOST_TEST(others_read(1, all.substr(0, size)));
  }
  const std::string long_text(longest_board_text + 1, '\xff');
  BOOST_TEST(show_text(file.get(), long_text) == 0);
  BOOST_TEST(others_read(1, long_text.substr(1)));
  BOOST_TEST(show_text(file.get(), std::string("a\0b", 3)) == 0);
  BOOST_TEST(others_read(1, "a"));
}

BOOST_FIXTURE_TEST_CASE(only_the_authors_word_counts_and_ends_with_him, Board) {
  const pid_t forger = ::fork();
  if (forger == 0) {
    const int own = ::open(scene.path("file").c_str(), O_RDWR | O_CLOEXEC);
    show_number(own, 1);
    scene::write_file(scene.path("forged"), "");
    for (;;) ::pause();
  }
  BOOST_TEST(scene::eventually([&] { return scene::exists(scene.path("forged")); }));
  BOOST_TEST(!shown_number(file.get(), author));
  BOOST_TEST((shown_number(file.get(), forger) == 1U));
  ::kill(forger, SIGKILL);
  scene::await_end(forger);
  BOOST_TEST(!shown_number(file.get(), forger));
}

BOOST_FIXTURE_TEST_CASE(it_leaves_the_pidfiles_own_locks_alone, Board) {
  BOOST_TEST(lock_exclusion(file.get()) == 0);
  BOOST_TEST(lock_identity(file.get()) == 0);
  BOOST_TEST(lock_readiness(file.get()) == 0);
  BOOST_TEST(show_text(file.get(), "text") == 0);
  BOOST_TEST(show_number(file.get(), 3) == 0);
  BOOST_TEST(show_text(file.get(), "") == 0);
  BOOST_TEST(others_see([&](int fd) { return identity_holder(fd).pid == author && is_marked_ready(fd); }));
  BOOST_TEST(others_read(3, ""));
}

BOOST_FIXTURE_TEST_CASE(a_reload_notice_travels_whole, Board) {
  BOOST_TEST(others_see([&](int fd) { return !daemonctx::read_reload_notice(fd, author); }));
  for (const ReloadNotice& notice :
       {ReloadNotice{0, 0, false, ""}, ReloadNotice{0, 1, false, ""}, ReloadNotice{1, 0, true, "no"},
        ReloadNotice{1, 2, true, "no"}, ReloadNotice{70000, 0, false, ""}}) {
    BOOST_TEST(show(file.get(), notice) == 0);
    BOOST_TEST(others_see([&](int fd) {
      const auto read = daemonctx::read_reload_notice(fd, author);
      return read && read->finished == notice.finished && read->running == notice.running &&
             read->refused == notice.refused && read->text == notice.text;
    }));
  }
}
