// SPDX-License-Identifier: BSL-1.0

// Pidfiles with any text, and any locks and notices of their holder. A daemon of another user can make them,
// and root looks at them, stops and reloads the daemon. A signal must reach the holder of the identity lock
// and nobody else, whatever the text says.

#include <chrono>

#include "base/one_line.hpp"
#include "daemonctx/controller.hpp"
#include "features.hpp"
#include "fuzz.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/reload_status.hpp"
#include "pidfile/worker_status.hpp"
#include "pidfile_processes.hpp"

using namespace daemonctx;
using fuzz::require;
using posix::BoardNumber;
using posix::BoardText;

namespace {

constexpr off_t identity_byte = 1;
constexpr std::uint64_t place_size = std::uint64_t{1} << 57U;
constexpr std::size_t text_bytes = 96;

// What a process shows on its lock board, from the bytes of an input.
struct Notices {
  std::uint8_t locks;  // a bit for each of the first bytes
  std::uint8_t kinds;
  std::array<std::uint64_t, 7> numbers;
  ReloadNotice reload;
  WorkerNotice worker;
  std::string refusal;
  std::string status;

  explicit Notices(fuzz::Input& input)
      : locks(input.number()), kinds(input.number()), numbers(), reload{input.number<std::uint32_t>()} {
    for (std::uint64_t& each : numbers) each = input.number<std::uint64_t>() % place_size;
    // A reader waits for a notice that is being changed.
    constexpr std::uint64_t changing_bit = 1;
    if (!shows(6)) numbers[static_cast<std::size_t>(BoardNumber::worker_number)] &= ~changing_bit;
    reload.running = input.flag();
    reload.refused = input.flag();
    worker.number = input.number<unsigned>();
    if (input.flag()) worker.began = std::chrono::milliseconds(input.number<std::uint32_t>());
    if (input.flag()) {
      worker.last_end.emplace();
      worker.last_end->exit_code = input.number();
      worker.last_end->signal = input.number() % NSIG;
      worker.last_end->hung = input.flag();
      worker.last_end->uptime = std::chrono::milliseconds(input.number<std::uint32_t>());
    }
    refusal = input.text(input.number());
    status = input.text(input.number());
    reload.text = refusal;
  }
  bool holds(off_t byte) const { return (locks & (1U << static_cast<unsigned>(byte))) != 0; }
  bool shows(unsigned kind) const { return (kinds & (1U << kind)) != 0; }
};

void set_locks(int fd, short type, off_t begin, off_t size) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = begin;
  lock.l_len = size;
  ::fcntl(fd, F_SETLK, &lock);
}

void show(int fd, const Notices& notices) {
  constexpr off_t lock_bytes = 5;
  // One by one: a daemon that gives up its identity lock, if only for a moment, is gone.
  for (off_t byte = 0; byte < lock_bytes; ++byte)
    set_locks(fd, notices.holds(byte) ? F_WRLCK : F_UNLCK, byte, 1);
  set_locks(fd, F_UNLCK, lock_bytes, 0);
  for (unsigned number = 0; number < notices.numbers.size(); ++number) {
    if (notices.shows(0)) posix::show_number(fd, static_cast<BoardNumber>(number), notices.numbers[number]);
  }
  if (notices.shows(1)) posix::show_text(fd, BoardText::refusal, notices.refusal);
  if (notices.shows(2)) posix::show_text(fd, BoardText::status, notices.status);
  if (notices.shows(3)) show_outcome(fd, notices.reload);
  if (notices.shows(4)) show_worker(fd, notices.worker);
  if (notices.shows(5)) show_sign_of_life(fd);
}

// The daemon. Upon SIGHUP it shows the second set of notices.
void obey(int fd, fuzz::Input command) { show(fd, Notices(command)); }
void reload(int fd, fuzz::Input command) {
  const Notices first(command);
  Notices second(command);
  second.locks = first.locks;
  show(fd, second);
  static_cast<void>(::pwrite(fd, "1", 1, 0));  // those who wait for the outcome watch the file
}

