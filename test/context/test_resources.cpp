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

BOOST_FIXTURE_TEST_CASE(the_kept_descriptors_are_sorted_and_include_those_of_each_part, Stage) {
  resources.listen_descriptors = {{"web", 60}};
  resources.notify_descriptor = 40;
  const auto kept = resources.kept_descriptors(plan, 30);
  BOOST_TEST(std::is_sorted(kept.begin(), kept.end()));
  for (const int fd : {30, 40, 50, 60, 70, resources.pidfile.fd()}) {
    BOOST_TEST(std::binary_search(kept.begin(), kept.end(), fd), fd);
  }
}

BOOST_FIXTURE_TEST_CASE(the_pidfile_is_removed_once_whichever_thread_does_it, Stage) {
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) threads.emplace_back([&] { resources.remove_pidfile(); });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(!scene::exists(path));
  BOOST_TEST(resources.pidfile.fd() == -1);
}

BOOST_FIXTURE_TEST_CASE(the_last_shown_reload_is_the_latest, Stage) {
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
  // A process does not see its own locks, so a child reads them.
  const pid_t reader = ::fork();
  if (reader == 0) {
    const daemonctx::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const auto notice = daemonctx::read_reload_notice(file.get(), ::getppid(), settled);
    ::_exit(notice && notice->finished == 200 ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(reader).exited(0));
}

BOOST_AUTO_TEST_CASE(only_a_worker_is_tied_to_a_monitor) { BOOST_TEST(Resources().tie_to_monitor() == 0); }
