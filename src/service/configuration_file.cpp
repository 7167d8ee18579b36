// SPDX-License-Identifier: BSL-1.0

// The configuration file of a service: at the start, at a reload, and after the crash of a worker.

#include <fcntl.h>

#include <boost/filesystem/operations.hpp>
#include <cerrno>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"
#include "service/run.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;

ConfigurationError with_way_out(const std::string& name, int error, bool has_monitor) {
  std::string text = unreadable(name, error).what();
  if (error == EACCES && !has_monitor)
    text += "; let the service's user read it, or set respawn: its monitor opens the file";
  if (error == EPERM || error == ELOOP) text += "; others than root and the starter can replace it";
  return {text, error};
}

}  // namespace

// Made absolute before any change of directory. An absolute path needs no working directory, which may be
// gone.
void ServiceRun::choose_file() {
  file_name_ = service_.config_file_.native();
  if (!invocation_.gives("config")) return;
  po::variables_map values;
  po::store(invocation_.command_line, values);
  const fs::path path = values["config"].as<std::string>();
  file_name_ = (path.is_absolute() ? path : fs::absolute(path)).string();
}

// FNV-1a of the file's name, in the bits that a tag has. 1: there is no file. Links on the way are followed;
// the file itself may be a link that is about to change.
std::uint64_t ServiceRun::file_tag() const {
  if (file_name_.empty()) return 1;
  const fs::path file = file_name_;
  boost::system::error_code error;
  fs::path directory = fs::weakly_canonical(file.parent_path(), error);
  if (error) directory = file.parent_path();
  const std::string name = (directory / file.filename()).string();
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  return (hash >> 7U) | 2U;
}

bool ServiceRun::may_miss_file() const {
  return !invocation_.gives("config") && service_.missing_file_ == MissingFile::means_defaults;
}

std::optional<ConfigurationFile> ServiceRun::read_file() const {
  if (file_name_.empty()) return {};
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const UniqueFd file(posix::retry([&] { return posix::open(file_name_.c_str(), flags); }));
  if (!file && errno == ENOENT && may_miss_file()) return {};
  if (!file && errno == ENOENT && !invocation_.gives("config"))
    throw ConfigurationError(
        unreadable(file_name_, ENOENT).what() + std::string("; create it, or name another with --config"),
        ENOENT);
  return ConfigurationFile{file_name_, configuration_text(file, file_name_)};
}

// ---- In the daemon.

void ServiceRun::reconfigure(DaemonContext& context) {
  auto file = reopen_file(context);
  apply(file);
  file_ = std::move(file);
  keep_accepted(context);
}

void ServiceRun::apply(const std::optional<ConfigurationFile>& file) {
  Configuration next = read_values(invocation_, file, file_options_, Reading::strict);
  if (pidfile_in(next.values) != pidfile_) {
    throw UsageError(
        with_origin(next, "pidfile: is \"" + pidfile_.native() + "\" as long as the daemon runs"));
  }
  accept(next);
  configuration_ = std::move(next);
}

// The user of the daemon, or its root directory, may not let this process read the file.
std::optional<ConfigurationFile> ServiceRun::reopen_file(DaemonContext& context) const {
  if (file_name_.empty()) return {};
  try {
    const UniqueFd file(context.open_file(file_name_));
    return ConfigurationFile{file_name_, configuration_text(file, file_name_)};
  } catch (const std::system_error& refusal) {
    const int error = refusal.code().value();
    if (error == ENOENT && !file_ && may_miss_file()) return {};
    throw with_way_out(file_name_, error, has_monitor_);
  }
}

// A worker that was started after a reload begins with what that reload has accepted. If that is refused now,
// the worker has what the start has accepted.
void ServiceRun::begin_with_accepted(const DaemonContext& context) {
  try {
    auto text = detail::remembered_for_service(context);
    if (!text) return;
    const std::optional<ConfigurationFile> file({file_name_, std::move(*text)});
    apply(file);
    file_ = file;
  } catch (...) {
    report_in_daemon("the configuration accepted last is refused now");
  }
}

// The values are in force already: an error is reported, and refuses nothing.
void ServiceRun::keep_accepted(const DaemonContext& context) const noexcept {
  try {
    if (file_) detail::remember_for_service(context, file_->text);
  } catch (...) {
    report_in_daemon("the next worker begins with the earlier configuration");
  }
}

// Reports the exception that is being handled.
void ServiceRun::report_in_daemon(std::string_view where) const noexcept {
  try {
    on_error_(std::current_exception(), where);
  } catch (...) {  // the handler's own
    static_cast<void>(0);
  }
}

}  // namespace daemonctx
