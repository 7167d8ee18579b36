// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE resources
#include "context/resources.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <thread>
#include <vector>

#include "pidfile/locks.hpp"
#include "posix/progress_ticker.hpp"
#include "posix/unique_fd.hpp"
#include "scene.hpp"

using daemonctx::Resources;

namespace {

const daemonctx::Plan plan{.options = {.files_preserve = {70, 50}},
                           .launch = {daemonctx::LaunchMode::detached, "of a test"}};

struct Stage {
  scene::Scene scene;
  std::string path = scene.path("pid");
  daemonctx::Ticker ticker;
  Resources resources;
  Stage() { resources.pidfile = daemonctx::Pidfile::lock(path, 0600, {}, ticker); }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_a_daemon_keeps_is_sorted_and_has_what_each_part_needs, Stage) {
  resources.listen_descriptors = {{"web", 60}};
  resources.notify_descriptor = 40;
  const auto kept = resources.kept_descriptors(plan, 30);
  BOOST_TEST(std::is_sorted(kept.begin(), kept.end()));
  for (const int fd : {30, 40, 50, 60, 70, resources.pidfile.fd()}) {
    BOOST_TEST(std::binary_search(kept.begin(), kept.end(), fd), fd);
  }
}

BOOST_FIXTURE_TEST_CASE(the_pidfile_is_removed_once_whoever_does_it, Stage) {
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) threads.emplace_back([&] { resources.remove_pidfile(); });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(!scene::exists(path));
  BOOST_TEST(resources.pidfile.fd() == -1);
}

BOOST_FIXTURE_TEST_CASE(a_reload_is_shown_as_it_is_when_its_turn_comes, Stage) {
  BOOST_REQUIRE(resources.pidfile.claim() == 0);
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> finished = 0;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        ++finished;
        resources.show_reload(daemonctx::show_progress,
                              [&] { return daemonctx::ReloadNotice{.finished = finished}; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  bool settled = false;
  // Locks of this process do not show to itself.
  const pid_t reader = ::fork();
  if (reader == 0) {
    const daemonctx::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto notice = daemonctx::read_reload_notice(file.get(), ::getppid(), settled);
    ::_exit(notice && notice->finished == 200 ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(reader).exited(0));
}

BOOST_AUTO_TEST_CASE(who_is_no_worker_needs_no_tie) { BOOST_TEST(Resources().tie_to_monitor() == 0); }
