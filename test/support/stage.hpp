// SPDX-License-Identifier: BSL-1.0
#pragma once

// For the tests that only root can run.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>

#include "scene.hpp"

namespace scene {

inline constexpr uid_t nobody = 65534;

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

using Surroundings = std::function<void()>;

/// A global fixture. Without root the test exits with 77: skipped.
struct NeedsRoot {
  NeedsRoot() {
    if (::geteuid() == 0) return;
    BOOST_TEST_MESSAGE("skipped: needs root");
    std::exit(77);
  }
};

/// Gives this process mounts of its own: no mount spreads in or out. Where that is impossible, the test exits
/// with 77: skipped.
inline void have_private_mounts() {
  if (::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0)
    return;
  BOOST_TEST_MESSAGE("skipped: needs a mount namespace of its own");
  std::exit(77);
}

/// A scene with the paths that most tests use, and with checks that hold for every start.
struct Stage {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  std::string program = probe();

  // Other users may enter the folder and write to the channel.
  Stage() {
    ::chmod(scene.folder().c_str(), 0755);
    ::chmod(scene.path("channel").c_str(), 0666);
  }

  /// Uses a copy of the probe that needs no shared library of the project. Every user can run it from any
  /// folder.
  void use_probe_of_its_own() {
    program = scene.path("daemon_probe");
    copy_file(argument(2), program);
  }

  Running begin(Words words, const Surroundings& surroundings = {}) const {
    words.insert(words.begin(), {program, scene.path("channel")});
    return Scene::start(words, surroundings);
  }
  Result run(Words words, const Surroundings& surroundings = {}) const {
    words.insert(words.begin(), "daemon");
    return begin(std::move(words), surroundings).finish();
  }
  Facts start(Words words, const Surroundings& surroundings = {}) {
    words.insert(words.end(), {"facts", "wait"});
    const auto result = run(std::move(words), surroundings);
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    return scene.facts();
  }
  void stop(pid_t daemon) {
    BOOST_REQUIRE(daemon > 0);  // kill(0) would signal this process, too
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
    BOOST_TEST(await_end(daemon).exited(0));
  }
  void stop(const Facts& facts) { stop(std::stoi(facts.at("pid"))); }

  /// Starts a daemon that was told to stop, and does not end. Another start waits for it during its whole
  /// `lock_timeout`. \return the holder of the pidfile
  pid_t start_leaving(Words words = {"hang"}) const {
    words.insert(words.begin(), "pidfile=" + pidfile);
    BOOST_REQUIRE(run(std::move(words)).end.exited(0));
    const pid_t daemon = pid_in(pidfile);
    ::kill(daemon, SIGTERM);
    BOOST_TEST(eventually([&] {
      const int file = ::open(pidfile.c_str(), O_RDONLY | O_CLOEXEC);
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_start = 4;
      lock.l_len = 1;
      const bool is_shown = ::fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
      ::close(file);
      return is_shown;
    }));
    return daemon;
  }

  /// The start fails: the caller prints this one line, and no process is left.
  void rejects(Words words, const std::string& line, const Surroundings& surroundings = {}) const {
    words.insert(words.begin(), "run");
    const auto result = begin(std::move(words), surroundings).finish();
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err == "daemon_probe: " + line + '\n');
    BOOST_TEST(children().empty());
  }
  /// Like `rejects`, and no pidfile is left.
  void refuses(Words words, const std::string& line, const Surroundings& surroundings = {}) const {
    rejects(std::move(words), line, surroundings);
    BOOST_TEST(!exists(pidfile));
  }
};

inline struct stat status_of(const std::string& path) {
  struct stat found {};
  BOOST_TEST(::lstat(path.c_str(), &found) == 0);
  return found;
}

/// A field of another process's /proc/PID/status.
inline std::string status_field(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

/// The open descriptors of a process as NUMBER:TARGET, like the fact "fds" of the probe.
inline std::string descriptors_of(pid_t pid) {
  std::map<int, std::string> found;
  for (const auto& entry : boost::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    boost::system::error_code gone;
    const auto target = boost::filesystem::read_symlink(entry.path(), gone);
    if (!gone) found[std::stoi(entry.path().filename().string())] = target.string();
  }
  std::string text;
  for (const auto& [fd, target] : found) text += std::to_string(fd) + ':' + target + ' ';
  return text;
}

/// Writes a value to a file that configures the whole system. The destructor restores the former value.
class Setting {
 public:
  Setting(std::string file, const std::string& value) : file_(std::move(file)), former_(contents(file_)) {
    std::ofstream(file_) << value;
  }
  ~Setting() { std::ofstream(file_) << former_; }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  const std::string& former() const { return former_; }

 private:
  std::string file_;
  std::string former_;
};

}  // namespace scene
