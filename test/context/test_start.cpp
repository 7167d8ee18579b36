// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE start
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <daemonctx/error.hpp>

#include "stage.hpp"

using daemonctx::Step;
using scene::Scene;

namespace {

void stop(const scene::Facts& daemon) { ::kill(std::stoi(daemon.at("pid")), SIGTERM); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* core_pattern = "/proc/sys/kernel/core_pattern";

// A start that must fail, and the checks that every failed start must pass.
struct Refusal {
  Scene& scene;
  scene::Result result;
  std::string pidfile = scene.path("pid");

  explicit Refusal(Scene& the_scene, scene::Words words, const std::function<void()>& surroundings = {})
      : scene(the_scene), result(the_scene.run_probe(std::move(words), surroundings)) {
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(scene::children().empty());  // no daemon and no intermediate
  }

  void says(Step step, int code, const std::string& text) const {
    const std::string start =
        "step " + std::to_string(static_cast<int>(step)) + " code " + std::to_string(code) + ' ';
    BOOST_TEST(contains(result.err, start), result.err << " lacks: " << start);
    BOOST_TEST(contains(result.err, text + '\n'), result.err << " lacks: " << text);
  }

  void leaves_no_pidfile() const { BOOST_TEST(!scene::exists(pidfile)); }
};

// Whether the kernel finds a handler of cores in the scene's folder. In a chroot and in a container it does
// not: it looks in the root directory of the system's first process.
bool finds_handlers(const Scene& scene) {
  const bool finds = ::access(("/proc/1/root" + scene.folder().string()).c_str(), F_OK) == 0;
  if (!finds) BOOST_TEST_MESSAGE("skipped: a handler of cores, which must lie in the first root directory");
  return finds;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(a_daemon)

BOOST_AUTO_TEST_CASE(has_left_its_parent_and_leads_no_session) {
  Scene scene;
  const auto caller = scene.run_probe({"daemon", "facts", "wait"});
  BOOST_TEST(caller.end.exited(0));
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("mode") == "detached");
  BOOST_TEST(facts.at("context_pid") == facts.at("pid"));
  BOOST_TEST(facts.at("pid") != std::to_string(caller.pid));
  BOOST_TEST(facts.at("sid") != std::to_string(::getsid(0)));
  BOOST_TEST(facts.at("sid") != facts.at("pid"));
  BOOST_TEST(facts.at("pgid") == facts.at("sid"));
  BOOST_TEST(facts.at("threads") == "1");
  stop(facts);
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(0));
  BOOST_TEST(scene::children().empty());  // the intermediate was reaped
}

BOOST_AUTO_TEST_CASE(has_no_controlling_terminal_and_gets_none) {
  Scene scene;
  int master = -1;
  int slave = -1;
  std::array<char, 128> name{};
  BOOST_REQUIRE(::openpty(&master, &slave, name.data(), nullptr, nullptr) == 0);
  scene.run_probe({"daemon", "facts", std::string("terminal:") + name.data(), "wait"});
  BOOST_TEST(scene.facts().at("terminal") == "none");
  scene.expect("opened, controlling terminal: none");
  ::close(slave);
  ::close(master);
}

BOOST_AUTO_TEST_CASE(survives_the_hang_up_of_its_terminal) {
  Scene scene;
  int master = -1;
  const pid_t leader = ::forkpty(&master, nullptr, nullptr, nullptr);
  if (leader == 0) {
    scene::begin_afresh();
    const std::string channel = scene.path("channel");
    const std::string program = scene::probe();
    ::execl(program.c_str(), program.c_str(), channel.c_str(), "daemon", "facts", "wait", nullptr);
    ::_exit(127);
  }
  const auto facts = scene.facts();
  // At the end of the session leader the terminal's foreground group gets SIGHUP.
  BOOST_TEST(scene::await_end(leader).exited(0));
  ::close(master);
  ::kill(std::stoi(facts.at("pid")), SIGTERM);
  scene.expect("stop");  // and not killed by SIGHUP
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(0));
}

BOOST_AUTO_TEST_CASE(works_in_its_directory_under_its_umask_without_core) {
  Scene scene;
  scene.run_probe({"umask:77", "daemon", "cwd=" + scene.folder().string(), "facts", "wait"});
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("cwd") == scene.folder().string());
  BOOST_TEST(facts.at("umask") == "22");
  BOOST_TEST(facts.at("core") == "1 1");
}

BOOST_AUTO_TEST_CASE(keeps_the_core_limit_on_request) {
  Scene scene;
  const auto limit = [] {
    const rlimit some{4096, 4096};
    ::setrlimit(RLIMIT_CORE, &some);
  };
  scene.run_probe({"daemon", "umask=27", "core=yes", "facts", "wait"}, limit);
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("core") == "4096 4096");
  BOOST_TEST(facts.at("umask") == "27");
  BOOST_TEST(facts.at("cwd") == "/");
}

