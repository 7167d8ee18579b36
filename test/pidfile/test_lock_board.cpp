// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE lock_board
#include "pidfile/lock_board.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "pidfile/locks.hpp"
#include "pidfile/reload_status.hpp"
#include "posix/unique_fd.hpp"
#include "scene.hpp"

using daemonctx::ReloadNotice;
using daemonctx::show_outcome;
using daemonctx::show_progress;
using daemonctx::UniqueFd;
using namespace daemonctx::posix;

namespace {

struct Board {
  scene::Scene scene;
  UniqueFd file{::open(scene.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  pid_t author = ::getpid();

  // The result of `look` in a child with a descriptor of its own: a process does not see its own locks.
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
    return others_see([&](int fd) {
      return shown_number(fd, BoardNumber::reload, author) == number &&
             shown_text(fd, BoardText::refusal, author) == text;
    });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(an_empty_board_shows_nothing, Board) {
  BOOST_TEST(others_see([&](int fd) {
    return !shown_number(fd, BoardNumber::reload, author) &&
           shown_text(fd, BoardText::refusal, author).empty();
  }));
}

BOOST_FIXTURE_TEST_CASE(number_and_text_are_read_by_others, Board) {
  BOOST_TEST(show_text(file.get(), BoardText::refusal, "first") == 0);
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, 0) == 0);
  BOOST_TEST(others_read(0, "first"));
  const std::uint64_t largest = (std::uint64_t{1} << 56) - 1;
  for (const std::uint64_t number :
       {std::uint64_t{1}, std::uint64_t{2}, largest - 1, largest, std::uint64_t{5}}) {
    BOOST_TEST(show_number(file.get(), BoardNumber::reload, number) == 0);  // also adjacent and smaller
    BOOST_TEST(others_read(number, "first"));
  }
  struct stat found {};
  BOOST_REQUIRE(::fstat(file.get(), &found) == 0);
  BOOST_TEST(found.st_size == 0);
}

BOOST_FIXTURE_TEST_CASE(a_text_of_any_length_and_any_bytes, Board) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  all.resize(longest(BoardText::refusal), '\xff');
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, 1) == 0);
  BOOST_TEST(show_text(file.get(), BoardText::status, std::string(longest(BoardText::status), 's')) == 0);
  for (std::size_t size = 0; size <= all.size(); size += size < 20 ? 1 : 47) {
    BOOST_TEST(show_text(file.get(), BoardText::refusal, all.substr(0, size)) == 0);
    BOOST_TEST(others_read(1, all.substr(0, size)));
  }
  const std::string long_text(longest(BoardText::refusal) + 1, '\xff');
  BOOST_TEST(show_text(file.get(), BoardText::refusal, long_text) == 0);
  BOOST_TEST(others_read(1, long_text.substr(1)));
  BOOST_TEST(others_see([this](int fd) {
    return shown_text(fd, BoardText::status, author) == std::string(longest(BoardText::status), 's');
  }));
  BOOST_TEST(show_text(file.get(), BoardText::refusal, std::string("a\0b", 3)) == 0);
  BOOST_TEST(others_read(1, "a"));
}

// The last number of one place and the first of the next are neighbours: the kernel makes them one lock.
BOOST_FIXTURE_TEST_CASE(numbers_in_neighbouring_places_stay_two, Board) {
  const std::uint64_t largest = (std::uint64_t{1} << 57) - 1;
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, largest) == 0);
  BOOST_TEST(show_number(file.get(), BoardNumber::worker_number, 0) == 0);
  BOOST_TEST(others_see([&](int fd) {
    return shown_number(fd, BoardNumber::reload, author) == largest &&
           shown_number(fd, BoardNumber::worker_number, author) == 0U;
  }));
}

// One lock over all places, as only a forger sets it.
BOOST_FIXTURE_TEST_CASE(a_forged_text_is_no_longer_than_the_longest, Board) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  BOOST_TEST(::fcntl(file.get(), F_SETLK, &lock) == 0);
  BOOST_TEST(others_see([&](int fd) {
    return shown_text(fd, BoardText::refusal, author).size() <= longest(BoardText::refusal) &&
           shown_text(fd, BoardText::status, author).size() <= longest(BoardText::status);
  }));
}

BOOST_FIXTURE_TEST_CASE(only_the_authors_number_counts_and_only_while_he_lives, Board) {
  const pid_t forger = ::fork();
  if (forger == 0) {
    const int own = ::open(scene.path("file").c_str(), O_RDWR | O_CLOEXEC);
    show_number(own, BoardNumber::reload, 1);
    scene::write_file(scene.path("forged"), "");
    for (;;) ::pause();
  }
  BOOST_TEST(scene::eventually([&] { return scene::exists(scene.path("forged")); }));
  BOOST_TEST(!shown_number(file.get(), BoardNumber::reload, author));
  BOOST_TEST((shown_number(file.get(), BoardNumber::reload, forger) == 1U));
  ::kill(forger, SIGKILL);
  scene::await_end(forger);
  BOOST_TEST(!shown_number(file.get(), BoardNumber::reload, forger));
}