// A stranger locks what it likes, but for the byte that would make it the daemon.
void disturb(int fd, fuzz::Input command) {
  set_locks(fd, F_UNLCK, 0, 0);
  for (int count = command.number() % 8; count > 0 && !command.empty(); --count) {
    const short type = command.flag() ? F_WRLCK : F_RDLCK;
    const off_t begin = static_cast<off_t>(command.number<std::uint64_t>() >> 1U);
    const off_t size = std::max<off_t>(1, static_cast<off_t>(command.number<std::uint64_t>() >> 3U));
    set_locks(fd, type, std::max<off_t>(begin, identity_byte + 1), size);
  }
}

// The processes that see the pidfile, and the pidfile.
struct Stage {
  fuzz::Folder folder;
  std::string path = folder / "pid";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  fuzz::PidfileProcess daemon{path, obey, reload};
  fuzz::PidfileProcess stranger{path, disturb, {}};

  static const Stage& get() {
    static const Stage stage;
    return stage;
  }

  // "$" stands for the stranger's pid.
  std::string write(std::string text) const {
    const std::size_t sign = text.find('$');
    if (sign != std::string::npos) text.replace(sign, 1, std::to_string(stranger.pid()));
    fuzz::expect(::ftruncate(fd, 0) == 0, "ftruncate");
    fuzz::expect(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), "pwrite");
    return text;
  }
};

void check_status(const Notices& notices, const std::string& text) {
  const Stage& stage = Stage::get();
  std::error_code error;
  const DaemonStatus status = Controller(stage.path).status(error);
  if (!notices.holds(identity_byte)) {
    require(status.pid == 0, "without the lock nobody is the daemon, whatever the text says");
    require(status.state != DaemonState::running && status.state != DaemonState::stopping, "no daemon runs");
    require(status.text.empty() && !status.worker, "without a daemon there are no notices");
    require(status.state != DaemonState::stopped || text.empty(), "a text without a daemon is stale");
    return;
  }
  require(!error && status.pid == stage.daemon.pid(), "the holder of the lock is the daemon");
  require(status.text.size() <= posix::longest(BoardText::status), "a status has its longest size");
  require(fuzz::is_one_line(status.text), "a status is one line");
  require(fuzz::is_one_line(to_string(status, stage.path)), "the answer to the user is one line");
  if (status.worker && status.worker->last_worker_end) {
    const WorkerEnd& end = *status.worker->last_worker_end;
    require(end.signal >= 0 && end.signal < NSIG && end.exit_code >= 0 && end.exit_code < 256,
            "an end has an exit code or a signal");
    require(end.uptime >= end.uptime.zero(), "no time is negative");
  }
}

// Only a notice that no stranger disturbs is read as it was shown.
void check_notices(const Notices& notices) {
  const Stage& stage = Stage::get();
  const pid_t author = stage.daemon.pid();
  if (notices.shows(2)) {
    const std::string wanted = notices.status.substr(0, notices.status.find('\0'));
    require(posix::shown_text(stage.fd, BoardText::status, author) ==
                cut(wanted, posix::longest(BoardText::status)),
            "a text is read as it was shown");
  }
  bool settled = false;
  const auto reload = read_reload_notice(stage.fd, author, settled);
  if (notices.shows(3)) {
    require(settled && reload && reload->finished == notices.reload.finished,
            "a count is read as it was shown");
    require(reload->running == notices.reload.running && reload->refused == notices.reload.refused,
            "an outcome is read as it was shown");
    require(reload->text.size() <= posix::longest(BoardText::refusal), "a refusal has its longest size");
  }
  const auto worker = read_worker_notice(stage.fd, author);
  if (!notices.shows(4)) return;
  require(worker && worker->worker_number == notices.worker.number, "a worker is read as it was shown");
  require(worker->since.has_value() == notices.worker.began.has_value(), "a worker runs as it was shown");
  require(worker->last_worker_end.has_value() == notices.worker.last_end.has_value(),
          "an end is as it was shown");
  if (!worker->last_worker_end) return;
  const WorkerEnd& wanted = *notices.worker.last_end;
  const WorkerEnd& end = *worker->last_worker_end;
  require(end.signal == wanted.signal && end.exit_code == wanted.exit_code && end.hung == wanted.hung &&
              end.uptime == wanted.uptime,
          "an end is read as it was shown");
}

