// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE broken_output

// Output that fails for a while: the service lives on, and is heard again. Without root the test exits with
// 77.

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <sstream>

#include "listener.hpp"
#include "stage.hpp"

using scene::NeedsRoot;

namespace {

namespace fs = boost::filesystem;

struct PrivateMounts {
  PrivateMounts() { scene::have_private_mounts(); }
};

const std::string loss = "daemon_probe: output: lines were lost here: they could not be written\n";

// With and without a monitor, as root and as another user.
const std::vector<scene::Words> kinds = {
    {}, {"user=nobody"}, {"respawn=first:1"}, {"user=nobody", "respawn=first:1"}};

// How often the process has waited so far, as for the next line to print.
unsigned long waits_of(pid_t process) {
  std::istringstream status(scene::contents("/proc/" + std::to_string(process) + "/status"));
  std::string word;
  while (status >> word && word != "voluntary_ctxt_switches:") continue;
  unsigned long count = 0;
  status >> count;
  return count;
}

// Returns when the process has printed several times.
void let_it_print(pid_t process) {
  constexpr unsigned long several = 10;
  const unsigned long before = waits_of(process);
  BOOST_TEST(scene::eventually([&] { return waits_of(process) >= before + several; }));
}

struct Stage : scene::Stage {
  pid_t daemon = 0;
  pid_t service = 0;  // with a monitor its worker
  std::string line = "beat";

  // Starts a daemon that prints "beat" again and again.
  void start(const scene::Words& options, const std::string& reload = "quiet") {
    scene::Words all = {"pidfile=" + pidfile, "out=" + log, "err=" + log, "on_error=say"};
    all.insert(all.end(), options.begin(), options.end());
    all.insert(all.end(), {"on_reload:" + reload, "facts", "beat:" + line});
    const auto result = run(all);
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    service = std::stoi(scene.facts().at("pid"));
    daemon = scene::pid_in(pidfile);
  }
  void stop() {
    scene::Stage::stop(daemon);
    BOOST_TEST(!scene.has_line());
  }
  static bool holds(const std::string& file, const std::string& text) {
    return scene::eventually([&] { return scene::contents(file).find(text) != std::string::npos; });
  }
  void expect_beats_in(const std::string& file) const {
    BOOST_TEST(holds(file, line + '\n' + line + '\n'), scene::contents(file));
  }
};

struct SmallDisk {
  std::string place;

