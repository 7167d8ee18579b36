// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE recipes

// The programs of doc/recipes.md. One whose library is not installed is not built; its test says so.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <list>
#include <sstream>

#include "scene.hpp"

using scene::Scene;

namespace {

/// A recipe's program in a folder of its own, where the program leaves NAME.pid and NAME.log.
class Recipe {
 public:
  explicit Recipe(const std::string& name) : name_(name), program_(built(name)) {
    if (!is_built()) BOOST_TEST_MESSAGE("skipped: " << name << " was not built");
  }

  bool is_built() const { return !program_.empty(); }
  std::string path(const std::string& file) const { return scene_.path(file); }

  scene::Result run(scene::Words arguments = {}) const {
    arguments.insert(arguments.begin(), program_);
    return Scene::run(arguments, [&] {
      if (::chdir(scene_.folder().c_str()) != 0) ::_exit(126);
    });
  }

  void start(const scene::Words& arguments = {}) {
    const auto result = run(arguments);
    BOOST_TEST_REQUIRE(result.end.exited(0), result.err);
    pid_ = scene::pid_in(path(name_ + ".pid"));
    BOOST_TEST_REQUIRE(pid_ > 0);
  }

  void signal(int number) const { ::kill(pid_, number); }

  void await_end() const {
    BOOST_TEST(scene::await_end(pid_).exited(0));
    BOOST_TEST(!scene::exists(path(name_ + ".pid")));
  }

  std::vector<std::string> log() const {
    std::istringstream text(scene::contents(path(name_ + ".log")));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }

  std::size_t lines_with(const std::string& text) const {
    const auto lines = log();
    return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    }));
  }

 private:
  // The program among the test's arguments, or an empty string.
  static std::string built(const std::string& name) {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    for (int i = 1; i < suite.argc; ++i) {
      const boost::filesystem::path program(suite.argv[i]);
      if (program.filename() == name) return boost::filesystem::absolute(program).string();
    }
    return {};
  }

  Scene scene_;
  std::string name_;
  std::string program_;
  pid_t pid_ = 0;
};

