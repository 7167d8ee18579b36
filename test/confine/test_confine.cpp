// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE confine

// Capabilities, Landlock and system call filters. Without root the test exits with 77: skipped. Command line:
// the probe, a probe that needs no library of ours, then what the library was built with (libcap, landlock,
// libseccomp).

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "stage.hpp"

using scene::NeedsRoot;

namespace {

bool has(const std::string& library) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return std::any_of(suite.argv + 1, suite.argv + suite.argc,
                     [&](const char* word) { return word == library; });
}

boost::unit_test::assertion_result with_capabilities(boost::unit_test::test_unit_id) {
  return boost::unit_test::assertion_result(has("libcap"));
}
boost::unit_test::assertion_result with_landlock(boost::unit_test::test_unit_id) {
  const bool in_kernel =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0UL, LANDLOCK_CREATE_RULESET_VERSION) > 0;
  if (has("landlock") && !in_kernel) BOOST_TEST_MESSAGE("skipped: this kernel has no Landlock");
  return boost::unit_test::assertion_result(has("landlock") && in_kernel);
}
boost::unit_test::assertion_result with_seccomp(boost::unit_test::test_unit_id) {
  return boost::unit_test::assertion_result(has("libseccomp"));
}

struct Stage : scene::Stage {
  std::string folder = scene.path("folder");
  pid_t daemon = 0;

  Stage() { ::mkdir(folder.c_str(), 0777); }

  // Without the leak check, which would do what the restrictions forbid.
  scene::Result run(scene::Words words, const scene::Surroundings& surroundings = {}) const {
    return scene::Stage::run(std::move(words), [&] {
      scene::forgo_leak_check();
      if (surroundings) surroundings();
    });
  }

  // The daemon carries out `words` before it waits.
  void start(scene::Words words, const scene::Surroundings& surroundings = {}) {
    words.insert(words.begin(), "pidfile=" + pidfile);
    words.emplace_back("wait");
    const auto result = run(std::move(words), surroundings);
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    daemon = scene::pid_in(pidfile);
  }
  void stop() { scene::Stage::stop(daemon); }
  std::string field(const std::string& name) const { return scene::status_field(daemon, name); }

  void refuses(scene::Words words, const std::string& line,
               const scene::Surroundings& surroundings = {}) const {
    words.insert(words.begin(), "pidfile=" + pidfile);
    scene::Stage::refuses(std::move(words), line, surroundings);
  }
};

// For the program this is a kernel without these system calls.
void fail_with_enosys(std::array<unsigned, 2> calls) {
  std::array<sock_filter, 5> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[0], 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[1], 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(126);
}

// In a new network namespace port 80 is privileged, whatever this machine has set.
void enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0) ::_exit(126);
}

void become_nobody() {
  if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(126);
}

}  // namespace