  explicit SmallDisk(std::string where) : place(std::move(where)) {
    fs::create_directory(place);
    BOOST_REQUIRE(::mount("tmpfs", place.c_str(), "tmpfs", 0, "size=64k,mode=0755") == 0);
    BOOST_REQUIRE(::chown(place.c_str(), scene::nobody, scene::nobody) == 0);
  }
  ~SmallDisk() { ::umount2(place.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // Leaves no room. The service may have filled the rest before.
  void fill() const {
    std::ofstream filler(place + "/filler");
    while (filler << std::string(1024, 'x') << std::flush) continue;
  }
  void clear() const { fs::remove(place + "/filler"); }
  bool is_full() const {
    const int fd = ::open((place + "/filler").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    const bool failed = ::write(fd, "x", 1) == -1;
    ::close(fd);
    return failed;
  }
};

// The size that a file has when its writer can't write any more.
std::size_t final_size(const std::string& file, pid_t writer) {
  std::size_t size = 0;
  BOOST_TEST(scene::eventually([&] {
    const std::size_t before = std::exchange(size, scene::contents(file).size());
    let_it_print(writer);
    return before != 0 && before == size;
  }));
  return size;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);
BOOST_TEST_GLOBAL_FIXTURE(PrivateMounts);

BOOST_FIXTURE_TEST_CASE(lines_flow_again_when_a_full_disk_has_room, Stage) {
  line = std::string(500, 'x');  // the last page of the log is soon full
  for (const auto& kind : kinds) {
    const SmallDisk disk(scene.path("disk"));
    log = disk.place + "/log";
    start(kind);
    expect_beats_in(log);
    disk.fill();
    const std::size_t size = final_size(log, service);
    BOOST_TEST(disk.is_full());
    disk.clear();
    BOOST_TEST(holds(log, loss), scene::contents(log).substr(size - 20));
    const std::string after = scene::contents(log).substr(size);
    BOOST_TEST(scene::eventually([&] { return scene::contents(log).size() > size + after.size(); }));
    stop();
    const std::string text = scene::contents(log);
    BOOST_TEST(text.find(loss) == text.rfind(loss));  // once
    BOOST_TEST(text.substr(text.size() - 5) == "xxxx\n");
  }
}

BOOST_FIXTURE_TEST_CASE(the_next_reader_of_a_fifo_is_served, Stage) {
  log = scene.path("fifo");
  BOOST_REQUIRE(::mkfifo(log.c_str(), 0666) == 0);
  ::chmod(log.c_str(), 0666);
  const auto open_reader = [&] {
    return scene::Received(::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  };
  const auto reads = [](const scene::Received& reader, const std::string& wanted) {
    std::string text;
    return scene::eventually([&] {
      std::array<char, 4096> part{};
      const auto size = ::read(reader.get(), part.data(), part.size());
      if (size > 0) text.append(part.data(), static_cast<std::size_t>(size));
      return text.find(wanted) != std::string::npos;
    });
  };
  for (const auto& kind : kinds) {
    auto reader = open_reader();
    start(kind);
    BOOST_TEST(reads(reader, "beat\nbeat\n"));
    reader = scene::Received();
    let_it_print(service);  // these lines are lost
    BOOST_TEST(::kill(daemon, 0) == 0);
    reader = open_reader();
    BOOST_TEST(reads(reader, loss + "beat\nbeat\n"));
    stop();
  }
}

// logrotate's usual `create`, with `kill -HUP $(cat pidfile)`.
BOOST_FIXTURE_TEST_CASE(a_reload_opens_the_new_log, Stage) {
  const std::string folder = scene.path("logs");
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), scene::nobody, scene::nobody) == 0);
  log = folder + "/log";
  for (const auto& kind : kinds) {
    start(kind);
    expect_beats_in(log);
    BOOST_REQUIRE(::rename(log.c_str(), (log + ".1").c_str()) == 0);
    ::kill(daemon, SIGHUP);
    expect_beats_in(log);
    stop();
    fs::remove(log);
  }
}

BOOST_FIXTURE_TEST_CASE(a_log_is_looked_for_by_its_path_first, Stage) {
  const std::string folder = scene.path("logs");
  log = folder + "/log";
  for (const auto& kind : kinds) {
    fs::create_directory(folder);
    BOOST_REQUIRE(::chown(folder.c_str(), scene::nobody, scene::nobody) == 0);
    start(kind);
    expect_beats_in(log);
    fs::rename(folder, scene.path("old"));
    fs::create_directory(folder);
    BOOST_REQUIRE(::chown(folder.c_str(), scene::nobody, scene::nobody) == 0);
    ::kill(daemon, SIGHUP);
    expect_beats_in(log);
    {
      const SmallDisk mounted(folder);  // over the new directory
      ::kill(daemon, SIGHUP);
      expect_beats_in(log);
      stop();
    }
    fs::remove_all(folder);
    fs::remove_all(scene.path("old"));
  }
}

// The reload itself goes on.
BOOST_FIXTURE_TEST_CASE(a_reload_that_can_not_open_the_log_says_so_and_keeps_the_old_one, Stage) {
  const std::string folder = scene.path("logs");
  fs::create_directory(folder);
  log = folder + "/log";
  start({}, "say");
  fs::remove_all(folder);
  ::kill(daemon, SIGHUP);
  scene.expect("error in reopen output: cannot open the file \"" + log + "\": No such file or directory");
  scene.expect("reloaded");
  stop();
}

BOOST_FIXTURE_TEST_CASE(a_new_log_belongs_to_whom_the_options_say, Stage) {
  struct Row {
    scene::Words words;
    uid_t user;
    gid_t group;
  };
  constexpr gid_t daemons = 1;  // the group "daemon"
  for (const Row& row :
       std::vector<Row>{{{}, 0, 0},
                        {{"user=nobody"}, scene::nobody, scene::nobody},
                        {{"user=nobody", "respawn=first:1"}, scene::nobody, scene::nobody},
                        {{"user=nobody", "group=daemon"}, scene::nobody, daemons},
                        {{"user=nobody", "respawn=first:1", "err=owned:root:daemon:"}, 0, daemons},
                        {{"user=nobody", "respawn=first:1", "err=owned::daemon:"}, scene::nobody, daemons}}) {
    scene::Words words = row.words;
    if (!words.empty() && words.back().rfind("err=", 0) == 0) {
      words.back() += log;
      words.push_back("out=" + words.back().substr(4));
    } else {
      words.insert(words.end(), {"out=" + log, "err=" + log});
    }
    words.insert(words.end(), {"pidfile=" + pidfile, "on_reload:say", "say:up", "wait"});
    for (const bool reopens : {false, true}) {
      const bool has_monitor = row.words.size() > 1 && row.words[1] == "respawn=first:1";
      if (reopens && row.user != 0 && !has_monitor) continue;  // the user may not write the directory
      if (reopens) {
        fs::remove(log);
        ::kill(daemon, SIGHUP);
        scene.expect("reloaded");
      } else {
        const auto result = run(words);
        BOOST_TEST(result.err == "");
        BOOST_REQUIRE(result.end.exited(0));
        scene.expect("up");
        daemon = scene::pid_in(pidfile);
      }
      struct stat file {};
      BOOST_REQUIRE(::stat(log.c_str(), &file) == 0);
      BOOST_TEST(file.st_uid == row.user);
      BOOST_TEST(file.st_gid == row.group);
      BOOST_TEST((file.st_mode & 07777) == 0640U);
    }
    scene::Stage::stop(daemon);
    fs::remove(log);
  }
}

// It may carry a protocol: nothing but what the service prints may come there.
BOOST_FIXTURE_TEST_CASE(a_stream_that_the_starter_has_given_is_left_alone, Stage) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const scene::Received reader(ends[0]);
  auto running = begin({"daemon", "detach=never", "beat:" + std::string(500, 'x')},
                       [&] { ::dup2(ends[1], STDOUT_FILENO); });
  ::close(ends[1]);
  const auto waiting = [&] {
    int size = 0;
    ::ioctl(reader.get(), FIONREAD, &size);
    return size;
  };
  BOOST_TEST(scene::eventually([&] {  // until it is full, and a write fails
    const int before = waiting();
    let_it_print(running.pid());
    return before > 60000 && before == waiting();
  }));
  std::string text(1U << 17U, ' ');
  const auto size = ::read(reader.get(), text.data(), text.size());
  BOOST_TEST(size > 60000);
  let_it_print(running.pid());
  BOOST_TEST(waiting() == 0);
  ::kill(running.pid(), SIGTERM);
  scene.expect("stop");
  BOOST_TEST(running.finish().end.exited(0));
}
