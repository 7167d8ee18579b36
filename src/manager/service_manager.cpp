// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/service_manager.hpp"

#include <stdexcept>
#include <system_error>

#include "manager/listen_fds.hpp"
#include "manager/sd_notify.hpp"
#include "process/gate.hpp"

namespace daemonctx {
namespace {

void check_name(const std::string& name) {
  if (!is_descriptor_name(name))
    throw std::invalid_argument("\"" + name + "\" can't be the name of a stored descriptor");
}

void check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

bool ServiceManager::exists() const noexcept {
  const process::Visit visit(context_, life_);
  return visit && notify_->reaches_manager();
}

std::vector<ListenDescriptor> ServiceManager::listen_descriptors() const {
  const process::Visit visit(context_, life_);
  return visit ? *descriptors_ : std::vector<ListenDescriptor>();
}

std::vector<int> ServiceManager::listen_descriptors(std::string_view name) const {
  std::vector<int> found;
  for (const ListenDescriptor& each : listen_descriptors()) {
    if (each.name == name) found.push_back(each.fd);
  }
  return found;
}

void ServiceManager::extend_timeout(Timeout duration) noexcept {
  if (const process::Visit visit(context_, life_); visit) notify_->extend_timeout(duration);
}

void ServiceManager::report_failure(int error, std::string_view text) noexcept {
  if (const process::Visit visit(context_, life_); visit) notify_->failure(error, text);
}

void ServiceManager::store(const std::string& name, int fd) {
  check_name(name);
  const process::Visit visit(context_, life_);
  if (visit && notify_->is_open()) check(notify_->store(name, fd), "cannot have the descriptor stored");
}

void ServiceManager::remove_stored(const std::string& name) {
  check_name(name);
  const process::Visit visit(context_, life_);
  if (visit && notify_->is_open()) {
    check(notify_->remove_stored(name), "cannot have the stored descriptor removed");
  }
}

bool ServiceManager::barrier(Timeout longest) {
  const process::Visit visit(context_, life_);
  if (!visit || !notify_->is_open()) return true;
  const int error = notify_->barrier(longest);
  if (error == ETIMEDOUT) return false;
  check(error, "cannot wait for the service manager");
  return true;
}

Timeout ServiceManager::watchdog_timeout() const noexcept {
  const process::Visit visit(context_, life_);
  return visit ? notify_->watchdog_timeout() : Timeout(forever);
}

}  // namespace daemonctx