BOOST_AUTO_TEST_CASE(resolves_relative_paths_where_it_was_started) {
  Scene scene;
  scene.run_probe(
      {"cd:" + scene.folder().string(), "daemon", "pidfile=pid", "out=log", "facts", "print:text", "wait"});
  const auto facts = scene.facts();
  BOOST_TEST(scene::pid_in(scene.path("pid")) == std::stoi(facts.at("pid")));
  BOOST_TEST(scene::eventually([&] { return scene::contents(scene.path("log")) == "text\n"; }));
}

BOOST_AUTO_TEST_CASE(inherits_no_descriptor_but_the_preserved) {
  Scene scene;
  scene.run_probe(
      {"open:20", "daemon", "preserve=10", "preserve=7", "pidfile=" + scene.path("pid"), "facts", "wait"});
  const std::string fds = scene.facts().at("fds");
  BOOST_TEST(contains(fds, "0:/dev/null 1:/dev/null 2:/dev/null "));
  BOOST_TEST(contains(fds, "7:/dev/zero "));
  BOOST_TEST(contains(fds, "10:/dev/zero "));
  BOOST_TEST(contains(fds, ":" + scene.path("pid") + " "));
  // Three standard streams, two preserved descriptors, the pidfile, and an eventfd for wake-ups, or the two
  // ends of a pipe. Nothing else.
  const int all = contains(fds, "[eventfd]") ? 7 : 8;
  BOOST_TEST(std::count(fds.begin(), fds.end(), ' ') == all, fds);
}

BOOST_AUTO_TEST_CASE(closes_descriptors_above_a_lowered_limit) {
  Scene scene;
  const auto surroundings = [] {
    ::fcntl(STDIN_FILENO, F_DUPFD, 900);
    const rlimit low{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &low);
  };
  scene.run_probe({"daemon", "facts", "wait"}, surroundings);
  BOOST_TEST(!contains(scene.facts().at("fds"), "900:"));
}

BOOST_AUTO_TEST_CASE(keeps_all_descriptors_on_request) {
  Scene scene;
  scene.run_probe({"open:20", "daemon", "close=no", "facts", "wait"});
  const std::string fds = scene.facts().at("fds");
  for (int fd = 3; fd < 23; ++fd) BOOST_TEST(contains(fds, std::to_string(fd) + ":/dev/zero "));
}

BOOST_AUTO_TEST_CASE(has_valid_standard_streams_although_they_were_closed) {
  Scene scene;
  scene.run_probe(
      {"close:0", "close:1", "close:2", "daemon", "pidfile=" + scene.path("pid"), "facts", "wait"});
  BOOST_TEST(contains(scene.facts().at("fds"), "0:/dev/null 1:/dev/null 2:/dev/null "));
}

BOOST_AUTO_TEST_CASE(starts_with_an_empty_mask_and_default_dispositions) {
  Scene scene;
  scene.run_probe({"block:15", "block:10", "block:34", "ignore:1", "ignore:13", "ignore:17", "ignore:40",
                   "daemon", "facts", "wait"});
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("blocked") == "0000000000000000");
  BOOST_TEST(facts.at("ignored") == "0000000000000000");
  BOOST_TEST(facts.at("caught").substr(8) == "00385a03",
             facts.at("caught"));  // HUP, INT, USR1, USR2, PIPE, TERM, TSTP, TTIN, TTOU
  stop(facts);
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(leaves_no_core_under_any_pattern) {
  if (::access(core_pattern, W_OK) != 0) {
    BOOST_TEST_MESSAGE("skipped: needs root to set core_pattern");
    return;
  }
  for (const bool prevented : {true, false}) {
    Scene scene;
    const std::string handler = scene.path("handler");
    scene::write_file(handler, "#!/bin/sh\ncat > " + scene.path("piped") + "\n");
    ::chmod(handler.c_str(), 0755);
    for (const std::string& pattern : {scene.path("core"), "|" + handler}) {
      const scene::Setting in_force(core_pattern, pattern);
      const auto unlimited = [] {
        const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_CORE, &none);
      };
      scene.run_probe({"daemon", std::string("core=") + (prevented ? "no" : "yes"), "facts", "raise:11"},
                      unlimited);
      BOOST_TEST(scene::await_end(std::stoi(scene.facts().at("pid"))).killed_by(SIGSEGV));
    }
    // Control: with core files allowed both patterns leave a core.
    BOOST_TEST(scene::exists(scene.path("core")) == !prevented);
    if (prevented || finds_handlers(scene)) BOOST_TEST(scene::exists(scene.path("piped")) == !prevented);
  }
}

