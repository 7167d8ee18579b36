// SPDX-License-Identifier: BSL-1.0
#include "posix/limits.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {
namespace {

constexpr const char* oom_file = "/proc/self/oom_score_adj";

struct Named {
  int resource;
  const char* name;
};

int set_resource(const ResourceLimit& limit) noexcept {
  const rlimit both{limit.soft, limit.hard.value_or(limit.soft)};
  return error_of(posix::setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &both));
}

// Without privilege a hard limit can't be raised again.
void raise_soft_limit(const ResourceLimit& wanted) noexcept {
  rlimit now{};
  if (posix::getrlimit(static_cast<__rlimit_resource_t>(wanted.resource), &now) == -1) return;
  static_cast<void>(set_resource({wanted.resource, std::min(wanted.soft, now.rlim_max), now.rlim_max}));
}

// The files of a process that is not dumpable are root's.
UniqueFd open_oom_file() noexcept {
  UniqueFd file(posix::open(oom_file, O_WRONLY | O_CLOEXEC));
  if (file || errno != EACCES) return file;
  const int dumpable = posix::prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
  posix::prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL);
  file.reset(posix::open(oom_file, O_WRONLY | O_CLOEXEC));
  const int error = errno;
  posix::prctl(PR_SET_DUMPABLE, static_cast<unsigned long>(dumpable), 0UL, 0UL, 0UL);
  errno = error;
  return file;
}

int set_oom_score_adj(int value) noexcept {
  std::array<char, 8> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  const UniqueFd file = open_oom_file();
  if (!file) return errno;
  return error_of(posix::write(file.get(), text.data(), static_cast<std::size_t>(end.ptr - text.data())));
}

std::optional<int> oom_score_adj() noexcept {
  std::array<char, 8> text{};
  const UniqueFd file(posix::open(oom_file, O_RDONLY | O_CLOEXEC));
  const auto size = file ? posix::read(file.get(), text.data(), text.size()) : 0;
  int value = 0;
  if (size <= 0 || std::from_chars(text.data(), text.data() + size, value).ec != std::errc()) return {};
  return value;
}

int set_cpus(const std::vector<int>& cpus) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  return error_of(posix::sched_setaffinity(0, sizeof set, &set));
}

std::vector<int> cpus_now() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (posix::sched_getaffinity(0, sizeof set, &set) == -1) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

const char* limit_name(int resource) noexcept {
  constexpr auto names = std::to_array<Named>({{RLIMIT_AS, "RLIMIT_AS"},
                                               {RLIMIT_CORE, "RLIMIT_CORE"},
                                               {RLIMIT_CPU, "RLIMIT_CPU"},
                                               {RLIMIT_DATA, "RLIMIT_DATA"},
                                               {RLIMIT_FSIZE, "RLIMIT_FSIZE"},
                                               {RLIMIT_LOCKS, "RLIMIT_LOCKS"},
                                               {RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"},
                                               {RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"},
                                               {RLIMIT_NICE, "RLIMIT_NICE"},
                                               {RLIMIT_NOFILE, "RLIMIT_NOFILE"},
                                               {RLIMIT_NPROC, "RLIMIT_NPROC"},
                                               {RLIMIT_RSS, "RLIMIT_RSS"},
                                               {RLIMIT_RTPRIO, "RLIMIT_RTPRIO"},
                                               {RLIMIT_RTTIME, "RLIMIT_RTTIME"},
                                               {RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"},
                                               {RLIMIT_STACK, "RLIMIT_STACK"}});
  for (const Named& each : names) {
    if (each.resource == resource) return each.name;
  }
  return nullptr;
}

LimitFailure apply(const Limits& limits) noexcept {
  for (const ResourceLimit& each : limits.resources) {
    if (const int error = set_resource(each)) return {error, limit_name(each.resource)};
  }
  if (limits.nice && posix::setpriority(PRIO_PROCESS, 0, *limits.nice) == -1) return {errno, "nice"};
  if (limits.oom_score_adj) {
    if (const int error = set_oom_score_adj(*limits.oom_score_adj)) return {error, "oom_score_adj"};
  }
  if (limits.cpus.empty()) return {};
  return {set_cpus(limits.cpus), "cpus"};
}

LimitsBackup::LimitsBackup(const Limits& limits) {
  for (const ResourceLimit& each : limits.resources) {
    rlimit now{};
    if (posix::getrlimit(static_cast<__rlimit_resource_t>(each.resource), &now) == 0)
      former_.resources.push_back({each.resource, now.rlim_cur, now.rlim_max});
  }
  if (limits.nice) former_.nice = posix::getpriority(PRIO_PROCESS, 0);
  if (limits.oom_score_adj) former_.oom_score_adj = oom_score_adj();
  if (!limits.cpus.empty()) former_.cpus = cpus_now();
}

void LimitsBackup::put_back() const noexcept {
  for (const ResourceLimit& each : former_.resources) {
    if (set_resource(each) != 0) raise_soft_limit(each);
  }
  if (former_.nice) static_cast<void>(posix::setpriority(PRIO_PROCESS, 0, *former_.nice));
  if (former_.oom_score_adj) static_cast<void>(set_oom_score_adj(*former_.oom_score_adj));
  if (!former_.cpus.empty()) static_cast<void>(set_cpus(former_.cpus));
}

}  // namespace daemonctx::posix
