// SPDX-License-Identifier: BSL-1.0
#include "context/adoption.hpp"

#include <algorithm>
#include <utility>

#include "posix/sealed_memory.hpp"
#include "supervise/crash_handler.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

UniqueFd take(int& fd) noexcept { return UniqueFd(std::exchange(fd, -1)); }

[[noreturn]] void refuse(const char* reason) {
  throw DaemonError(
      Step::adopt_predecessor, std::make_error_code(std::errc::invalid_argument), {},
      std::string("cannot take over from the running daemon: ") + reason + "; it needs a restart");
}

void keep_memories(Impl& impl, HandOver& record) {
  auto& remembered = impl.resources.worker.remembered;
  remembered.at(static_cast<std::size_t>(Memory::program)) = take(record.memory);
  remembered.at(static_cast<std::size_t>(Memory::service)) = take(record.service_memory);
}

void adopt_service(Impl& impl, HandOver record) {
  if (impl.plan.is_supervised()) refuse("it has no monitor, and this program has one");
  impl.resources.is_claimed = false;
  impl.resources.shows = false;
  impl.resources.status = StatusWriter(take(record.status));
  impl.resources.keep_memory(take(record.memory));
  impl.resources.heir = std::make_unique<Heir>(std::move(record));
}

// A monitor of another version would not know of these.
void check_monitor(const Impl& impl, const HandOver& record) {
  const DaemonOptions& options = impl.plan.options;
  const auto& opens = options.respawn_policy.monitor_opens;
  if (!impl.plan.is_supervised()) refuse("it has a monitor, and this program has none");
  if (Redirection::count_pumps(options.stdio) != record.pump_count)
    refuse("it prints to another number of syslog targets");
  const bool is_same =
      std::equal(opens.begin(), opens.end(), record.opens.begin(), record.opens.end(),
                 [](const Path& one, const std::string& other) { return one.native() == other; });
  if (!is_same) refuse("its monitor opens other files for its workers");
}

void adopt_worker(Impl& impl, HandOver record) {
  impl.resources.status = StatusWriter(take(record.status));
  try {
    check_monitor(impl, record);
  } catch (const DaemonError& error) {
    impl.resources.status.send_failure(error.step(), error.code().value(), error.what());
    throw;
  }
  WorkerSelf& self = impl.resources.worker;
  self.monitor = record.monitor;
  self.lifeline = take(record.lifeline);
  self.number = record.number;
  self.last_end = record.last_end;
  keep_memories(impl, record);
  impl.resources.reload_notice.finished = record.reloads;
  impl.title.set("worker " + std::to_string(self.number));
  const bool wants_stacks = impl.plan.options.respawn_policy.crash_report.get() != nullptr;
  SharedNotes notes = share_notes(take(record.notes));
  note_crashes(notes.crash, wants_stacks ? notes.threads : nullptr);
  impl.resources.heir = std::make_unique<Heir>(std::move(record));
}

void adopt_former_program(Impl& impl, HandOver record) {
  if (record.workers.size() != 2) refuse("its record has no workers");
  keep_memories(impl, record);
  std::vector<HandedLines> lines;
  for (HandedPump& each : record.pumps) {
    const UniqueFd rest = take(each.rest);
    lines.push_back({take(each.reader), take(each.writer), rest ? posix::bytes_of(rest) : ""});
  }
  impl.resources.redirection.inherit(std::move(lines));
  impl.predecessor = std::move(record);
}

}  // namespace

// The supervisor was told by the first start; the number of its descriptor may now be that of another file.
void adopt(Impl& impl, HandOver record) {
  impl.resources.notify_descriptor = -1;
  impl.resources.listen_descriptors = std::exchange(record.passed, {});
  switch (record.role) {
    case HandOver::Role::service:
      return adopt_service(impl, std::move(record));
    case HandOver::Role::worker:
      return adopt_worker(impl, std::move(record));
    case HandOver::Role::monitor:
      return adopt_former_program(impl, std::move(record));
  }
}

HandOver* record_of(Impl& impl) noexcept {
  if (impl.predecessor) return &*impl.predecessor;
  return impl.resources.heir ? &impl.resources.heir->record() : nullptr;
}

bool inherit_pidfile(Impl& impl) {
  HandOver* const record = record_of(impl);
  if (record == nullptr) return false;
  const Path& path = impl.plan.options.pidfile;
  UniqueFd fd = take(record->pidfile);
  if (impl.resources.worker.is_worker()) {
    impl.resources.pidfile = Pidfile::inherit_as_worker(path, std::move(fd), record->monitor);
    return true;
  }
  impl.resources.pidfile = Pidfile::inherit(path, std::move(fd));
  if (impl.predecessor) impl.resources.pidfile.inherit_worker_handle(take(record->worker_pidfile));
  return true;
}

void reach_monitor(Impl& impl) {
  SdNotify& manager = impl.resources.manager;
  manager.watch(std::min(manager.watchdog_timeout(), impl.plan.options.respawn_policy.hang_timeout));
  manager.adopt(take(impl.resources.heir->record().connection));
}

void tell_sockets(const Impl& impl) {
  if (!impl.resources.worker.is_worker()) return;
  for (const ListenDescriptor& each : impl.resources.sockets.list()) {
    const int error = impl.resources.manager.send(socket_message(each.name), each.fd);
    if (error == 0) continue;
    throw DaemonError(Step::open_sockets, {error, std::generic_category()}, each.name,
                      "cannot tell the monitor of the socket: " + std::generic_category().message(error));
  }
}

}  // namespace daemonctx