BOOST_AUTO_TEST_CASE(prints_to_the_terminal_until_it_is_ready_and_to_its_log_afterwards) {
  Scene scene;
  const auto caller = scene.run_probe({"daemon", "out=" + scene.path("log"), "err=" + scene.path("log"),
                                       "readiness=notified", "print:early", "buffer:buffered", "ready",
                                       "print:late", "eprint:error", "facts", "wait"});
  BOOST_TEST(caller.end.exited(0));
  BOOST_TEST(caller.out == "early\nbuffered");
  scene.facts();
  BOOST_TEST(scene::contents(scene.path("log")) == "late\nerror\n");
}

BOOST_AUTO_TEST_CASE(returns_the_prompt_when_it_is_ready_and_not_before) {
  Scene scene;
  auto caller = scene.start_probe(
      {"daemon", "readiness=notified", "say:working", "wait_for:50", "say:still", "ready", "facts", "wait"});
  scene.expect("working");
  scene.expect("no stop");
  scene.expect("still");
  const auto result = caller.finish();  // all outputs are closed: $(program) returns
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(scene.facts().at("mode") == "detached");
}

BOOST_AUTO_TEST_CASE(prints_buffered_text_once_and_runs_no_exit_handler_of_the_caller) {
  Scene scene;
  const auto caller = scene.run_probe({"buffer:once", "atexit", "daemon", "facts", "_exit:0"});
  BOOST_TEST(caller.out == "once");
  scene.facts();
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_CASE(truncates_or_appends_to_its_log_with_the_mode_asked_for) {
  Scene scene;
  scene::write_file(scene.path("kept"), "old\n");
  scene::write_file(scene.path("emptied"), "old\n");
  scene.run_probe({"umask:77", "daemon", "out=" + scene.path("kept"), "err=new:" + scene.path("emptied"),
                   "print:new", "eprint:new", "facts", "wait"});
  scene.facts();
  BOOST_TEST(scene::contents(scene.path("kept")) == "old\nnew\n");
  BOOST_TEST(scene::contents(scene.path("emptied")) == "new\n");
  scene.run_probe(
      {"umask:77", "daemon", "out=" + scene.path("a"), "err=new:" + scene.path("b"), "facts", "wait"});
  scene.facts();
  struct stat file {};
  ::stat(scene.path("a").c_str(), &file);
  BOOST_TEST((file.st_mode & 07777) == 0640U);
  ::stat(scene.path("b").c_str(), &file);
  BOOST_TEST((file.st_mode & 07777) == 0600U);
}

BOOST_AUTO_TEST_CASE(redirects_to_descriptors_even_crosswise) {
  Scene scene;
  const auto caller =
      scene.run_probe({"daemon", "out=2", "err=1", "print:out", "eprint:err", "facts", "_exit:0"});
  scene.facts();
  BOOST_TEST(caller.out == "err\n");
  BOOST_TEST(caller.err == "out\n");
}

BOOST_AUTO_TEST_CASE(starts_although_children_are_ignored) {
  Scene scene;
  const auto caller = scene.run_probe({"ignore:17", "daemon", "facts", "wait"});
  BOOST_TEST(caller.end.exited(0));
  BOOST_TEST(scene.facts().at("mode") == "detached");
}

BOOST_AUTO_TEST_CASE(detaches_with_threads_on_request) {
  Scene scene;
  scene.run_probe({"thread", "daemon", "threads=allowed", "facts", "wait"});
  BOOST_TEST(scene.facts().at("threads") == "1");
}

BOOST_AUTO_TEST_CASE(runs_as_the_given_user_and_group) {
  if (::geteuid() != 0) return;
  Scene scene;
  ::chmod(scene.path("channel").c_str(), 0666);
  const auto caller = scene.run_probe(
      {"daemon", "pidfile=" + scene.path("pid"), "cwd=/tmp", "user=games", "group=daemon", "facts", "wait"});
  BOOST_TEST(caller.err == "");
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("uids") == "5\t5\t5\t5");
  BOOST_TEST(facts.at("gids") == "1\t1\t1\t1");
  BOOST_TEST(facts.at("groups") == "1 ");  // root's groups are gone
  BOOST_TEST(facts.at("home") == "/usr/games");
  BOOST_TEST(facts.at("user") == "games");
  BOOST_TEST(facts.at("logname") == "games");
  stop(facts);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(0));
  BOOST_TEST(scene::exists(scene.path("pid")));  // the new user may not write the folder
  BOOST_TEST(scene::contents(scene.path("pid")).empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(in_the_foreground)

BOOST_AUTO_TEST_CASE(the_service_stays_in_the_process_and_keeps_what_it_was_given) {
  Scene scene;
  auto caller =
      scene.start_probe({"open:3", "ignore:1", "daemon", "detach=never", "pidfile=" + scene.path("pid"),
                         "facts", "print:text", "wait", "cleanup:last"});
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("pid") == std::to_string(caller.pid()));
  BOOST_TEST(facts.at("mode") == "foreground");
  BOOST_TEST(contains(facts.at("fds"), "3:/dev/zero 4:/dev/zero 5:/dev/zero "));
  BOOST_TEST(facts.at("ignored").back() == '1');
  BOOST_TEST(scene::pid_in(scene.path("pid")) == caller.pid());
  ::kill(caller.pid(), SIGTERM);
  const auto result = caller.finish();
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.out == "text\n");
  scene.expect("stop");
  scene.expect("cleanup last");
  BOOST_TEST(!scene::exists(scene.path("pid")));
}

