// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/daemon_context.hpp"

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "context/daemon_context_impl.hpp"
#include "daemonctx/stop_token.hpp"
#include "posix/retry.hpp"
#include "process/end_of_process.hpp"
#include "process/gate.hpp"
#include "process/owner.hpp"
#include "signals/inbox.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

std::exception_ptr service_error(std::string_view text) {
  return std::make_exception_ptr(DaemonError(
      Step::run_service, std::make_error_code(std::errc::operation_canceled), {}, std::string(text)));
}

/// Keeps the context in memory during a call of a public member. Empty if the context has ended.
class Call {
 public:
  explicit Call(const DaemonContext* context) noexcept : visit_(context) {}
  explicit operator bool() const noexcept { return static_cast<bool>(visit_); }
  DaemonContext::Impl* operator->() const noexcept {
    return static_cast<DaemonContext::Impl*>(visit_.state());
  }
  DaemonContext::Impl& operator*() const noexcept { return *operator->(); }

 private:
  process::Visit visit_;
};

// Runs the end of the context. False: another thread runs the end, or this is a forked child.
// The visit ends on return: the thread that runs the end waits for visits.
bool run_end(const DaemonContext* context) noexcept {
  const Call call(context);
  if (!call) return false;
  const process::EndRole role = process::begin_end();
  if (role == process::EndRole::late) return false;
  const bool is_thrown = std::uncaught_exceptions() > call->exceptions_at_start;
  call->ending.run(is_thrown ? "an exception left the scope of the daemon context before the daemon was ready"
                             : "the daemon left the scope of its context before it was ready",
                   role == process::EndRole::first, true);
  return process::is_owner();
}

}  // namespace

DaemonContext::Impl::Impl(DaemonOptions options, LaunchDecision launch, const void* of)
    : plan{std::move(options), std::move(launch)},
      title(plan.options.title),
      readiness(plan, resources),
      reload(readiness, resources, [this](const std::exception_ptr& error) { report(error, "reload"); }),
      reopening(plan, readiness, resources),
      context(of),
      signals(plan.signal_map(), {.reload = [this] { run_reload(); },
                                  .reopen_output =
                                      [this] {
                                        try {
                                          reopening.run();
                                        } catch (...) {
                                          report(std::current_exception(), "reopen output");
                                        }
                                      },
                                  .report = [this](const std::exception_ptr& error,
                                                   std::string_view where) { report(error, where); },
                                  .before_sleep = [this] { return before_sleep(); },
                                  .released = [this](std::uint64_t dropped) { end_holding(dropped); },
                                  .upgrade = [this](const SignalInfo& signal) { upgrade.request(signal); }}),
      upgrade(plan, resources,
              {.is_ready = [this] { return readiness.is_ready(); },
               .request_stop = [this] { signals.request_stop(); },
               .report =
                   [this](const std::string& text) {
                     report(std::make_exception_ptr(std::runtime_error(text)), "upgrade");
                   },
               .claim_again = [this] { return claim_again(); },
               .show_again = [this] { show_again(); },
               .mark_ready_again = [this] { return mark_ready_again(); }}),
      ending({plan.options, cleanups, readiness, resources, signals, upgrade}) {
  resources.manager.on_kept([]() noexcept { SignalDispatcher::wake(); });
  resources.notify_descriptor = plan.options.start_options.notify_descriptor;
  cleanups.set_context(context, [](void* state, const std::exception_ptr& error) {
    static_cast<Impl*>(state)->report(error, "cleanup");
  });
}

// Whoever rotates logs renames them first, and then asks for the reload.
void DaemonContext::Impl::run_reload() {
  try {
    reopening.before_reload();
  } catch (...) {
    report(std::current_exception(), "reopen output");
  }
  if (process::is_owner()) reload.run();  // a child that `on_error` has forked must not reload
}

SignalDispatcher::Sleep DaemonContext::Impl::before_sleep() noexcept {
  resources.manager.say_unsaid();
  const auto next_repair = reopening.repair();
  return {std::min(resources.manager.next_retry(), next_repair), reopening.watched()};
}

