// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE jobd

// The example jobd: what its users type, and what it promises while everything around it fails.

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <daemonctx/controller.hpp>
#include <map>
#include <mutex>
#include <random>
#include <regex>
#include <set>
#include <thread>

#include "client.hpp"
#include "scene.hpp"
#include "stage.hpp"

namespace fs = boost::filesystem;
using scene::Scene;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

std::string jobd() { return fs::absolute(scene::argument(1)).string(); }

struct Answer {
  bool is_connected = false;
  int status = 0;  ///< 0: the connection ended without an answer
  std::string text;
};

Answer ask(const std::string& address, const std::string& request, const std::string& fields = "",
           const std::string& body = "") {
  const scene::Peer peer = scene::connect_to(address);
  if (!peer) return {};
  const std::string sent = request + " HTTP/1.1\r\nHost: test\r\n" + fields +
                           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  std::string received;
  std::array<char, 4096> part{};
  ::send(peer.get(), sent.data(), sent.size(), MSG_NOSIGNAL);
  for (ssize_t size = 0; (size = ::recv(peer.get(), part.data(), part.size(), 0)) > 0;)
    received.append(part.data(), static_cast<std::size_t>(size));
  const auto end = received.find("\r\n\r\n");
  if (end == std::string::npos) return {true, 0, {}};
  return {true, std::stoi(received.substr(received.find(' '))), received.substr(end + 4)};
}

/// jobd's files and addresses.
struct Place {
  Scene scene;
  std::string config = scene.path("conf");
  std::string data = scene.path("data");
  std::string log = scene.path("log/jobd.log");
  std::string control = scene.path("run/control.sock");
  std::string port;  ///< the address of HTTP

  explicit Place(std::string address = "127.0.0.1:0") : port(std::move(address)) {
    ::chmod(scene.folder().c_str(), 0755);
    fs::create_directory(scene.path("log"));
    fs::create_directory(scene.path("run"));
    fs::create_directory(data);
    for (const auto& each : {"log", "run", "data"}) ::chmod(scene.path(each).c_str(), 0777);
    configure(3);
  }

  void configure(int workers) const {
    std::string text = "workers = " + std::to_string(workers) + '\n';
    const std::map<std::string, std::string> values = {{"database", data + "/jobs.sqlite"},
                                                       {"control", control},
                                                       {"listen", port},
                                                       {"pidfile", scene.path("run/pid")},
                                                       {"log", log}};
    for (const auto& [name, value] : values) text += name + " = " + value + '\n';
    if (::geteuid() == 0) text += "user = nobody\n";
    scene::write_file(config + ".new", text);
    fs::rename(config + ".new", config);
  }

  scene::Result type(scene::Words words) const {
    words.insert(words.begin(), jobd());
    words.insert(words.end(), {"--config", config});
    return Scene::run(words);
  }
  void says(const scene::Words& words, int status, const std::string& text) const {
    const auto result = type(words);
    BOOST_TEST(result.end.exited(status), words[0] << ": " << result.end);
    BOOST_TEST(result.out + result.err == text);
  }
  daemonctx::Controller controller() const { return daemonctx::Controller(scene.path("run/pid")); }
};

/// A service that detaches, at a free port.
struct Service : Place {
  Service() : Place(free_address()) {
    const auto result = type({"start"});
    BOOST_TEST_REQUIRE(result.end.exited(0), result.err);
  }
  ~Service() {
    std::error_code ignored;
    controller().stop(daemonctx::stop_policy(), ignored);
  }

  static std::string address_of(const scene::Peer& peer) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(peer.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  static std::string free_address() { return address_of(scene::listen_at("127.0.0.1:0")); }

  bool lists(const std::string& line) const {
    return scene::eventually(
        [&] { return ('\n' + type({"list"}).out).find('\n' + line + '\n') != std::string::npos; });
  }
};

/// Holds the sockets, as a socket unit does, and starts the service again whenever it ends.
class Unit {
 public:
  explicit Unit(Place& place) : place_(place), http_(scene::listen_at("127.0.0.1:0", SOCK_STREAM, 128)) {
    place.port = Service::address_of(http_);
    place.configure(3);
    control_.emplace(scene::listen_at(place.control, SOCK_STREAM, 128));
    ::chmod(place.control.c_str(), 0666);
    thread_ = std::thread([this] {
      for (; !done_; ++starts_) run();
      ended_ = true;
    });
  }
  ~Unit() { stop(); }
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  void stop() {
    if (!thread_.joinable()) return;
    done_ = true;
    const bool stops = scene::eventually([&] {
      std::error_code none_runs;
      place_.controller().stop(daemonctx::stop_policy(), none_runs);
      return ended_.load();
    });
    if (!stops) kill();
    thread_.join();
    BOOST_TEST(stops, "the service did not stop");
  }

