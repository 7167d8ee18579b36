// SPDX-License-Identifier: BSL-1.0

// What a monitor does upon the messages of its worker, which may be in the hands of an attacker: the messages
// that the service manager gets, the files that the worker gets, and what the pidfile says.

#include <sys/socket.h>

#include "fuzz.hpp"
#include "pidfile_processes.hpp"
#include "posix/sealed_memory.hpp"
#include "supervise/monitor.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

void receive_messages(Monitor& monitor);
process::PrivateFd& connection_of(Monitor& monitor);
pid_t& worker_of(Monitor& monitor);

// An explicit instantiation may name private members.
template <auto receive, auto connection, auto worker>
struct Opened {
  friend void receive_messages(Monitor& monitor) { (monitor.*receive)(); }
  friend process::PrivateFd& connection_of(Monitor& monitor) { return monitor.*connection; }
  friend pid_t& worker_of(Monitor& monitor) { return monitor.*worker; }
};
template struct Opened<&Monitor::receive_messages, &Monitor::connection_, &Monitor::worker_>;

struct stat status_of(int fd) {
  struct stat found {};
  fuzz::expect(::fstat(fd, &found) == 0, "fstat");
  return found;
}

// What outlives each monitor.
struct Stage {
  fuzz::Folder folder;
  std::string allowed = folder / "allowed";
  fuzz::PidfileProcess worker{folder / "none", [](int, fuzz::Input) {}, [](int, fuzz::Input) {}};
  Stdio stdio;
  process::ProcessTitle title{""};
  Redirection redirection;
  OutputRepair output_repair;
  StatusWriter status;
  RespawnPolicy policy;
  Pidfile pidfile;

  static Stage& get() {
    static Stage stage;
    return stage;
  }
  Stage() {
    ::close(::open(allowed.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    policy.monitor_opens = {Path(allowed), Path(folder / "missing")};
    policy.hang_timeout = std::chrono::hours(1);
    const Progress none;
    Ticker ticker(none);
    pidfile = Pidfile::lock(folder / "pid", 0644, {}, ticker);
    fuzz::expect(pidfile.claim() == 0, "claim");
  }
};

// A monitor, and the other ends of its connections.
class Stand {
 public:
  explicit Stand(bool detaches)
      : monitor_({.policy = Stage::get().policy,
                  .signal_map = {{SIGTERM, Action::terminate}, {SIGUSR1, [](const SignalInfo&) {}}},
                  .detaches = detaches,
                  .ready_timeout = forever,
                  .stdio = Stage::get().stdio,
                  .title = Stage::get().title,
                  .manager = manager_,
                  .pidfile = Stage::get().pidfile,
                  .redirection = Stage::get().redirection,
                  .output_repair = Stage::get().output_repair,
                  .status = Stage::get().status,
                  .notify_descriptor = notify_descriptor_,
                  .sockets = sockets_,
                  .passed = passed_,
                  .mode = LaunchMode::detached,
                  .worker = worker_,
                  .reload_notice = reload_,
                  .program = program_,
                  .upgrade = upgrade_,
                  .predecessor = predecessor_,
                  .report = [](const auto&, auto) {},
                  .remove_pidfile = [] { require(false, "no message removes the pidfile"); },
                  .keep = [] {}}) {
    WorkerConnection to_manager = connect_worker();
    manager_end_ = std::move(to_manager.monitor);
    manager_.adopt(std::move(to_manager.worker));
    manager_.never_wait();
    WorkerConnection to_worker = connect_worker();
    worker_end_.adopt(std::move(to_worker.worker));
    worker_end_.never_wait();
    connection_of(monitor_).reset(std::move(to_worker.monitor));
    worker_of(monitor_) = Stage::get().worker.pid();
  }

  void say(const std::string& text, int fd) {
    const std::uint64_t before = reload_.finished;
    static_cast<void>(worker_end_.send(text, fd));
    receive_messages(monitor_);
    require(reload_.finished - before <= 1, "reloads are counted one by one");
    check_passed();
  }

 private:
  void check_passed() const {
    const std::string own_pid = "MAINPID=" + std::to_string(::getpid());
    while (const auto message = receive_message(manager_end_.get())) {
      for (const std::string& line : fuzz::split(message->text, '\n')) {
        require(!line.starts_with("MAINPID") || line == own_pid, "the main pid is the monitor's");
        require(!line.starts_with("X_"), "what is for the monitor stays with it");
      }
    }
  }

  SdNotify manager_;
  UniqueFd manager_end_;
  SdNotify worker_end_;
  int notify_descriptor_ = -1;
  Sockets sockets_;
  std::vector<ListenDescriptor> passed_;
  WorkerSelf worker_;
  ReloadNotice reload_;
  OwnProgram program_;
  UpgradeOptions upgrade_;
  std::optional<HandOver> predecessor_;
  Monitor monitor_;
};

// With the end of a connection for an answer, on which a memory may wait.
void ask(Stand& stand, const std::string& text, unsigned kind) {
  WorkerConnection connection = connect_for_answer();
  SdNotify worker;
  const UniqueFd memory = kind == 2 ? posix::sealed_memory("bytes") : UniqueFd(::dup(STDERR_FILENO));
  worker.adopt(UniqueFd(::dup(connection.worker.get())));
  worker.never_wait();
  if (kind >= 2) worker.send("memory", memory.get());
  stand.say(text, connection.monitor.get());
  const struct stat allowed =
      status_of(UniqueFd(::open(Stage::get().allowed.c_str(), O_PATH | O_CLOEXEC)).get());
  while (const auto answer = receive_message(connection.worker.get())) {
    if (!answer->descriptor) {
      require(answer->text != "done" || kind == 2 || text == reopen_message, "only sealed memory is kept");
      if (answer->text.empty()) break;
      continue;
    }
    const struct stat given = status_of(answer->descriptor.get());
    require(given.st_dev == allowed.st_dev && given.st_ino == allowed.st_ino,
            "a worker gets no file but those that the program has named");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Stage& stage = Stage::get();
  const int before = fuzz::free_descriptor();
  {
    Stand stand(input.flag());
    for (int count = 0; count < 100 && !input.empty(); ++count) {
      const auto kind = input.number() % 4U;
      const std::string text = input.word('\0');
      if (kind == 0) stand.say(text, -1);
      else ask(stand, text, kind);
    }
  }
  require(fuzz::free_descriptor() == before, "a monitor leaves no descriptor open");
  require(stage.worker.is_alive() && stage.worker.tell("x") == 0, "no message signals the worker");
  std::array<char, 32> text{};
  const auto length = ::pread(stage.pidfile.fd(), text.data(), text.size(), 0);
  require(length > 0 && std::string_view(text.data(), static_cast<std::size_t>(length)) ==
                            std::to_string(::getpid()) + '\n',
          "the pidfile names the monitor");
  return 0;
}