void DaemonContext::Impl::become_ready() {
  readiness.become_ready();
  signals.note(SignalDispatcher::service_is_ready);
  if (resources.heir && !resources.worker.is_worker())
    resources.heir->await_claim(
        {.claim = [this](bool predecessor_lives) { return claim(predecessor_lives); },
         .be_service = [this](bool predecessor_lives) { be_service(predecessor_lives); },
         .give_up =
             [this](int error) {
               fail("cannot take the pidfile over: " + std::generic_category().message(error));
             }});
}

// A monitor says so with the signal.
bool DaemonContext::Impl::is_replaced() const noexcept {
  if (!resources.worker.is_worker()) return upgrade.has_successor();
  return info_of(SIGTERM).value == upgrade_stop_value;
}

void DaemonContext::Impl::end_holding(std::uint64_t dropped) {
  if (resources.worker.is_worker()) resources.manager.send(released_message);
  for (const std::string& line : dropped_lines(dropped))
    report(std::make_exception_ptr(std::runtime_error(line)), "signals");
}

MonitorResources DaemonContext::Impl::monitor_resources() {
  return {.policy = plan.options.respawn_policy,
          .signal_map = plan.signal_map(),
          .detaches = plan.detaches(),
          .ready_timeout = plan.options.ready_timeout,
          .stdio = plan.options.stdio,
          .title = title,
          .manager = resources.manager,
          .pidfile = resources.pidfile,
          .redirection = resources.redirection,
          .output_repair = resources.output_repair,
          .status = resources.status,
          .notify_descriptor = resources.notify_descriptor,
          .sockets = resources.sockets,
          .passed = resources.listen_descriptors,
          .mode = plan.launch.mode,
          .worker = resources.worker,
          .reload_notice = resources.reload_notice,
          .program = upgrade.own_program(),
          .upgrade = plan.options.upgrade,
          .predecessor = predecessor,
          .report = [this](const std::exception_ptr& error, std::string_view where) { report(error, where); },
          .remove_pidfile =
              [this] {
                if (!plan.detaches()) resources.close_status();  // its reader is this process
                resources.remove_pidfile();
              },
          .keep = [this] { resources.keep(); }};
}

void DaemonContext::Impl::fail(std::string_view text) noexcept {
  if (!readiness.fail(text)) report(service_error(text), "service");
  resources.manager.failure(ECANCELED, text);
  signals.request_stop();
}

DaemonContext::DaemonContext(DaemonOptions options) {
  static_cast<void>(start(this, std::move(options)).release());  // `~DaemonContext` deletes it
}

DaemonContext::~DaemonContext() {
  if (!process::is_open(this)) return;
  if (!run_end(this)) {
    process::await_end();
    return;
  }
  process::restore_terminate_handler();
  Impl* impl = nullptr;
  bool left_thread = false;
  {
    const Call call(this);
    impl = call.operator->();
    left_thread = call->ending.left_thread();
  }
  const Timeout limit = left_thread ? Timeout() : process::end_patience();
  if (process::close_context(limit, left_thread)) delete impl;
}

detail::CleanupVisit::CleanupVisit(const DaemonContext* context) noexcept {
  static_assert(sizeof(process::Visit) <= sizeof visit_ && alignof(process::Visit) <= alignof(void*));
  const process::Visit& visit = *::new (static_cast<void*>(visit_.data())) process::Visit(context);
  if (visit) cleanups_ = &static_cast<DaemonContext::Impl*>(visit.state())->cleanups;
}

detail::CleanupVisit::~CleanupVisit() {
  std::launder(reinterpret_cast<process::Visit*>(visit_.data()))->~Visit();
}

void DaemonContext::on_reload(std::function<void()> reload) {
  if (const Call call(this); call) call->offer_reload(std::move(reload));
}

void DaemonContext::map_signal(int number, SignalAction action) {
  validate(DaemonOptions{.signal_map = {{number, action}}});
  if (const Call call(this); call) call->map_signal(number, std::move(action));
}

void DaemonContext::notify_ready() {
  if (const Call call(this); call) call->become_ready();
}

void DaemonContext::notify_status(std::string_view text) noexcept {
  const Call call(this);
  if (!call) return;
  call->resources.manager.status(text);
  call->resources.show_status(text);
}

void DaemonContext::keep_alive() noexcept {
  if (const Call call(this); call) call->resources.manager.ping();
}

