// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>

#include <string>
#include <vector>

namespace bench {

/// A temporary folder, in memory if possible: pidfiles are in /run, which is in memory. The destructor
/// removes the folder.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string pidfile() const { return path("pidfile"); }

 private:
  std::string folder_;
};

/// `take_contents` also removes the file.
std::string take_contents(const std::string& file);
std::string contents(const std::string& file);

/// Sets RLIMIT_NOFILE for the programs that are started while the scope exists. Raises fs.nr_open meanwhile,
/// where that is needed and allowed. Where it is not allowed, a preloaded shim pretends the limit
/// (limit_shim.c).
class NofileScope {
 public:
  explicit NofileScope(rlim_t limit);
  ~NofileScope();
  NofileScope(const NofileScope&) = delete;
  NofileScope& operator=(const NofileScope&) = delete;

  /// "setrlimit", "setrlimit with fs.nr_open raised", "preloaded shim"
  const std::string& how() const { return how_; }

 private:
  bool raise(rlim_t limit) const;

  rlimit former_{};
  std::string former_nr_open_;  // empty: not changed
  std::string how_ = "setrlimit";
};

/// A descriptor of the null device.
class NullDevice {
 public:
  NullDevice();
  ~NullDevice();
  NullDevice(const NullDevice&) = delete;
  NullDevice& operator=(const NullDevice&) = delete;

  int fd() const { return fd_; }

 private:
  int fd_;
};

/// Opens `number` descriptors, which the programs that are started while the scope exists inherit. The
/// numbers that select(2) can handle stay free: libdaemon needs them.
class DescriptorScope {
 public:
  explicit DescriptorScope(unsigned number);
  ~DescriptorScope();
  DescriptorScope(const DescriptorScope&) = delete;
  DescriptorScope& operator=(const DescriptorScope&) = delete;

 private:
  std::vector<int> descriptors_;
};

}  // namespace bench