BOOST_FIXTURE_TEST_CASE(the_board_leaves_the_pidfiles_own_locks_alone, Board) {
  BOOST_TEST(lock_exclusion(file.get()) == 0);
  BOOST_TEST(lock_identity(file.get()) == 0);
  BOOST_TEST(lock_readiness(file.get()) == 0);
  BOOST_TEST(show_text(file.get(), BoardText::refusal, "text") == 0);
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, 3) == 0);
  BOOST_TEST(show_text(file.get(), BoardText::refusal, "") == 0);
  BOOST_TEST(others_see([&](int fd) { return identity_holder(fd).pid == author && is_marked_ready(fd); }));
  BOOST_TEST(others_read(3, ""));
}

BOOST_FIXTURE_TEST_CASE(a_strangers_lock_hides_nothing, Board) {
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    const int own = ::open(scene.path("file").c_str(), O_RDWR | O_CLOEXEC);
    show_number(own, BoardNumber::reload, 5);
    scene::write_file(scene.path("there"), "");
    for (;;) ::pause();
  }
  BOOST_TEST(scene::eventually([&] { return scene::exists(scene.path("there")); }));
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, 9) == 0);
  BOOST_TEST(others_see([&](int fd) { return shown_number(fd, BoardNumber::reload, author) == 9U; }));
  // The stranger's lock is in the way, but the author still shows a number.
  BOOST_TEST(show_number(file.get(), BoardNumber::reload, 5) != 0);
  BOOST_TEST(others_see([&](int fd) { return shown_number(fd, BoardNumber::reload, author).has_value(); }));
}

BOOST_FIXTURE_TEST_CASE(a_reload_notice_travels_whole, Board) {
  bool settled = false;
  BOOST_TEST(others_see([&](int fd) { return !daemonctx::read_reload_notice(fd, author, settled); }));
  for (const ReloadNotice& notice : {ReloadNotice{0, false, false, ""}, ReloadNotice{0, true, false, ""},
                                     ReloadNotice{1, false, true, "no"}, ReloadNotice{1, true, true, "no"},
                                     ReloadNotice{70000, false, false, ""}}) {
    BOOST_TEST(show_outcome(file.get(), notice) == 0);
    BOOST_TEST(others_see([&](int fd) {
      const auto read = daemonctx::read_reload_notice(fd, author, settled);
      return read && settled && read->finished == notice.finished && read->running == notice.running &&
             read->refused == notice.refused && read->text == notice.text;
    }));
  }
}

BOOST_FIXTURE_TEST_CASE(a_refusal_that_is_too_long_is_cut_between_characters, Board) {
  std::string long_text;
  while (long_text.size() <= longest(BoardText::refusal)) long_text += "\u00e4";
  BOOST_TEST(show_outcome(file.get(), {1, false, true, long_text}) == 0);
  BOOST_TEST(others_see([&](int fd) {
    bool settled = false;
    const std::string text = daemonctx::read_reload_notice(fd, author, settled)->text;
    const std::string kept = text.substr(0, text.size() - 3);
    return settled && text.size() > 238 && text.substr(kept.size()) == "..." && kept.size() % 2 == 0 &&
           long_text.rfind(kept, 0) == 0;
  }));
}

// A reader must never see a text under the number of another text.
BOOST_FIXTURE_TEST_CASE(no_text_is_read_torn, Board) {
  const int rounds = scene::rounds(std::stoi(scene::argument(2))) * 5;
  const pid_t reader = ::fork();
  if (reader == 0) {
    const int own = ::open(scene.path("file").c_str(), O_RDONLY | O_CLOEXEC);
    const auto last = static_cast<std::uint64_t>(rounds);
    for (std::uint64_t seen = 0; seen < last;) {
      bool settled = false;
      const auto notice = daemonctx::read_reload_notice(own, author, settled);
      if (!notice || !settled) continue;
      seen = notice->finished;
      if (notice->text != std::string(50 + seen % 50, static_cast<char>('a' + seen % 20))) ::_exit(1);
    }
    ::_exit(0);
  }
  for (std::uint64_t n = 1; n <= static_cast<std::uint64_t>(rounds); ++n) {
    ReloadNotice notice{n, false, true, std::string(50 + n % 50, static_cast<char>('a' + n % 20))};
    BOOST_REQUIRE(show_outcome(file.get(), notice) == 0);
    notice.running = true;
    BOOST_REQUIRE(show_progress(file.get(), notice) == 0);
  }
  BOOST_TEST(scene::await_end(reader).exited(0));
}