ServiceManager DaemonContext::manager() noexcept {
  const Call call(this);
  if (!call) return {nullptr, 0, nullptr, nullptr};
  return {this, process::life(), &call->resources.manager, &call->resources.listen_descriptors};
}

int DaemonContext::socket(std::string_view name) const {
  const Call call(this);
  if (!call) return -1;
  if (const auto fd = call->resources.sockets.find(name)) return *fd;
  throw std::out_of_range("no socket has the name \"" + std::string(name) + '"');
}

void DaemonContext::fail(std::string_view text) noexcept {
  if (const Call call(this); call) call->fail(text);
}

void DaemonContext::remember(std::string_view bytes) {
  if (const Call call(this); call) call->remember(Memory::program, bytes);
}

std::optional<std::string> DaemonContext::remembered() const {
  const Call call(this);
  return call ? call->remembered(Memory::program) : std::nullopt;
}

void detail::remember_for_service(const DaemonContext& context, std::string_view bytes) {
  if (const Call call(&context); call) call->remember(Memory::service, bytes);
}

std::optional<std::string> detail::remembered_for_service(const DaemonContext& context) {
  const Call call(&context);
  return call ? call->remembered(Memory::service) : std::nullopt;
}

int DaemonContext::open_file(const Path& file) {
  const Call call(this);
  if (!call) return -1;
  UniqueFd opened = call->open_file(file);
  if (!opened) throw std::system_error(posix::last_error(), "cannot open \"" + file.native() + '"');
  return opened.release();
}

void DaemonContext::wait() { wait_until_since_epoch(forever); }

bool DaemonContext::wait_for(Timeout timeout) {
  return wait_until_since_epoch(posix::deadline_in(timeout).time_since_epoch());
}

bool DaemonContext::wait_until_since_epoch(Timeout since_epoch) {
  const posix::Clock::time_point time(since_epoch.length());
  const Call call(this);
  if (call) call->signals.note(SignalDispatcher::service_waits);
  while (call && process::is_owner()) {
    SdNotify& manager = call->resources.manager;
    manager.ping_if_due();
    const auto pause_end = std::min(time, manager.next_ping());
    if (call->signals.wait_until(pause_end)) return true;
    if (pause_end == time) return false;
  }
  return true;
}

// A late caller needs no visit here: `stop_requested` reads process-wide notes, which outlive every context.
bool DaemonContext::stop_requested() const noexcept {
  if (!process::is_owner()) return false;
  return !process::is_open(this) || SignalDispatcher::stop_requested();
}

StopReason DaemonContext::stop_reason() const noexcept {
  const Call call(this);
  if (!call || !SignalDispatcher::stop_requested()) return StopReason::none;
  return call->is_replaced() ? StopReason::upgrade : StopReason::stop;
}

void DaemonContext::request_stop() noexcept {
  if (const Call call(this); call) call->signals.request_stop();
}

std::stop_token stop_token_of(const DaemonContext& context) noexcept {
  const Call call(&context);
  return call ? call->signals.stop_token() : std::stop_token();
}

int DaemonContext::signal_fd() const noexcept {
  const Call call(this);
  if (!call) return -1;
  call->signals.note(SignalDispatcher::service_waits);
  return SignalDispatcher::fd();
}

posix::Clock::time_point DaemonContext::dispatch() {
  const Call call(this);
  if (!call) return posix::Clock::time_point::max();
  call->signals.note(SignalDispatcher::service_waits);
  call->signals.dispatch();
  return process::is_owner() ? call->before_sleep().longest : posix::Clock::time_point::max();
}

void DaemonContext::reopen_output() {
  const Call call(this);
  if (!call) return;
  call->reopening.run();
  SignalDispatcher::wake();  // a thread that waits then repairs the streams
}

LaunchMode DaemonContext::mode() const noexcept {
  return static_cast<LaunchMode>(process::facts_of(this).mode);
}

unsigned DaemonContext::worker_number() const noexcept {
  return std::max(process::facts_of(this).worker_number, 1U);
}

pid_t DaemonContext::pid() const noexcept { return process::facts_of(this).pid; }

std::optional<WorkerEnd> DaemonContext::last_worker_end() const noexcept {
  const Call call(this);
  return call ? call->resources.worker.last_end : std::nullopt;
}

}  // namespace daemonctx
