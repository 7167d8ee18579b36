// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE stacks

// What the log shows of a worker that crashed or hangs.

#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <sstream>

#include "scene.hpp"

using scene::Scene;
using scene::Words;

namespace {

/// The lines that the monitor wrote about the first worker, without the name of the program.
struct Report {
  std::string all;
  std::vector<std::string> lines;

  explicit Report(const Words& words, const std::string& program = scene::probe()) {
    Words command = {program};
    command.insert(command.end(), words.begin(), words.end());
    const auto result = Scene::run(command);
    BOOST_TEST(result.end.exited(0));
    all = result.err;
    std::istringstream text(all);
    for (std::string line; std::getline(text, line);) lines.push_back(line);
  }

  /// The place of the first line from `from` on that holds the text; the number of lines if there is none.
  std::size_t find(const std::string& text, std::size_t from = 0) const {
    for (; from < lines.size(); ++from) {
      if (lines[from].find(text) != std::string::npos) break;
    }
    return from;
  }
  bool has(const std::string& text) const { return find(text) < lines.size(); }

  /// Whether there are frames of these functions, in this order, the innermost first.
  void shows(const std::string& how, const Words& functions) const {
    BOOST_TEST(has(how), all);
    std::size_t at = find(": #0 ");
    for (const std::string& function : functions) {
      at = find(' ' + function, at);
      BOOST_TEST(at < lines.size(), function + " is missing in\n" + all);
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(each_kind_of_crash_shows_where_it_happened) {
  const std::vector<std::tuple<std::string, std::string, std::string>> kinds = {
      {"null", "SIGSEGV at address 0x10", "crash_by_null() + 0x"},
      {"abort", "SIGABRT", "crash_by_abort() + 0x"},
      {"exception", "SIGABRT", "crash_by_exception()"},
      {"illegal", "SIGILL", "crash_by_illegal_instruction() + 0x"},
      {"division", "SIGFPE", "crash_by_division() + 0x"},
      {"bus", "SIGBUS at address 0x", "crash_by_bus_error() + 0x"},
      {"trap", "SIGTRAP", "crash_by_trap() + 0x"},
      {"smashed", "SIGABRT", "crash_by_smashed_stack() + 0x"},
      {"pure_virtual", "SIGABRT", "crash_by_pure_virtual() + 0x"},
      {"free", "SIGABRT", "crash_in_free() + 0x"},
  };
  for (const auto& [kind, how, function] : kinds)
    Report({kind}).shows(how, {function, "run_service(", "main + 0x"});
}

BOOST_AUTO_TEST_CASE(an_uncaught_exception_is_named) {
  const Report report({"exception"});
  BOOST_TEST(report.find("uncaught exception: no more paper") < report.find("was killed by"), report.all);
}

BOOST_AUTO_TEST_CASE(a_stack_overflow_shows_the_recursion) {
  Report({"overflow"}).shows("SIGSEGV at address 0x", {"exhaust_stack(int) + 0x", "exhaust_stack(int) + 0x"});
}

BOOST_AUTO_TEST_CASE(a_crash_in_a_thread_shows_that_thread) {
  const Report report({"thread"});
  report.shows("SIGSEGV at address 0x10", {"crash_by_null() + 0x"});
  BOOST_TEST(report.has(": thread "), report.all);
  BOOST_TEST(!report.has("crash_in_thread() + 0x"), report.all);  // that is another thread's stack
}

BOOST_AUTO_TEST_CASE(modules_are_named_with_their_build_id) {
  const Report report({"null"});
  const std::string program = scene::probe();
  BOOST_TEST(report.has('(' + program + " + 0x"), report.all);
  BOOST_TEST(report.has(program + " has the build-id "), report.all);
}

BOOST_AUTO_TEST_CASE(a_hang_shows_every_thread_and_names_the_silent_ones) {
  const Report report({"hang"});
  BOOST_TEST(report.has("which said nothing for 300 ms"), report.all);
  report.shows("hung, and was killed by SIGABRT", {"hang_in_main() + 0x"});
  BOOST_TEST(report.has("\"pool\":"), report.all);
  BOOST_TEST(report.has("wait_in_pool() + 0x"), report.all);
  BOOST_TEST(report.has("\"deaf\" did not answer"), report.all);
}

BOOST_AUTO_TEST_CASE(another_user_and_another_root_directory_are_no_hindrance) {
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("skipped: needs root");
    return;
  }
  Scene scene;
  ::chmod(scene.folder().c_str(), 0755);
  const Words functions = {"crash_by_null() + 0x", "run_service(", "main + 0x"};
  Report({"null", "user=nobody"}).shows("SIGSEGV at address 0x10", functions);
  Report({"null", "user=nobody", "chroot=" + scene.folder().string()})
      .shows("SIGSEGV at address 0x10", functions);
}

BOOST_AUTO_TEST_CASE(a_static_program_shows_its_stacks_too) {
  const std::string program = scene::argument(2);
  if (program.empty()) {
    BOOST_TEST_MESSAGE("skipped: there is no static libdw");
    return;
  }
  Report({"null"}, program)
      .shows("SIGSEGV at address 0x10", {"crash_by_null() + 0x", "run_service(", "main + 0x"});
  Report({"free"}, program).shows("SIGABRT", {"crash_in_free() + 0x", "main + 0x"});
  BOOST_TEST(Report({"hang"}, program).has("wait_in_pool() + 0x"));
}