  /// Kills the monitor, if there is one.
  void kill() {
    const std::lock_guard lock(mutex_);
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }
  int starts() const { return starts_; }

 private:
  // Its pid is reaped under the lock: nobody kills a later process with it.
  void run() {
    {
      const std::lock_guard lock(mutex_);
      pid_ = start();
    }
    siginfo_t end{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT);
    const std::lock_guard lock(mutex_);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  pid_t start() {
    const std::array<int, 2> sockets = {::fcntl(http_.get(), F_DUPFD_CLOEXEC, 100),
                                        ::fcntl(control_->get(), F_DUPFD_CLOEXEC, 100)};
    const std::string program = jobd();
    const pid_t pid = ::fork();
    if (pid == 0) {
      scene::begin_afresh();
      ::dup2(sockets[0], 3);
      ::dup2(sockets[1], 4);
      const int log = ::open((place_.log + ".unit").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
      ::dup2(log, STDOUT_FILENO);
      ::dup2(log, STDERR_FILENO);
      ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
      ::setenv("LISTEN_FDS", "2", 1);
      ::setenv("LISTEN_FDNAMES", "http:control", 1);
      ::execl(program.c_str(), program.c_str(), "run", "--config", place_.config.c_str(), nullptr);
      ::_exit(127);
    }
    for (const int each : sockets) ::close(each);
    return pid;
  }

  Place& place_;
  scene::Peer http_;
  std::optional<scene::Peer> control_;
  std::atomic<bool> done_ = false;
  std::atomic<bool> ended_ = false;
  std::atomic<int> starts_ = 0;
  std::mutex mutex_;
  pid_t pid_ = 0;  // of the monitor
  std::thread thread_;
};

/// Hand in jobs without pause, by both sockets.
class Clients {
 public:
  explicit Clients(const Place& place) {
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      threads_[i] = std::thread([this, i, address = i % 2 == 0 ? place.port : place.control] {
        for (long number = static_cast<long>(i); !done_; number += 100) submit(address, number);
      });
    }
  }
  ~Clients() { finish(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void finish() {
    done_ = true;
    for (auto& each : threads_)
      if (each.joinable()) each.join();
  }
  const std::map<long, long>& accepted() const { return accepted_; }  ///< the number of each job, by its id
  int refused() const { return refused_; }                            ///< connections
  int cut_off() const { return cut_off_; }                            ///< without an answer
  int rejected() const { return rejected_; }                          ///< jobs, by a service without room

 private:
  void submit(const std::string& address, long number) {
    const Answer answer = ask(address, "POST /jobs", "", "sum " + std::to_string(number));
    if (!answer.is_connected) ++refused_;
    else if (answer.status == 0) ++cut_off_;
    else if (answer.status != 201) ++rejected_;
    else {
      const std::lock_guard lock(mutex_);
      accepted_[std::stol(answer.text)] = number;
    }
  }

  std::array<std::thread, 8> threads_;
  std::atomic<bool> done_ = false;
  std::atomic<int> refused_ = 0, cut_off_ = 0, rejected_ = 0;
  std::mutex mutex_;
  std::map<long, long> accepted_;
};

/// The effects of all jobs: job and result.
std::multimap<long, std::string> effects(const Place& place) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  std::multimap<long, std::string> found;
  BOOST_REQUIRE(::sqlite3_open((place.data + "/jobs.sqlite").c_str(), &database) == SQLITE_OK);
  ::sqlite3_busy_timeout(database, 10'000);
  BOOST_REQUIRE(::sqlite3_prepare_v2(database, "SELECT job, result FROM effects", -1, &statement, nullptr) ==
                SQLITE_OK);
  while (::sqlite3_step(statement) == SQLITE_ROW)
    found.emplace(::sqlite3_column_int64(statement, 0),
                  reinterpret_cast<const char*>(::sqlite3_column_text(statement, 1)));
  ::sqlite3_finalize(statement);
  ::sqlite3_close(database);
  return found;
}

/// A file system of 256 MiB that root mounts at a directory; nothing for others.
class SmallDisk {
 public:
  explicit SmallDisk(std::string directory) : directory_(std::move(directory)) {
    if (::geteuid() != 0) return;
    scene::have_private_mounts();
    BOOST_REQUIRE(::mount("jobd", directory_.c_str(), "tmpfs", 0, "size=256m,mode=777") == 0);
  }
  ~SmallDisk() {
    if (::geteuid() == 0) ::umount2(directory_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  const std::string directory_;
};

/// What happens to a service, at random.
class Faults {
 public:
  Faults(const Place& place, Unit& unit, Clients& clients) : place_(place), unit_(unit), clients_(clients) {}

  unsigned seed() const { return seed_; }
  std::string counts() const {
    std::string text;
    for (const auto& [name, times] : count_) text += ", " + std::to_string(times) + " x " + name;
    return text;
  }

  /// A pause of up to 300 ms, and a fault.
  void next() {
    std::this_thread::sleep_for(milliseconds(random_() % 300));
    const auto& [name, disturb] = all_[random_() % all_.size()];
    (this->*disturb)();
    ++count_[name];
  }

 private:
  void segv() { kill_worker(scene::sanitized ? SIGABRT : SIGSEGV); }
  void kill() { kill_worker(SIGKILL); }
  void kill_monitor() { unit_.kill(); }
  void stop() { place_.type({"stop"}); }
  void upgrade() { place_.type({"upgrade"}); }
  void reload() {
    place_.configure(workers_ = workers_ % 6 + 1);
    place_.type({"reload"});
  }
  void rotate() {
    ::rename(place_.log.c_str(), (place_.log + ".1").c_str());
    place_.type({"reopen"});
  }

  // For as long as it takes that a job is refused, at most 300 ms.
  void fill_disk() {
    if (::geteuid() != 0) return;
    const std::string filler = place_.data + "/filler";
    struct statvfs disk {};
    ::statvfs(place_.data.c_str(), &disk);
    const int file = ::open(filler.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::posix_fallocate(file, 0, static_cast<off_t>(disk.f_bavail * disk.f_frsize));
    ::close(file);
    const auto end = Clock::now() + milliseconds(300);
    const int before = clients_.rejected();
    while (Clock::now() < end && clients_.rejected() == before) std::this_thread::sleep_for(milliseconds(5));
    fs::remove(filler);
  }

  void kill_worker(int signal) {
    std::smatch found;
    const std::string text = ask(place_.port, "GET /status").text;
    if (std::regex_search(text, found, std::regex("\"pid\":([0-9]+)"))) ::kill(std::stoi(found[1]), signal);
  }

  const Place& place_;
  Unit& unit_;
  Clients& clients_;
  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
  int workers_ = 3;
  std::map<std::string, int> count_;
  const std::vector<std::pair<const char*, void (Faults::*)()>> all_ = {
      {"SIGSEGV of the worker", &Faults::segv},
      {"SIGKILL of the worker", &Faults::kill},
      {"SIGKILL of the monitor", &Faults::kill_monitor},
      {"stop", &Faults::stop},
      {"reload", &Faults::reload},
      {"upgrade", &Faults::upgrade},
      {"rotation", &Faults::rotate},
      {"full disk", &Faults::fill_disk}};
};

/// Each job that was accepted has one effect, and none has two.
void check(const Place& place, const Clients& clients, unsigned seed) {
  std::multimap<long, std::string> done;
  const auto all_are_done = [&] {
    return std::all_of(clients.accepted().begin(), clients.accepted().end(),
                       [&](const auto& job) { return done.count(job.first) > 0; });
  };
  while (!all_are_done()) {
    const std::size_t before = done.size();
    BOOST_TEST_REQUIRE(scene::eventually([&] {
      done = effects(place);
      return done.size() > before || all_are_done();
    }));
  }
  for (const auto& [id, number] : clients.accepted()) {
    BOOST_TEST_CONTEXT("job " << id << ", seed " << seed) {
      BOOST_TEST_REQUIRE(done.count(id) == 1U);
      BOOST_TEST(done.find(id)->second == std::to_string(number));
    }
  }
  std::set<long> ids;
  for (const auto& each : done) ids.insert(each.first);
  BOOST_TEST(ids.size() == done.size(), "jobs were done twice, seed " << seed);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(jobs_are_handed_in_listed_and_cancelled, Service) {
  says({"submit", "sum", "1", "2", "3"}, 0, "1\n");
  BOOST_TEST(lists("1 done: sum 1 2 3 -> 6"));
  says({"submit", "nonsense"}, 0, "2\n");
  BOOST_TEST(lists("2 failed: nonsense -> \"nonsense\" is no job; \"sum\" and \"sleep\" are"));
  says({"submit", "sleep 2000"}, 0, "3\n");
  says({"cancel", "3"}, 0, "");
  BOOST_TEST(lists("3 cancelled: sleep 2000"));
  says({"cancel", "3"}, 1, "jobd: no such job is queued\n");
  says({"submit", "two\nlines"}, 1, "jobd: a job is one line of text, without control characters\n");
  BOOST_TEST((scene::status_of(data).st_mode & 0777) == 0777U);  // a directory that was there stays as it was
  says({"submit"}, 2, "jobd: the option '--job' is required but missing\n");
}

BOOST_FIXTURE_TEST_CASE(a_reload_changes_the_number_of_workers, Service) {
  const auto has = [&](const std::string& workers) {
    return ask(port, "GET /status").text.find("\"workers\":[" + workers + ']') != std::string::npos;
  };
  for (const auto& [number, workers] : {std::pair(5, "0,0,0,0,0"), std::pair(2, "0,0")}) {
    configure(number);
    says({"reload"}, 0, "");
    BOOST_TEST(scene::eventually([&, text = workers] { return has(text); }));
  }
  configure(65);
  says({"reload"}, 1, "jobd: reload refused: " + config + ":1: workers: must be 1 to 64\n");
  BOOST_TEST(has("0,0"));
}

BOOST_FIXTURE_TEST_CASE(a_hostile_client_gets_an_error_and_nothing_else, Service) {
  BOOST_TEST(ask(port, "POST /jobs", "Origin: http://example.org\r\n", "sum 1").status == 403);
  BOOST_TEST(ask(port, "POST /jobs", "", std::string(100'000, 'x')).status == 413);
  BOOST_TEST(ask(port, "POST /jobs", "", "").status == 400);
  BOOST_TEST(ask(port, "DELETE /jobs/1;drop").status == 404);
  BOOST_TEST(ask(port, "GET /../etc/passwd").status == 404);
  BOOST_TEST(ask(port, "no HTTP at all\r\n\r\n").status == 0);
  BOOST_TEST(ask(port, "POST /jobs", "", "sum 1').status").status == 201);
  BOOST_TEST(lists("1 failed: sum 1').status -> after \"sum\" only numbers may follow"));
}

BOOST_FIXTURE_TEST_CASE(a_browser_shows_the_page, Service) {
  const std::string browser = "/usr/bin/chromium";
  if (!scene::exists(browser)) {
    BOOST_TEST_MESSAGE("skipped: chromium is not installed");
    return;
  }
  for (const char* job : {"sum 1", "sum 2", "<i>job</i>"}) type({"submit", job});
  BOOST_TEST(lists("3 failed: <i>job</i> -> \"<i>job</i>\" is no job; \"sum\" and \"sleep\" are"));
  const auto shown = Scene::run({browser, "--headless=new", "--no-sandbox", "--disable-gpu",
                                 "--user-data-dir=" + scene.path("browser"), "--virtual-time-budget=3000",
                                 "--dump-dom", "http://" + port + '/'});
  BOOST_TEST(shown.end.exited(0), shown.err);
  for (const char* part : {"<dt>done</dt><dd>2</dd>", "<dt>failed</dt><dd>1</dd>", "<td>worker 3</td>",
                           "\"&lt;i&gt;job&lt;/i&gt;\" is no job", "<title>2</title>"})
    BOOST_TEST(shown.out.find(part) != std::string::npos, part << " is missing in " << shown.out);
}

BOOST_AUTO_TEST_CASE(a_socket_of_the_manager_stays_the_managers_after_an_upgrade) {
  Place place;
  Unit unit(place);
  BOOST_TEST(scene::eventually([&] { return place.type({"upgrade"}).end.exited(0); }));
  unit.stop();
  BOOST_TEST(scene::exists(place.control));
  BOOST_TEST(bool(scene::connect_to(place.control)));
}

// What is judged are the jobs in the end.
BOOST_AUTO_TEST_CASE(no_job_is_lost_or_done_twice_whatever_ends_or_fills_up) {
  Place place;
  const SmallDisk disk(place.data);
  Unit unit(place);
  Clients clients(place);
  Faults faults(place, unit, clients);
  const int seconds = std::min(scene::rounds(std::stoi(scene::argument(2))) / 10, 120);
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  while (Clock::now() < end) faults.next();
  clients.finish();
  check(place, clients, faults.seed());
  unit.stop();
  BOOST_TEST(clients.refused() == 0);
  BOOST_TEST_MESSAGE(clients.accepted().size() << " jobs accepted, " << clients.rejected() << " rejected, "
                                               << clients.cut_off() << " cut off, " << unit.starts()
                                               << " starts" << faults.counts() << ", seed " << faults.seed());
}