BOOST_AUTO_TEST_CASE(the_given_streams_are_redirected) {
  Scene scene;
  const auto caller = scene.run_probe({"daemon", "detach=never", "out=" + scene.path("log"), "print:text"});
  BOOST_TEST(caller.end.exited(0));
  BOOST_TEST(caller.out.empty());
  BOOST_TEST(scene::contents(scene.path("log")) == "text\n");
}

BOOST_AUTO_TEST_CASE(a_socket_as_standard_input_means_inetd) {
  Scene scene;
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_REQUIRE(::listen(socket, 1) == 0);
  const auto caller = scene.run_probe({"daemon", "facts"}, [&] { ::dup2(socket, STDIN_FILENO); });
  BOOST_TEST(caller.end.exited(0));
  BOOST_TEST(scene.facts().at("mode") == "inetd");
  ::close(socket);
}

// Some programs give the programs that they start a socketpair instead of a pipe.
BOOST_AUTO_TEST_CASE(one_end_of_a_socketpair_does_not_mean_inetd) {
  Scene scene;
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const auto caller = scene.run_probe({"daemon", "facts", "wait"}, [&] { ::dup2(ends[1], STDIN_FILENO); });
  BOOST_TEST(caller.end.exited(0));
  BOOST_TEST(scene.facts().at("mode") == "detached");
  ::close(ends[0]);
  ::close(ends[1]);
}

BOOST_AUTO_TEST_CASE(a_failure_leaves_the_process_as_it_was) {
  Scene scene;
  const auto surroundings = [&] {
    const rlimit some{4096, 4096};
    ::setrlimit(RLIMIT_CORE, &some);
    ::umask(077);
    if (::chdir(scene.folder().c_str()) != 0) ::_exit(96);
  };
  scene.run_probe({"block:15", "daemon", "report_failure=yes", "detach=never", "cwd=/nope"}, surroundings);
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("cwd") == scene.folder().string());
  BOOST_TEST(facts.at("umask") == "77");
  BOOST_TEST(facts.at("core") == "4096 4096");
  BOOST_TEST(facts.at("blocked") == "0000000000004000");
}

BOOST_AUTO_TEST_CASE(a_failure_leaves_no_pidfile) {
  Scene scene;
  const Refusal refusal(scene,
                        {"daemon", "detach=never", "pidfile=" + scene.path("pid"), "cwd=/nope", "say:alive"});
  refusal.says(Step::change_directory, ENOENT,
               "cannot change the working directory to \"/nope\": No such file or directory");
  refusal.leaves_no_pidfile();
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_start_fails_in_the_caller)

BOOST_AUTO_TEST_CASE(without_its_working_directory) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "cwd=/nope", "pidfile=" + scene.path("pid"), "say:alive"});
  refusal.says(Step::change_directory, ENOENT,
               "cannot change the working directory to \"/nope\": No such file or directory");
  refusal.leaves_no_pidfile();
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_CASE(without_a_directory_for_its_pidfile) {
  Scene scene;
  const std::string pidfile = scene.path("no/pid");
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, ENOENT,
               "cannot open the pidfile \"" + pidfile + "\": No such file or directory");
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_directory_it_may_not_write) {
  Scene scene;
  const std::string folder = scene.path("others");
  ::mkdir(folder.c_str(), 0755);
  const std::string pidfile = folder + "/pid";
  const auto as_nobody = [] {
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(96);
  };
  if (::getuid() != 0) ::chmod(folder.c_str(), 0555);
  // nobody must be able to reach the channel and to run the probe at all.
  ::chmod(scene.folder().c_str(), 0755);
  const auto reachable = Scene::run({"/bin/sh", "-c", "test -x " + scene::probe()}, as_nobody);
  if (!reachable.end.exited(0)) {
    BOOST_TEST_MESSAGE("skipped: another user can't reach the probe");
    return;
  }
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile}, as_nobody);
  refusal.says(Step::open_pidfile, EACCES, "cannot open the pidfile \"" + pidfile + "\": Permission denied");
}