/// A client of the recipe "drain".
class Client {
 public:
  explicit Client(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{scene::patience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    is_connected = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void say(const std::string& text) const { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }

  /// The next line; what came, if the connection ends first.
  std::string hear() const {
    std::string text;
    for (char byte = 0; ::read(socket_, &byte, 1) == 1 && byte != '\n';) text += byte;
    return text;
  }

  bool is_connected = false;

 private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

int port_of(const Recipe& recipe) {
  BOOST_TEST_REQUIRE(scene::eventually([&] { return recipe.lines_with("port ") == 1; }));
  const std::string line = recipe.log().front();
  return std::stoi(line.substr(5));
}

}  // namespace

// SQLite removes the -wal file when the last connection is closed, and only then.
BOOST_AUTO_TEST_CASE(each_connection_of_a_database_is_closed_at_a_stop) {
  Recipe recipe("database");
  if (!recipe.is_built()) return;
  recipe.start();
  const std::string journal = recipe.path("beats.sqlite-wal");
  BOOST_TEST(scene::eventually([&] { return scene::exists(journal); }));
  recipe.signal(SIGTERM);
  recipe.await_end();
  BOOST_TEST(!scene::exists(journal));
  BOOST_TEST(recipe.log().empty());
}

BOOST_AUTO_TEST_CASE(a_database_that_can_not_be_opened_is_reported_to_the_caller) {
  Recipe recipe("database");
  if (!recipe.is_built()) return;
  boost::filesystem::create_directory(recipe.path("beats.sqlite"));
  const auto result = recipe.run();
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(result.err.find("unable to open database file") != std::string::npos, result.err);
  BOOST_TEST(!scene::exists(recipe.path("database.pid")));
}

BOOST_AUTO_TEST_CASE(each_job_that_a_pool_of_threads_has_taken_is_done) {
  Recipe recipe("thread_pool");
  recipe.start();
  BOOST_TEST(scene::eventually([&] { return recipe.lines_with("taken ") > 40; }));
  recipe.signal(SIGTERM);
  recipe.await_end();
  BOOST_TEST(recipe.lines_with("done ") == recipe.lines_with("taken "));
}

BOOST_AUTO_TEST_CASE(the_thread_of_spdlog_writes_all_lines_and_follows_a_rotation) {
  Recipe recipe("spdlog");
  if (!recipe.is_built()) return;
  recipe.start();
  BOOST_TEST(scene::eventually([&] { return recipe.lines_with("beat 1") == 1; }));
  boost::filesystem::rename(recipe.path("spdlog.log"), recipe.path("old.log"));
  recipe.signal(SIGHUP);
  BOOST_TEST(scene::eventually([&] { return scene::exists(recipe.path("spdlog.log")); }));
  recipe.signal(SIGTERM);
  recipe.await_end();
  BOOST_TEST(scene::contents(recipe.path("old.log")).find("beat 1") != std::string::npos);
  BOOST_TEST_REQUIRE(recipe.log().size() >= 2U);
  BOOST_TEST(recipe.log().back().find("good bye") != std::string::npos, recipe.log().back());
  BOOST_TEST(recipe.lines_with("reload") == 1U);
}

BOOST_AUTO_TEST_CASE(open_connections_are_served_to_their_end_after_a_stop) {
  Recipe recipe("drain");
  if (!recipe.is_built()) return;
  recipe.start({"60"});
  const int port = port_of(recipe);
  {
    const Client client(port);
    client.say("one\ntw");
    BOOST_TEST(client.hear() == "you said one");
    recipe.signal(SIGTERM);
    BOOST_TEST(scene::eventually([&] { return !Client(port).is_connected; }));
    client.say("o\n");
    BOOST_TEST(client.hear() == "you said two");
  }
  recipe.await_end();
  BOOST_TEST(recipe.log().back() == "ends with 0 connections");
}

// The kernel has taken the connections, but the service, which is suspended, has not.
BOOST_AUTO_TEST_CASE(connections_that_wait_when_a_stop_comes_are_served_too) {
  Recipe recipe("drain");
  if (!recipe.is_built()) return;
  recipe.start({"60"});
  const int port = port_of(recipe);
  recipe.signal(SIGSTOP);
  recipe.signal(SIGTERM);
  {
    std::list<Client> clients;
    while (clients.size() < 20) {
      BOOST_TEST(clients.emplace_back(port).is_connected);
      clients.back().say("one\n");
    }
    recipe.signal(SIGCONT);
    BOOST_TEST(std::count_if(clients.begin(), clients.end(),
                             [](const Client& client) { return client.hear() == "you said one"; }) == 20);
  }
  recipe.await_end();
}

BOOST_AUTO_TEST_CASE(a_connection_that_never_ends_is_cut_off_at_the_limit) {
  Recipe recipe("drain");
  if (!recipe.is_built()) return;
  recipe.start({"1"});
  const Client client(port_of(recipe));
  client.say("one\n");
  BOOST_TEST(client.hear() == "you said one");
  recipe.signal(SIGTERM);
  BOOST_TEST(client.hear() == "");
  recipe.await_end();
  BOOST_TEST(recipe.log().back() == "ends with 1 connections");
}

BOOST_AUTO_TEST_CASE(a_service_is_ready_once_its_large_table_is_complete) {
  Recipe recipe("large_heap");
  recipe.start({"64"});
  const std::string pid = std::to_string(scene::pid_in(recipe.path("large_heap.pid")));
  std::istringstream pages(scene::contents("/proc/" + pid + "/statm"));
  long total = 0;
  long resident = 0;
  pages >> total >> resident;
  BOOST_TEST(resident * ::sysconf(_SC_PAGESIZE) >= 64L << 20);
  recipe.signal(SIGTERM);
  recipe.await_end();
}
