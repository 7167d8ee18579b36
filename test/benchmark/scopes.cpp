// SPDX-License-Identifier: BSL-1.0
#include "scopes.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "paths.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* nr_open = "/proc/sys/fs/nr_open";

bool write_to(const std::string& file, const std::string& text) {
  std::ofstream stream(file);
  return static_cast<bool>(stream << text << std::flush);
}

std::string place_for_scratch() {
  const std::string memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK | X_OK) == 0 ? memory : fs::temp_directory_path().string();
}

}  // namespace

Scratch::Scratch() : folder_(place_for_scratch() + "/daemonctx-benchmark-XXXXXX") {
  if (::mkdtemp(folder_.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), folder_);
  }
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string contents(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::string take_contents(const std::string& file) {
  std::string text = contents(file);
  ::unlink(file.c_str());
  return text;
}

NofileScope::NofileScope(rlim_t limit) {
  ::getrlimit(RLIMIT_NOFILE, &former_);
  if (raise(limit)) return;
  const std::string former = contents(nr_open);
  if (std::stoull(former) < limit && write_to(nr_open, std::to_string(limit))) former_nr_open_ = former;
  how_ = "setrlimit with fs.nr_open raised";
  if (!former_nr_open_.empty() && raise(limit)) return;
  how_ = "preloaded shim";
  ::setenv("SHIM_NOFILE", std::to_string(limit).c_str(), 1);
  ::setenv("LD_PRELOAD", paths::limit_shim.c_str(), 1);
}

bool NofileScope::raise(rlim_t limit) const {
  const rlimit wanted{limit, std::max(limit, former_.rlim_max)};
  return ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
}

NofileScope::~NofileScope() {
  ::setrlimit(RLIMIT_NOFILE, &former_);
  if (!former_nr_open_.empty()) write_to(nr_open, former_nr_open_);
  ::unsetenv("LD_PRELOAD");
  ::unsetenv("SHIM_NOFILE");
}

NullDevice::NullDevice() : fd_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {}

NullDevice::~NullDevice() { ::close(fd_); }

DescriptorScope::DescriptorScope(unsigned number) {
  const NullDevice source;
  while (descriptors_.size() < number) {
    descriptors_.push_back(::fcntl(source.fd(), F_DUPFD, FD_SETSIZE));  // inherited, so not close-on-exec
    if (descriptors_.back() == -1) throw std::system_error(errno, std::generic_category(), "descriptors");
  }
}

DescriptorScope::~DescriptorScope() {
  for (const int fd : descriptors_) ::close(fd);
}

}  // namespace bench