BOOST_AUTO_TEST_CASE(without_its_log) {
  Scene scene;
  const std::string log = scene.path("no/log");
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "err=" + log});
  refusal.says(Step::open_stdio, ENOENT, "cannot open the file \"" + log + "\": No such file or directory");
  refusal.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(with_a_log_that_nobody_reads) {
  Scene scene;
  const std::string log = scene.path("fifo");
  ::mkfifo(log.c_str(), 0600);
  const Refusal refusal(scene, {"daemon", "out=" + log});
  refusal.says(Step::open_stdio, ENXIO,
               "cannot open the file \"" + log + "\": it is a FIFO that nobody reads, or a socket");
}

BOOST_AUTO_TEST_CASE(while_another_one_runs) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "wait"});
  const std::string pid = scene.facts().at("pid");
  const auto second = scene.run_probe({"daemon", "pidfile=" + pidfile, "say:second"});
  BOOST_TEST(second.end.exited(1));
  BOOST_TEST(contains(second.err, "pid " + pid + " subject"));
  BOOST_TEST(contains(second.err, "already running, pid " + pid + " (pidfile \"" + pidfile + "\")\n"));
  BOOST_TEST(!scene.has_line());
  BOOST_TEST(scene::pid_in(pidfile) == std::stoi(pid));  // the file is untouched
}

BOOST_AUTO_TEST_CASE(and_leaves_the_log_of_the_one_that_runs_alone) {
  Scene scene;
  const scene::Words words = {
      "daemon", "pidfile=" + scene.path("pid"), "out=new:" + scene.path("log"), "print:kept", "facts",
      "wait"};
  scene.run_probe(words);
  scene.facts();
  BOOST_TEST(scene.run_probe(words).end.exited(1));
  BOOST_TEST(scene::contents(scene.path("log")) == "kept\n");
}

BOOST_AUTO_TEST_CASE(although_the_service_says_that_it_is_ready_after_all) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                "fail:no disk", "ready", "say:never"});
  refusal.says(Step::run_service, ECANCELED, "no disk");
  refusal.leaves_no_pidfile();
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_that_is_a_symbolic_link) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene::write_file(scene.path("victim"), "precious\n");
  BOOST_REQUIRE(::symlink(scene.path("victim").c_str(), pidfile.c_str()) == 0);
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, EPERM,
               "cannot use the pidfile \"" + pidfile + "\": it is a symbolic link");
  BOOST_TEST(scene::contents(scene.path("victim")) == "precious\n");
  BOOST_TEST(scene::exists(pidfile));  // the start has not made it, so the start does not remove it
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_that_is_a_hard_link) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene::write_file(scene.path("victim"), "precious\n");
  BOOST_REQUIRE(::link(scene.path("victim").c_str(), pidfile.c_str()) == 0);
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, EPERM,
               "cannot use the pidfile \"" + pidfile + "\": it has more than one link");
  BOOST_TEST(scene::contents(scene.path("victim")) == "precious\n");
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_that_is_a_directory) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  ::mkdir(pidfile.c_str(), 0755);
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, EISDIR, "cannot open the pidfile \"" + pidfile + "\": Is a directory");
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_that_is_a_fifo) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  ::mkfifo(pidfile.c_str(), 0600);
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, EPERM,
               "cannot use the pidfile \"" + pidfile + "\": it is not a regular file");
}

BOOST_AUTO_TEST_CASE(with_a_pidfile_that_anyone_may_write) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene::write_file(pidfile, "1\n");
  ::chmod(pidfile.c_str(), 0666);
  const Refusal refusal(scene, {"daemon", "pidfile=" + pidfile});
  refusal.says(Step::open_pidfile, EPERM, "cannot use the pidfile \"" + pidfile + "\": others may write it");
  BOOST_TEST(scene::contents(pidfile) == "1\n");
}