namespace utf = boost::unit_test;

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(a_restriction_that_was_not_built_in_is_refused_by_name, Stage) {
  if (!has("libcap")) {
    refuses({"capabilities=CAP_CHOWN"},
            "cannot prepare the capabilities: daemonctx was built without libcap: Operation not supported");
  }
  if (!has("landlock")) {
    refuses(
        {"landlock=ro:/"},
        "cannot prepare the Landlock rules: daemonctx was built without Landlock: Operation not supported");
  }
  if (!has("libseccomp")) {
    refuses({"deny=ptrace"},
            "cannot prepare the system call filter: daemonctx was built without libseccomp: Operation not "
            "supported");
  }
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_SUITE(capabilities, *utf::precondition(with_capabilities))

BOOST_FIXTURE_TEST_CASE(the_user_nobody_binds_port_80_with_the_only_capability_that_is_kept, Stage) {
  start({"user=nobody", "capabilities=CAP_NET_BIND_SERVICE", "bind:80"}, enter_own_network);
  scene.expect("bind: done");
  for (const char* set : {"CapPrm", "CapEff", "CapBnd"}) BOOST_TEST(field(set) == "0000000000000400", set);
  for (const char* set : {"CapInh", "CapAmb"}) BOOST_TEST(field(set) == "0000000000000000", set);
  BOOST_TEST(field("Uid") == "65534\t65534\t65534\t65534");
  stop();
  ::unlink(pidfile.c_str());
  start({"user=nobody", "bind:80"}, enter_own_network);
  scene.expect("bind: Permission denied");
  BOOST_TEST(field("CapEff") == "0000000000000000");
  stop();
}

BOOST_FIXTURE_TEST_CASE(root_without_capabilities_may_not_bind_port_80, Stage) {
  start({"capabilities=", "bind:80"}, enter_own_network);
  scene.expect("bind: Permission denied");
  for (const char* set : {"CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"}) {
    BOOST_TEST(field(set) == "0000000000000000", set);
  }
  BOOST_TEST(field("Uid") == "0\t0\t0\t0");
  stop();
}

BOOST_FIXTURE_TEST_CASE(capabilities_are_dropped_in_the_foreground_too, Stage) {
  auto service = scene.start_probe({"daemon", "detach=never", "pidfile=" + pidfile, "user=nobody",
                                    "capabilities=cap_chown", "say:works", "wait"});
  scene.expect("works");
  daemon = service.pid();
  BOOST_TEST(field("CapEff") == "0000000000000001");
  BOOST_TEST(field("CapBnd") == "0000000000000001");
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_capability_that_leads_back_to_root_is_refused, Stage) {
  for (const std::string way : {"CAP_SETUID", "CAP_SETGID"}) {
    refuses({"user=nobody", "capabilities=" + way},
            "cannot prepare the capabilities: " + way + " would be the way back to root");
  }
  refuses({"capabilities=CAP_NONSENSE"},
          "cannot prepare the capabilities: there is no capability \"CAP_NONSENSE\"");
  const std::string own = scene.path("own");
  BOOST_REQUIRE((::mkdir(own.c_str(), 0755) == 0 && ::chown(own.c_str(), scene::nobody, scene::nobody) == 0));
  pidfile = own + "/pid";
  refuses({"capabilities=CAP_CHOWN"},
          "cannot prepare the capabilities: this process does not have CAP_CHOWN: Operation not permitted",
          become_nobody);
}

BOOST_FIXTURE_TEST_CASE(a_set_uid_program_can_not_keep_a_way_back_to_root_either, Stage) {
  use_probe_of_its_own();
  BOOST_REQUIRE(::chown(program.c_str(), 0, 0) == 0);
  BOOST_REQUIRE(::chmod(program.c_str(), 04755) == 0);
  for (const std::string detach : {"always", "never"}) {
    refuses({"detach=" + detach, "capabilities=CAP_SETUID"},
            "cannot prepare the capabilities: CAP_SETUID would be the way back to root", become_nobody);
  }
}

BOOST_FIXTURE_TEST_CASE(a_fixed_bounding_set_is_an_error_for_root_and_gains_another_user_nothing, Stage) {
  refuses({"capabilities=CAP_CHOWN"}, "cannot apply the capabilities: Operation not permitted", [] {
    if (::prctl(PR_CAPBSET_DROP, CAP_SETPCAP) != 0) ::_exit(126);
  });
  pidfile = folder + "/pid";
  ::chmod(folder.c_str(), 0777);
  start({"capabilities="}, become_nobody);
  BOOST_TEST(field("NoNewPrivs") == "1");
  stop();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(landlock, *utf::precondition(with_landlock))

BOOST_FIXTURE_TEST_CASE(a_path_that_no_rule_names_can_not_be_opened, Stage) {
  scene::write_file(folder + "/old", "text");
  const std::string forbidden = scene.path("forbidden");
  scene::write_file(forbidden, "secret");
  start({"landlock=ro:/usr,ro:/lib,ro:/lib64,ro:/bin,rw:" + folder + ",rw:" + scene.path("channel"),
         "out=" + scene.path("log"), "read:/usr/bin/env", "create:/usr/planted", "execute:/bin/true",
         "read:" + folder + "/old", "create:" + folder + "/new", "create:" + folder + "/old",
         "read:" + forbidden, "create:" + forbidden, "create:" + scene.path("other"), "read:/etc/passwd",
         "print:still logged"});
  for (const char* outcome :
       {"read: done", "create: Permission denied", "execute: done", "read: done", "create: done",
        "create: done", "read: Permission denied", "create: Permission denied", "create: Permission denied",
        "read: Permission denied"}) {
    scene.expect(outcome);
  }
  BOOST_TEST(field("NoNewPrivs") == "1");
  stop();
  BOOST_TEST(scene::contents(scene.path("log")) == "still logged\n");
  BOOST_TEST(scene::exists(pidfile));
  BOOST_TEST(scene::contents(pidfile) == "");  // no rule lets the daemon write the pidfile's directory
  BOOST_TEST(!scene::exists("/usr/planted"));
}

BOOST_FIXTURE_TEST_CASE(a_file_that_may_be_written_can_not_be_executed, Stage) {
  scene::copy_file("/bin/true", folder + "/tool");
  ::chmod((folder + "/tool").c_str(), 0755);
  pidfile = folder + "/pid";
  start({"landlock=ro:/usr,ro:/lib,ro:/lib64,rw:" + folder + ",rw:" + scene.path("channel"),
         "execute:" + folder + "/tool"});
  scene.expect("execute: Permission denied");
  stop();
  BOOST_TEST(!scene::exists(pidfile));  // a rule lets the daemon write the pidfile's directory
}

BOOST_FIXTURE_TEST_CASE(rules_name_paths_as_the_daemon_sees_them, Stage) {
  const std::string root = scene.path("root");
  boost::filesystem::create_directories(root + scene.folder().string());
  boost::filesystem::create_directories(root + "/data");
  boost::filesystem::create_directories(root + "/etc");
  BOOST_REQUIRE(::symlink("/data", (root + "/link").c_str()) == 0);
  BOOST_REQUIRE(::link(scene.path("channel").c_str(), (root + scene.path("channel")).c_str()) == 0);
  start({"chroot=" + root, "user=nobody", "landlock=ro:link,rw:" + scene.path("channel"), "read:/data",
         "read:/etc"});
  scene.expect("read: done");
  scene.expect("read: Permission denied");
  stop();
}

BOOST_FIXTURE_TEST_CASE(a_link_that_the_daemons_user_could_have_left_is_refused, Stage) {
  BOOST_REQUIRE(::chown(folder.c_str(), scene::nobody, scene::nobody) == 0);
  boost::filesystem::create_symlink("/", folder + "/cache");
  BOOST_REQUIRE(::lchown((folder + "/cache").c_str(), scene::nobody, scene::nobody) == 0);
  refuses({"landlock=rw:" + folder + "/cache"},
          "cannot prepare the Landlock rules: \"" + folder + "/cache\": Too many levels of symbolic links");
}

BOOST_FIXTURE_TEST_CASE(a_rule_for_a_missing_path_is_refused, Stage) {
  refuses({"landlock=ro:"}, "cannot prepare the Landlock rules: a path is empty");
  refuses({"landlock=ro:/none"}, "cannot prepare the Landlock rules: \"/none\": No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(a_kernel_without_landlock_is_an_error_unless_best_effort_is_set, Stage) {
  const auto old_kernel = [] {
    fail_with_enosys({SYS_landlock_create_ruleset, SYS_landlock_create_ruleset});
  };
  refuses(
      {"landlock=ro:/"},
      "cannot prepare the Landlock rules: this kernel has no Landlock, or it is switched off: Function not "
      "implemented",
      old_kernel);
  start({"landlock=ro:/usr,best", "read:/etc/passwd"}, old_kernel);
  scene.expect("read: done");
  stop();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(system_calls, *utf::precondition(with_seccomp))

BOOST_FIXTURE_TEST_CASE(the_library_works_with_only_the_basic_system_calls, Stage) {
  // openat is allowed because the probe opens its channel for each report.
  start({"out=" + scene.path("log"), "err=" + scene.path("log"), "delivery=thread", "cleanup_timeout=60000",
         "allow=openat", "signal=10:count", "cleanup:done", "print:logged", "on_reload:said", "bind:80",
         "execute:/bin/true"});
  scene.expect("bind: Operation not permitted");
  scene.expect("fork: Operation not permitted");
  BOOST_TEST(field("Seccomp") == "2");
  BOOST_TEST(field("NoNewPrivs") == "1");
  ::kill(daemon, SIGHUP);
  scene.expect("reloaded");
  ::kill(daemon, SIGUSR1);
  BOOST_TEST(scene.next().rfind("signal 10", 0) == 0U);
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(scene::contents(scene.path("log")) == "logged\n");
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_forbidden_system_call_fails_or_kills, Stage) {
  start({"deny=execve,execveat", "execute:/bin/true", "read:/etc/passwd"});
  scene.expect("execute: Operation not permitted");
  scene.expect("read: done");
  stop();
  start({"readiness=notified", "deny=bind,kill", "ready", "say:binds", "wait_for:100", "bind:80"});
  scene.expect("binds");
  scene.expect("no stop");
  BOOST_TEST(scene::await_end(daemon).killed_by(SIGSYS));
}

BOOST_FIXTURE_TEST_CASE(a_daemon_that_does_nothing_forbidden_is_not_killed, Stage) {
  const auto result =
      run({"pidfile=" + pidfile, "out=/dev/null", "allow=kill", "print:to a device", "wait_quietly"});
  BOOST_TEST(result.end.exited(0));
  daemon = scene::pid_in(pidfile);
  ::kill(daemon, SIGTERM);
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_wrong_list_is_refused, Stage) {
  const std::string filter = "cannot prepare the system call filter: ";
  refuses({"deny=nonsense"}, filter + "there is no system call \"nonsense\"");
  refuses({"allow=nonsense"}, filter + "there is no system call \"nonsense\"");
  refuses({"allow_and_deny=read"}, filter + "system calls are either allowed or denied");
  refuses({"deny=read", "capabilities="}, filter + "it must be the last restriction");
}

BOOST_FIXTURE_TEST_CASE(a_kernel_without_filters_is_an_error_unless_best_effort_is_set, Stage) {
  const auto old_kernel = [] { fail_with_enosys({SYS_seccomp, SYS_seccomp}); };
  refuses({"deny=execve"},
          "cannot prepare the system call filter: this kernel has no system call filters: Function not "
          "implemented",
          old_kernel);
  start({"deny=execve,best", "execute:/bin/true"}, old_kernel);
  scene.expect("execute: done");
  stop();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_CASE(restrictions_are_refused_while_a_second_thread_runs, Stage) {
  const std::string rest =
      " threads run, and restrictions hold for one (start them after the context was constructed)";
  for (const std::string allowed : {"yes", "no"}) {
    scene::Words words = {"thread", "daemon", "detach=never", "no_new_privileges=yes"};
    if (allowed == "yes") words.emplace_back("allow_threads=yes");
    const auto result = scene.run_probe(words);
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err.find("cannot restrict the process: 2" + rest) != std::string::npos, result.err);
  }
  refuses({"before_drop=thread", "no_new_privileges=yes"},
          "cannot restrict the daemon: before_drop started a thread, and restrictions hold for one");
}

BOOST_FIXTURE_TEST_CASE(all_restrictions_hold_in_the_foreground_too, Stage,
                        *utf::precondition(with_capabilities) * utf::precondition(with_landlock) *
                            utf::precondition(with_seccomp)) {
  auto service =
      scene.start_probe({"daemon", "detach=never", "pidfile=" + pidfile, "user=nobody",
                         "no_new_privileges=yes", "landlock=ro:/usr,rw:" + scene.path("channel"),
                         "deny=fork,clone,clone3", "read:/etc/passwd", "execute:/bin/true", "wait"},
                        scene::forgo_leak_check);
  scene.expect("read: Permission denied");
  scene.expect("fork: Operation not permitted");
  daemon = service.pid();
  BOOST_TEST(field("NoNewPrivs") == "1");
  BOOST_TEST(field("Seccomp") == "2");
  BOOST_TEST(field("Uid") == "65534\t65534\t65534\t65534");
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(service.finish().end.exited(0));
}

// The process may still hold root's data in its memory, which the new user must not read.
BOOST_FIXTURE_TEST_CASE(a_failure_after_the_change_of_user_leaves_the_process_closed_to_the_user, Stage,
                        *utf::precondition(with_landlock)) {
  scene.run_probe({"daemon", "detach=never", "user=nobody", "landlock=ro:/", "report_failure=yes"}, [] {
    scene::forgo_leak_check();
    fail_with_enosys({SYS_landlock_restrict_self, SYS_landlock_restrict_self});
  });
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "65534\t65534\t65534\t65534");
  BOOST_TEST(facts.at("dumpable") != "1");
}

BOOST_FIXTURE_TEST_CASE(each_worker_is_confined_anew_and_the_monitor_is_not, Stage,
                        *utf::precondition(with_capabilities) * utf::precondition(with_landlock) *
                            utf::precondition(with_seccomp)) {
  start({"user=nobody", "err=" + scene.path("log"), "respawn=first:1", "capabilities=CAP_CHOWN",
         "landlock=ro:/usr,ro:/proc,rw:" + scene.path("channel"), "deny=ptrace,execve", "facts",
         "read:/etc/passwd", "execute:/bin/true", "until:2,raise:9"});
  for (int worker = 1; worker <= 2; ++worker) {
    const auto facts = scene.facts();
    scene.expect("read: Permission denied");
    scene.expect("execute: Operation not permitted");
    if (worker == 1) continue;
    const pid_t pid = std::stoi(facts.at("pid"));
    BOOST_TEST(scene::status_field(pid, "Uid") == "65534\t65534\t65534\t65534");
    BOOST_TEST(scene::status_field(pid, "Groups") == "65534 ");
    BOOST_TEST(scene::status_field(pid, "CapEff") == "0000000000000001");
    BOOST_TEST(scene::status_field(pid, "CapBnd") == "0000000000000001");
    BOOST_TEST(scene::status_field(pid, "Seccomp") == "2");
  }
  BOOST_TEST(field("Uid") == "0\t0\t0\t0");
  BOOST_TEST(field("Seccomp") == "0");
  stop();
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(all_restrictions_together_confine_a_service, Stage,
                        *utf::precondition(with_capabilities) * utf::precondition(with_landlock) *
                            utf::precondition(with_seccomp)) {
  start({"user=nobody", "mkdir=" + scene.path("run"), "capabilities=CAP_NET_BIND_SERVICE",
         "landlock=rw:" + scene.path("run") + ",rw:" + scene.path("channel"), "allow=openat,socket,bind",
         "bind:80", "create:" + scene.path("run/state"), "read:/etc/passwd", "execute:/bin/true"},
        enter_own_network);
  for (const char* outcome :
       {"bind: done", "create: done", "read: Permission denied", "fork: Operation not permitted"}) {
    scene.expect(outcome);
  }
  stop();
}
