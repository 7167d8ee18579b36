// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE planted_files

// Files that another user has put where root is about to write. Without root the test exits with 77: skipped.

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

#include <array>

#include "stage.hpp"

using scene::NeedsRoot;
using scene::nobody;
using scene::status_of;

namespace {

namespace fs = boost::filesystem;

// Turns the kernel's protection off: it would refuse a planted file before the library could.
struct WithoutProtection {
  std::array<scene::Setting, 3> settings{scene::Setting("/proc/sys/fs/protected_symlinks", "0"),
                                         scene::Setting("/proc/sys/fs/protected_fifos", "0"),
                                         scene::Setting("/proc/sys/fs/protected_regular", "0")};
  WithoutProtection() {
    for (const auto& each : settings) BOOST_TEST_MESSAGE("protection was " << each.former());
  }
};

// Files of root that must stay unchanged whatever happens.
struct Stage : scene::Stage, WithoutProtection {
  std::string precious = scene.path("precious");
  std::string secrets = scene.path("secrets");
  struct stat before {};

  Stage() {
    scene::write_file(precious, "precious\n");
    fs::create_directory(secrets);
    ::chmod(secrets.c_str(), 0700);
    before = status_of(precious);
  }
  ~Stage() {
    const struct stat after = status_of(precious);
    BOOST_TEST(scene::contents(precious) == "precious\n");
    BOOST_TEST(after.st_mode == before.st_mode);
    BOOST_TEST(after.st_uid == before.st_uid);
    BOOST_TEST(after.st_mtim.tv_sec == before.st_mtim.tv_sec);
    BOOST_TEST(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    BOOST_TEST(fs::is_empty(secrets));
  }

  // Runs `test` in two folders where another user can plant files: one like /tmp, and one of his own.
  void in_each_place(const std::function<void(const std::string& file)>& test) {
    for (const auto& [name, mode, owner] : {std::tuple{"sticky", 01777, 0U}, {"own", 0755, nobody}}) {
      const std::string folder = scene.path(name);
      fs::create_directory(folder);
      ::chmod(folder.c_str(), static_cast<mode_t>(mode));
      ::chown(folder.c_str(), owner, owner);
      const std::string file = folder + "/planted";
      BOOST_TEST_CONTEXT("in the folder " << name) { test(file); }
      BOOST_TEST(scene::exists(file));  // a planted file is not the library's to remove
      fs::remove_all(folder);
    }
  }
  // A start fails with `as_pidfile` if `file` is its pidfile, and with `as_log` if `file` is its log.
  void expect_refusals(const std::string& file, const std::string& as_pidfile, const std::string& as_log) {
    const struct stat planted = status_of(file);
    for (const std::string detach : {"always", "never"}) {
      rejects({"pidfile=" + file, "detach=" + detach}, as_pidfile);
      refuses({"pidfile=" + pidfile, "out=" + file, "detach=" + detach, "print:logged"}, as_log);
      refuses({"pidfile=" + pidfile, "err=new:" + file, "detach=" + detach, "eprint:logged"}, as_log);
    }
    BOOST_TEST(status_of(file).st_mode == planted.st_mode);
    BOOST_TEST(status_of(file).st_uid == planted.st_uid);
    BOOST_TEST(status_of(file).st_ino == planted.st_ino);
  }
};

std::string pidfile_refusal(const std::string& file, const std::string& why) {
  return "cannot use the pidfile \"" + file + "\": " + why;
}
std::string log_refusal(const std::string& file, const std::string& why) {
  return "cannot use the file \"" + file + "\": " + why;
}

void plant_link(const std::string& target, const std::string& file) {
  BOOST_REQUIRE(::symlink(target.c_str(), file.c_str()) == 0);
  BOOST_REQUIRE(::lchown(file.c_str(), nobody, nobody) == 0);
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(a_symbolic_link_is_not_followed, Stage) {
  in_each_place([&](const std::string& file) {
    for (const std::string& target : {precious, secrets + "/new", secrets, std::string("/dev/null")}) {
      plant_link(target, file);
      expect_refusals(file, pidfile_refusal(file, "it is a symbolic link"),
                      log_refusal(file, "it is a symbolic link that others could have put there"));
      ::unlink(file.c_str());
    }
    plant_link(precious, file);
  });
}

BOOST_FIXTURE_TEST_CASE(a_hard_link_is_not_written, Stage) {
  in_each_place([&](const std::string& file) {
    BOOST_REQUIRE(::link(precious.c_str(), file.c_str()) == 0);
    expect_refusals(file, pidfile_refusal(file, "it has more than one link"),
                    log_refusal(file, "it has more than one link, and others could have made them"));
  });
}

BOOST_FIXTURE_TEST_CASE(a_fifo_does_not_block_a_start, Stage) {
  in_each_place([&](const std::string& file) {
    BOOST_REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    BOOST_REQUIRE(::chown(file.c_str(), nobody, nobody) == 0);
    expect_refusals(file, pidfile_refusal(file, "it is not a regular file"),
                    "cannot open the file \"" + file + "\": it is a FIFO that nobody reads, or a socket");
  });
}

BOOST_FIXTURE_TEST_CASE(a_directory_is_no_file, Stage) {
  in_each_place([&](const std::string& file) {
    fs::create_directory(file);
    ::chown(file.c_str(), nobody, nobody);
    expect_refusals(file, "cannot open the pidfile \"" + file + "\": Is a directory",
                    "cannot open the file \"" + file + "\": Is a directory");
  });
}

// A user who may write the folder can give any file of root the pidfile's name. A start would then open the
// file to readers and erase its text.
BOOST_FIXTURE_TEST_CASE(a_file_of_root_that_another_user_could_have_moved_there_is_no_pidfile, Stage) {
  in_each_place([&](const std::string& file) {
    const bool is_his = status_of(fs::path(file).parent_path().string()).st_uid == nobody;
    scene::write_file(file, "4711 private keys\n");
    ::chmod(file.c_str(), 0600);
    if (is_his) {
      rejects({"pidfile=" + file, "cwd=/none"},
              pidfile_refusal(file,
                              "it holds more than a number, so it is no pidfile; remove it or name another"));
      BOOST_TEST(scene::contents(file) == "4711 private keys\n");
      BOOST_TEST((status_of(file).st_mode & 07777) == 0600U);
    }
    // A crash of the machine may leave a pidfile with one of these texts.
    for (const std::string& text : {std::string("4711\n"), std::string(), std::string(5, '\0')}) {
      scene::write_file(file, text);
      stop(start({"pidfile=" + file}));
      BOOST_TEST(!scene::exists(file));
    }
    scene::write_file(file, "");
  });
}

// With the text of his pidfile another user could choose the process that the next "stop" ends.
BOOST_FIXTURE_TEST_CASE(a_pidfile_of_another_user_is_refused, Stage) {
  in_each_place([&](const std::string& file) {
    scene::write_file(file, "1\n");
    BOOST_REQUIRE(::chown(file.c_str(), nobody, nobody) == 0);
    rejects({"pidfile=" + file}, pidfile_refusal(file, "it belongs to another user (uid 65534)"));
    BOOST_TEST(scene::contents(file) == "1\n");
  });
}

BOOST_FIXTURE_TEST_CASE(a_link_of_another_user_on_the_way_is_not_followed, Stage) {
  const std::string folder = scene.path("own");
  fs::create_directory(folder);
  fs::create_symlink(secrets, folder + "/run");
  BOOST_REQUIRE(::lchown((folder + "/run").c_str(), nobody, nobody) == 0);
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  pidfile = folder + "/run/pid";
  log = folder + "/run/log";
  const std::string reason = "a symbolic link on the way to it could have been put there by others";
  refuses({"pidfile=" + pidfile}, "cannot use the pidfile \"" + pidfile + "\": " + reason);
  refuses({"out=" + log}, "cannot use the file \"" + log + "\": " + reason);
}

BOOST_FIXTURE_TEST_CASE(a_link_of_root_that_leads_to_a_link_of_another_user_is_refused, Stage) {
  const std::string folder = scene.path("own");
  fs::create_directory(folder);
  fs::create_symlink(secrets, folder + "/data");
  fs::create_symlink(secrets + "/log", folder + "/log");
  for (const char* link : {"/data", "/log"}) {
    BOOST_REQUIRE(::lchown((folder + link).c_str(), nobody, nobody) == 0);
  }
  BOOST_REQUIRE(::chown(folder.c_str(), nobody, nobody) == 0);
  fs::create_symlink(folder + "/log", scene.path("log"));
  fs::create_symlink("own/data", scene.path("data"));
  refuses({"out=" + scene.path("log")}, "cannot use the file \"" + scene.path("log") +
                                            "\": it is a symbolic link that others could have put there");
  refuses({"mkdir=" + scene.path("data/x")}, "cannot use the directory \"" + scene.path("data/x") +
                                                 "\": \"data\" on the way to it is, or leads to, a "
                                                 "symbolic link that others could have put there");
  refuses({"pidfile=" + scene.path("data/pid")},
          "cannot use the pidfile \"" + scene.path("data/pid") +
              "\": a symbolic link on the way to it could have been put there by others");
}

// The folder is writable for its group, as with umask 002 if each user has a group of his own.
BOOST_FIXTURE_TEST_CASE(a_user_other_than_root_may_share_his_folder_with_his_group, Stage) {
  use_probe_of_its_own();
  const std::string folder = scene.path("home");
  fs::create_directories(folder + "/made/full");
  pidfile = folder + "/pid";
  scene::write_file(pidfile, "4711");
  for (const std::string& path : {folder, folder + "/made", folder + "/made/full", pidfile}) {
    BOOST_REQUIRE(::chown(path.c_str(), nobody, nobody) == 0);
  }
  ::chmod(folder.c_str(), 0775);
  stop(start({"pidfile=" + pidfile, "mkdir=" + folder + "/made:0700"}, [] {
    scene::forgo_leak_check();
    if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(96);
  }));
  BOOST_TEST((status_of(folder + "/made").st_mode & 07777) == 0700U);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_second_name_of_a_link_of_root_is_not_followed, Stage) {
  const std::string folder = scene.path("sticky");
  fs::create_directory(folder);
  ::chmod(folder.c_str(), 01777);
  fs::create_symlink(precious, scene.path("link"));
  log = folder + "/log";
  BOOST_REQUIRE(::link(scene.path("link").c_str(), log.c_str()) == 0);
  refuses({"out=" + log, "print:logged"},
          log_refusal(log, "it is a symbolic link that others could have put there"));
}

// On some systems /var/log belongs to root and a group that may write it.
BOOST_FIXTURE_TEST_CASE(the_daemons_user_may_own_its_log_wherever_it_lies, Stage) {
  const std::string folder = scene.path("logs");
  fs::create_directory(folder);
  BOOST_REQUIRE(::chown(folder.c_str(), 0, 4) == 0);
  ::chmod(folder.c_str(), 0775);
  log = folder + "/log";
  scene::write_file(log, "");
  BOOST_REQUIRE(::chown(log.c_str(), nobody, nobody) == 0);
  refuses({"out=" + log}, log_refusal(log, "it belongs to another user (uid 65534)"));
  stop(start({"user=nobody", "out=" + log, "print:logged"}));
  BOOST_TEST(scene::contents(log) == "logged\n");
  BOOST_REQUIRE(::link(log.c_str(), (folder + "/other").c_str()) == 0);
  refuses({"user=nobody", "out=" + log},
          log_refusal(log, "it has more than one link, and others could have made them"));
}

// The monitor, which may be root, would wait for the FIFO's reader.
BOOST_FIXTURE_TEST_CASE(a_fifo_of_the_daemons_user_is_no_log, Stage) {
  const std::string folder = scene.path("own");
  fs::create_directory(folder);
  log = folder + "/log";
  BOOST_REQUIRE(::mkfifo(log.c_str(), 0600) == 0);
  for (const std::string& path : {log, folder}) BOOST_REQUIRE(::chown(path.c_str(), nobody, nobody) == 0);
  const int reader = ::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  refuses({"user=nobody", "out=" + log}, log_refusal(log, "it is a FIFO of another user (uid 65534)"));
  ::close(reader);
  // A FIFO in root's folder is one that root has given to the user.
  BOOST_REQUIRE(::chown(folder.c_str(), 0, 0) == 0);
  const int kept = ::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  stop(start({"user=nobody", "out=" + log, "print:logged"}));
  std::array<char, 16> text{};
  BOOST_TEST(::read(kept, text.data(), text.size()) == 7);
  ::close(kept);
}

BOOST_FIXTURE_TEST_CASE(a_file_of_another_user_in_a_folder_for_all_does_not_become_the_log, Stage) {
  const std::string folder = scene.path("sticky");
  fs::create_directory(folder);
  ::chmod(folder.c_str(), 01777);
  log = folder + "/log";
  const std::string line = "cannot use the file \"" + log + "\": it belongs to another user (uid 65534)";
  scene::write_file(log, "");
  BOOST_REQUIRE(::chown(log.c_str(), nobody, nobody) == 0);
  refuses({"out=" + log}, line);
  fs::remove(log);
  BOOST_REQUIRE(::mkfifo(log.c_str(), 0666) == 0);
  BOOST_REQUIRE(::chown(log.c_str(), nobody, nobody) == 0);
  const int reader = ::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  refuses({"out=" + log}, line);
  ::close(reader);
}

BOOST_FIXTURE_TEST_CASE(a_pidfile_that_others_may_write_is_refused, Stage) {
  in_each_place([&](const std::string& file) {
    scene::write_file(file, "1\n");
    for (const mode_t mode : {0620U, 0602U}) {
      ::chmod(file.c_str(), mode);
      rejects({"pidfile=" + file}, pidfile_refusal(file, "others may write it"));
      BOOST_TEST(scene::contents(file) == "1\n");
    }
  });
}