BOOST_AUTO_TEST_CASE(when_the_body_throws_before_it_is_ready) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                "cleanup:done", "throw:no database"});
  refusal.says(Step::run_service, ECANCELED,
               "an exception left the scope of the daemon context before the daemon was ready");
  BOOST_TEST(contains(refusal.result.err, "no database\n"));  // what the daemon itself printed
  refusal.leaves_no_pidfile();
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(word_for_word_when_the_body_of_run_throws_before_it_is_ready) {
  Scene scene;
  const Refusal refusal(scene, {"run", "pidfile=" + scene.path("pid"), "readiness=notified", "cleanup:done",
                                "throw:no database at \"db:5432\""});
  BOOST_TEST(refusal.result.err == "daemon_probe: no database at \"db:5432\"\n");
  refusal.leaves_no_pidfile();
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(when_the_service_says_that_it_fails) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                "fail:port 80 is taken", "wait", "return:4"});
  refusal.says(Step::run_service, ECANCELED, "port 80 is taken");
  refusal.leaves_no_pidfile();
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(when_the_daemon_ends_before_it_is_ready) {
  Scene scene;
  const Refusal returned(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "return:0"});
  returned.says(Step::run_service, ECANCELED, "the daemon left the scope of its context before it was ready");
  returned.leaves_no_pidfile();
  const Refusal exited(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "exit:0"});
  exited.says(Step::run_service, ECANCELED, "the daemon called exit before it was ready");
  exited.leaves_no_pidfile();
  const Refusal cut(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "_exit:5"});
  cut.says(Step::become_ready, ECANCELED, "the daemon exited with code 5 before it was ready");
  cut.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(when_the_daemon_is_killed_before_it_is_ready) {
  Scene scene;
  const Refusal killed(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "raise:9"});
  killed.says(Step::become_ready, ECANCELED, "the daemon was killed by SIGKILL before it was ready");
  killed.leaves_no_pidfile();
  const Refusal crashed(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "raise:11"});
  crashed.says(Step::become_ready, ECANCELED, "the daemon was killed by SIGSEGV before it was ready");
}

BOOST_AUTO_TEST_CASE(although_children_are_ignored) {
  Scene scene;
  const Refusal killed(scene, {"ignore:17", "daemon", "readiness=notified", "raise:9"});
  killed.says(Step::become_ready, ECANCELED, "the daemon was killed by SIGKILL before it was ready");
}

BOOST_AUTO_TEST_CASE(and_takes_the_worker_of_a_dead_daemon_down_too) {
  Scene scene;
  const Refusal killed(scene, {"daemon", "readiness=notified", "fork:wait", "raise:9"});
  killed.says(Step::become_ready, ECANCELED, "the daemon was killed by SIGKILL before it was ready");
}

BOOST_AUTO_TEST_CASE(on_an_uncaught_exception_before_it_is_ready) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                "cleanup:done", "uncaught:no way"});
  refusal.says(Step::run_service, ECANCELED, "uncaught exception: no way");
  refusal.leaves_no_pidfile();
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(when_it_is_not_ready_in_time) {
  Scene scene;
  const Refusal polite(scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                               "ready_timeout=100", "cleanup:done", "wait"});
  polite.says(Step::become_ready, ETIMEDOUT, "the daemon was not ready within 100 ms");
  polite.leaves_no_pidfile();
  scene.expect("stop");
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(when_it_is_not_ready_in_time_and_does_not_act_on_sigterm) {
  Scene scene;
  const Refusal deaf(
      scene, {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "ready_timeout=100", "hang"});
  deaf.says(Step::become_ready, ETIMEDOUT, "the daemon was not ready within 100 ms");
  deaf.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(and_waits_for_ever_with_the_longest_timeout) {
  Scene scene;
  auto caller = scene.start_probe({"daemon", "readiness=notified", "ready_timeout=9223372036854775807",
                                   "say:working", "wait_for:50", "ready", "facts", "wait"});
  scene.expect("working");
  BOOST_TEST(caller.finish().end.exited(0));
}

BOOST_AUTO_TEST_CASE(when_a_stream_leads_to_the_pidfile_by_another_name) {
  Scene scene;
  BOOST_REQUIRE(::symlink(scene.path("pid").c_str(), scene.path("log").c_str()) == 0);
  for (const std::string& log : {scene.path("log"), scene.folder().string() + "/./pid"}) {
    const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "out=" + log});
    refusal.says(Step::open_stdio, EINVAL,
                 "cannot redirect a standard stream to \"" + scene.path("pid") + "\": it is the pidfile");
    refusal.leaves_no_pidfile();
  }
}

BOOST_AUTO_TEST_CASE(when_the_pidfile_holds_more_than_a_number) {
  Scene scene;
  const std::string file = scene.path("precious.conf");
  scene::write_file(file, "interval = 5\n");
  const auto result = scene.run_probe({"run", "pidfile=" + file});
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(result.err == "daemon_probe: cannot use the pidfile \"" + file +
                               "\": it holds more than a number, so it is no pidfile; remove it or name "
                               "another\n");
  BOOST_TEST(scene::contents(file) == "interval = 5\n");
}