// A start that has the lock and no pid yet is waited for, which takes two seconds; so is a reload of a daemon
// that is not ready.
bool would_wait(const Notices& notices) {
  const bool starts = notices.holds(0) && !notices.holds(identity_byte);
  return starts ||
         (notices.holds(identity_byte) && !notices.holds(2) && !notices.shows(0) && !notices.shows(3));
}

void check_control(const Notices& notices, bool waits) {
  const Stage& stage = Stage::get();
  const Controller controller(stage.path);
  const bool is_daemon = notices.holds(identity_byte);
  std::error_code error;
  const ReloadResult reloaded = controller.reload(std::chrono::milliseconds(waits ? 5 : 0), error);
  require(fuzz::is_one_line(reloaded.refusal), "a refusal is one line");
  require(is_daemon || error == std::errc::no_such_process, "nobody reloads without a daemon");
  require(!is_daemon || error || reloaded.pid == stage.daemon.pid(), "the daemon reloads");
  const StopResult stopped = controller.stop({{SIGTERM, {}}, {SIGUSR1, {}}}, error);
  require(stopped.pid == 0, "nobody ends");
  require(error == (is_daemon ? std::errc::timed_out : std::errc::no_such_process), "the daemon stays");
}

// Only a number is a pidfile, and only one that nobody locks is removed.
void check_removal(const Notices& notices, const std::string& text) {
  constexpr std::string_view of_number("0123456789 \t\r\n\0", 15);
  const bool is_number = text.find_first_not_of(of_number) == std::string::npos;
  // Without open-file-description locks the exclusion lock is no record lock, and the daemon here lacks it.
  const bool is_locked = (DAEMONCTX_HAVE_OFD_LOCKS && notices.holds(0)) || notices.holds(3);
  if (is_number && !is_locked) return;  // the other processes have it open
  const Stage& stage = Stage::get();
  std::error_code error;
  require(!Controller(stage.path).remove_stale_pidfile(error), "only a stale pidfile is removed");
  require(::access(stage.path.c_str(), F_OK) == 0, "the file is still there");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const Stage& stage = Stage::get();
  const auto mode = input.number();
  const std::string text = stage.write(input.text(input.number() % text_bytes));
  const std::string disturbance = (mode & 1U) != 0 ? input.text(input.number()) : "";
  const std::string shown = input.text(4096);
  fuzz::Input command(reinterpret_cast<const std::uint8_t*>(shown.data()), shown.size());
  const Notices notices(command);
  if (shown.empty()) return 0;
  stage.stranger.tell(disturbance + '\0');  // an empty command would be an end of file
  stage.daemon.tell(shown);

  const bool is_disturbed = (mode & 1U) != 0;
  check_status(notices, text);
  if (!is_disturbed) check_notices(notices);
  require(stage.daemon.tell(shown) == 0, "whoever only looks sends no signal");
  check_removal(notices, text);
  const bool controls = !would_wait(notices) && !is_disturbed;
  if (controls) check_control(notices, (mode & 2U) != 0);

  require(stage.daemon.is_alive() && stage.stranger.is_alive(), "no process is killed");
  const std::uint64_t to_daemon = stage.daemon.tell(shown);
  const std::uint64_t wanted = 1U << SIGTERM | 1U << SIGUSR1 | 1U << SIGCONT;
  require((to_daemon & wanted) == (controls && notices.holds(identity_byte) ? wanted : 0),
          "the holder of the identity lock, and only that, is signalled");
  require((to_daemon & ~(wanted | 1U << SIGHUP)) == 0, "no other signal is sent");
  require(stage.stranger.tell(std::string(1, '\0')) == 0, "a process that the text names gets no signal");
  return 0;
}
