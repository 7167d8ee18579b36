// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the fuzzers share. A fuzzer is `LLVMFuzzerTestOneInput` in fuzz_NAME.cpp. libFuzzer calls it with
// inputs of its own; replay.cpp calls it with the inputs of corpus/NAME.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// Ends the process if a property of the library does not hold: libFuzzer then keeps the input.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "broken property: %s\n", property);
  std::abort();
}

/// For a fault of the fuzzer or the system.
inline void expect(bool works, const char* call) {
  if (works) return;
  std::perror(call);
  std::abort();
}

/// Takes an input apart, from the front. What is missing at the end is zero or empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  template <class Number = std::uint8_t>
  Number number() {
    static_assert(std::is_integral_v<Number>);
    Number value{};
    const std::string bytes = text(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  bool flag() { return (number() & 1U) != 0; }
  std::string text(std::size_t most) {
    const std::string taken(rest_.substr(0, most));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string rest() { return text(rest_.size()); }

  /// Up to the next separator, which is dropped.
  std::string word(char separator = '\n') {
    std::string taken = text(std::min(rest_.find(separator), rest_.size()));
    rest_.remove_prefix(std::min<std::size_t>(1, rest_.size()));
    return taken;
  }

 private:
  std::string_view rest_;
};

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  Input rest(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  while (!rest.empty()) parts.push_back(rest.word(separator));
  return parts;
}

/// Whether a text can do no more to a terminal or a log than add to one line: it has no control character of
/// ASCII, and none from U+0080 to U+009F in UTF-8.
inline bool is_one_line(std::string_view text) {
  unsigned char before = 0;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte >= 0x80 && byte < 0xa0)) return false;
    before = byte;
  }
  return true;
}

/// The lowest descriptor that is free: the same before and after a call that leaks none.
inline int free_descriptor() {
  const int fd = ::dup(STDERR_FILENO);
  expect(fd != -1, "dup");
  ::close(fd);
  return fd;
}

/// A directory that is removed at the end of the process. A fuzzer that finds a fault leaves it behind, so
/// run_fuzzers makes it in a directory of its own.
class Folder {
 public:
  Folder() : path_(boost::filesystem::temp_directory_path().string() + "/daemonctx-fuzz-XXXXXX") {
    expect(::mkdtemp(path_.data()) != nullptr, "mkdtemp");
    ::chmod(path_.c_str(), 0755);
  }
  ~Folder() {
    boost::system::error_code ignored;
    if (::getpid() == owner_) boost::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  pid_t owner_ = ::getpid();
};

/// A file in memory.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) { expect(fd_ != -1, "memfd_create"); }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// A new descriptor, at the beginning of the file.
  int with(std::string_view text) const {
    hold(text);
    return open();
  }
  void hold(std::string_view text) const {
    expect(::ftruncate(fd_, 0) == 0, "ftruncate");
    expect(::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), "pwrite");
  }
  int open() const {
    ::lseek(fd_, 0, SEEK_SET);
    return ::dup(fd_);
  }

 private:
  int fd_;
};

}  // namespace fuzz