BOOST_AUTO_TEST_CASE(when_somebody_holds_a_read_lock_on_the_pidfile) {
  Scene scene;
  const std::string file = scene.path("pid");
  for (const off_t byte : {0, 1}) {
    scene::write_file(file, "4711\n");
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_start = byte;
    lock.l_len = 1;
    BOOST_REQUIRE(::fcntl(fd, F_SETLK, &lock) == 0);
    const auto result = scene.run_probe({"daemon", "pidfile=" + file, "lock_timeout=50"});
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(contains(result.err, "cannot lock the pidfile \"" + file + "\": process " +
                                        std::to_string(::getpid()) + " holds a read lock on it\n"));
    ::close(fd);
  }
}

// Every user who may read the file can lock it so.
BOOST_AUTO_TEST_CASE(when_somebody_holds_a_read_lock_on_the_byte_of_readiness_for_too_long) {
  for (const std::string kind : {"umask=22", "respawn=first:1"}) {
    for (const bool for_long : {false, true}) {
      Scene scene;
      const std::string file = scene.path("pid");
      auto caller = scene.start_probe({"daemon", "pidfile=" + file, kind, "readiness=notified", "block:10",
                                       "facts", "await_signal:10", "ready", "wait"});
      const pid_t daemon = std::stoi(scene.facts().at("pid"));
      const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_start = 2;
      lock.l_len = 1;
      BOOST_REQUIRE(::fcntl(fd, F_SETLK, &lock) == 0);
      ::kill(daemon, SIGUSR1);
      ::poll(nullptr, 0, 100);  // the daemon meets the lock
      if (!for_long) ::close(fd);
      const auto result = caller.finish();
      BOOST_TEST(result.end.exited(for_long ? 1 : 0));
      if (for_long) {
        ::close(fd);
        BOOST_TEST(contains(result.err, "cannot lock the pidfile \"" + file + "\": process " +
                                            std::to_string(::getpid()) + " holds a read lock on it\n"),
                   result.err);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(when_the_user_is_not_there) {
  Scene scene;
  const Refusal refusal(scene, {"daemon", "pidfile=" + scene.path("pid"), "user=nosuch"});
  refusal.says(Step::look_up_user, EINVAL, "there is no user \"nosuch\"");
  refusal.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(when_the_user_may_not_enter_the_directory) {
  if (::geteuid() != 0) return;
  Scene scene;
  ::chmod(scene.folder().c_str(), 0700);
  const Refusal refusal(scene,
                        {"daemon", "pidfile=" + scene.path("pid"), "user=nobody", "cwd=" + scene.path("")});
  refusal.says(Step::change_directory, EACCES, "Permission denied");
  refusal.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(when_threads_run) {
  Scene scene;
  const Refusal refusal(scene, {"thread", "daemon", "pidfile=" + scene.path("pid")});
  refusal.says(
      Step::check_threads, EPERM,
      "cannot detach: 2 threads run, and a fork keeps only one of them (start them after the context was "
      "constructed, or set start_options.allow_threads)");
  refusal.leaves_no_pidfile();
}

BOOST_AUTO_TEST_CASE(where_its_directory_was_removed) {
  Scene scene;
  const std::string gone = scene.path("gone");
  ::mkdir(gone.c_str(), 0755);
  const Refusal refusal(scene, {"daemon", "pidfile=pid"}, [&] {
    if (::chdir(gone.c_str()) != 0 || ::rmdir(gone.c_str()) != 0) ::_exit(96);
  });
  refusal.says(Step::resolve_paths, ENOENT,
               "cannot make an absolute path of \"pid\": No such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(threads_that_were_joined_do_not_hinder_a_start) {
  for (int n = 0; n < 20; ++n) {
    Scene scene;
    const auto result =
        scene.run_probe({"raise_limit:4000", "join_threads:16", "daemon", "pidfile=" + scene.path("pid")});
    BOOST_TEST(result.err == "");
    BOOST_TEST(result.end.exited(0));
  }
}

// A program under an emulator has a second thread for ever.
BOOST_AUTO_TEST_CASE(a_thread_that_the_c_library_does_not_know_prevents_no_start) {
  Scene scene;
  const auto detached = scene.run_probe({"foreign_thread", "daemon", "facts"});
  BOOST_TEST(detached.err == "");
  BOOST_TEST(detached.end.exited(0));
  BOOST_TEST(scene.facts().at("threads") == "1");
  const auto restricted =
      scene.run_probe({"foreign_thread", "daemon", "detach=never", "no_new_privileges=yes",
                       "before_drop=join_thread", "say:started"});
  BOOST_TEST(restricted.err == "");
  BOOST_TEST(restricted.end.exited(0));
}

BOOST_AUTO_TEST_SUITE(an_interrupted_caller)

BOOST_AUTO_TEST_CASE(takes_the_half_started_daemon_down_and_dies_of_its_signal) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    Scene scene;
    const auto no_core = [] {
      const rlimit none{};
      ::setrlimit(RLIMIT_CORE, &none);
    };
    auto caller = scene.start_probe({"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                     "cleanup:done", "say:working", "wait"},
                                    no_core);
    scene.expect("working");
    ::kill(caller.pid(), signal);
    BOOST_TEST(caller.finish().end.killed_by(signal));
    scene.expect("stop");
    scene.expect("cleanup done");
    BOOST_TEST(!scene::exists(scene.path("pid")));
    BOOST_TEST(scene::children().empty());
  }
}

BOOST_AUTO_TEST_CASE(leaves_no_pidfile_of_a_daemon_that_does_not_act_on_sigterm) {
  Scene scene;
  auto caller = scene.start_probe(
      {"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "say:working", "hang"});
  scene.expect("working");
  ::kill(caller.pid(), SIGINT);
  BOOST_TEST(caller.finish().end.killed_by(SIGINT));
  BOOST_TEST(!scene::exists(scene.path("pid")));
  BOOST_TEST(scene::children().empty());
}

BOOST_AUTO_TEST_CASE(throws_if_it_handles_the_signal) {
  Scene scene;
  auto caller = scene.start_probe({"catch_interrupt", "daemon", "readiness=notified", "say:working", "hang"});
  scene.expect("working");
  ::kill(caller.pid(), SIGINT);
  const auto result = caller.finish();
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(contains(result.err, "the start was interrupted by SIGINT\n"));
  scene.expect("handler");
  BOOST_TEST(scene::children().empty());
}

BOOST_AUTO_TEST_CASE(goes_on_after_a_signal_that_is_ignored) {
  Scene scene;
  auto caller = scene.start_probe(
      {"ignore:1", "daemon", "readiness=notified", "say:working", "wait_for:50", "ready", "facts", "wait"});
  scene.expect("working");
  ::kill(caller.pid(), SIGHUP);
  BOOST_TEST(caller.finish().end.exited(0));
}

BOOST_AUTO_TEST_CASE(that_was_killed_leaves_a_daemon_that_gives_up) {
  Scene scene;
  auto caller =
      scene.start_probe({"daemon", "pidfile=" + scene.path("pid"), "readiness=notified", "cleanup:done",
                         "facts", "say:working", "wait_for:100", "ready", "say:never"});
  const auto facts = scene.facts();
  scene.expect("working");
  ::kill(caller.pid(), SIGKILL);
  scene.expect("no stop");
  scene.expect("cleanup done");
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(1));
  BOOST_TEST(!scene::exists(scene.path("pid")));
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_caller)

BOOST_AUTO_TEST_CASE(calls_on_wait_while_it_waits_for_readiness) {
  Scene scene;
  auto caller = scene.start_probe({"daemon", "readiness=notified", "on_wait=yes", "wait_for:600000"});
  scene.expect("waiting");
  scene.expect("waiting");
}

// The child must end. Otherwise it would take itself for the caller and end a daemon that it cannot wait for.
BOOST_AUTO_TEST_CASE(keeps_no_child_that_comes_back_from_on_wait) {
  Scene scene;
  const auto result = scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "readiness=notified",
                                       "on_wait=fork", "facts", "wait_for:700", "ready", "wait"});
  BOOST_TEST(result.end.exited(0));
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  for (const pid_t pid : scene::children()) {
    if (pid != daemon) scene::await_end(pid);
  }
  ::kill(daemon, SIGTERM);
  BOOST_TEST(scene::await_end(daemon).exited(0));
}

BOOST_AUTO_TEST_CASE(calls_on_wait_while_it_waits_for_a_lock) {
  Scene scene;
  BOOST_TEST(scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "wait"}).end.exited(0));
  auto second =
      scene.start_probe({"daemon", "pidfile=" + scene.path("pid"), "lock_timeout=600000", "on_wait=yes"});
  scene.expect("waiting");
  scene.expect("waiting");
}

BOOST_AUTO_TEST_CASE(calls_on_launched_when_the_daemon_is_ready) {
  Scene scene;
  const auto result = scene.run_probe({"daemon", "on_launched=yes", "facts", "wait"});
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.out == "launched " + scene.facts().at("pid") + " by " + std::to_string(result.pid));
}

BOOST_AUTO_TEST_CASE(does_not_call_on_launched_when_the_start_failed) {
  Scene scene;
  BOOST_TEST(scene.run_probe({"daemon", "cwd=/nope", "on_launched=yes"}).out == "");
}

BOOST_AUTO_TEST_SUITE_END()
