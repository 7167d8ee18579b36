// SPDX-License-Identifier: BSL-1.0

// The readers of /proc. A process chooses its name and those of its threads, and they stand beside what the
// kernel says of the process.

#include "base/deadline.hpp"
#include "fuzz.hpp"
#include "posix/proc_fs.hpp"
#include "posix/start_time.hpp"
#include "proc_calls.hpp"

using namespace daemonctx::posix;
using fuzz::require;

namespace {

constexpr pid_t pid = 4711;

// The text of each file, by the last part of its name.
struct Files {
  fuzz::MemoryFile status;
  fuzz::MemoryFile stat;
  fuzz::MemoryFile comm;
  fuzz::MemoryFile children;

  static Files& get() {
    static Files files;
    return files;
  }
};

// /proc/PID/task
const fuzz::Folder& task() {
  static const fuzz::Folder folder;
  static const bool is_made = [] {
    for (const char* thread : {"4711", "4712", "-4", "4x", "99999999999999999999"})
      fuzz::expect(::mkdir((folder / thread).c_str(), 0755) == 0, "mkdir");
    return true;
  }();
  static_cast<void>(is_made);
  return folder;
}

// "Name:" escapes line ends and backslashes, as the kernel does.
std::string escaped(const std::string& name) {
  std::string text;
  for (const char letter : name) {
    if (letter == '\n') text += "\\n";
    else if (letter == '\\') text += "\\\\";
    else text += letter;
  }
  return text;
}

// A process name has 1 to 15 bytes, without NUL.
std::string process_name(fuzz::Input& input) {
  std::string name = input.text(15);
  name = name.substr(0, name.find('\0'));
  return name.empty() ? "x" : name;
}

void check_forged_name(fuzz::Input input) {
  const uid_t uid = input.number<std::uint32_t>();
  const auto flags = input.number<std::uint32_t>();
  const auto start = input.number<std::uint32_t>();
  const bool dumps_core = input.flag();
  const std::string name = process_name(input);
  const std::string id = std::to_string(uid);
  Files::get().status.hold("Name:\t" + escaped(name) +
                           "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nUid:\t" + id +
                           "\t0\t0\t0\nGid:\t0\t0\t0\t0\nCoreDumping:\t" + (dumps_core ? "1" : "0") + "\n");
  Files::get().stat.hold("4711 (" + name + ") S 1 4711 4711 0 -1 " + std::to_string(flags) +
                         " 1 2 3 4 5 6 7 8 20 0 1 0 " + std::to_string(start) + " 14 15 16\n");
  Files::get().comm.hold(name + '\n');
  require(real_user_of(pid) == uid, "a name forges no user");
  constexpr std::uint32_t exiting = 4;
  require(is_ending(pid) == (dumps_core || (flags & exiting) != 0), "a name forges no end");
  const auto since = start_time(pid);
  const std::chrono::milliseconds wanted(std::uint64_t{start} * 1000 /
                                         static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
  const auto expected = std::chrono::system_clock::now() - since_boot() + std::min(wanted, since_boot());
  require(since && *since > expected - std::chrono::minutes(1) && *since < expected + std::chrono::minutes(1),
          "a name forges no start time");
  const auto threads = threads_of(pid);
  require(threads.size() == 2, "only numbers are threads");
  for (const NamedThread& thread : threads) require(thread.name == name, "a thread has its whole name");
}

void check_children(fuzz::Input input) {
  std::vector<pid_t> wanted;
  std::string text;
  while (!input.empty()) {
    const auto child = static_cast<pid_t>(input.number<std::uint32_t>() >> 1U);
    if (child == 0) continue;
    wanted.push_back(child);
    text += std::to_string(child) + ' ';
  }
  Files::get().children.hold(text);
  std::vector<pid_t> found = children_of(pid);
  require(found.size() == 2 * wanted.size(), "each thread tells its children");
  found.resize(wanted.size());
  require(found == wanted, "the children are those that are listed");
}

// What no kernel writes: only nonsense may come of it, but no fault.
void check_any_text(fuzz::Input input) {
  Files& files = Files::get();
  for (const fuzz::MemoryFile* file : {&files.status, &files.stat, &files.comm, &files.children})
    file->hold(input.word('\0'));
  real_user_of(pid);
  is_ending(pid);
  start_time(pid);
  for (const NamedThread& thread : threads_of(pid)) require(thread.tid > 0, "a thread has a number");
  for (const pid_t child : children_of(pid)) require(child > 0, "a child's pid names one process");
}

}  // namespace

int fuzz::open_proc(const char* path, int) noexcept {
  const std::string_view name = path;
  const Files& files = Files::get();
  if (name.ends_with("/status")) return files.status.open();
  if (name.ends_with("/stat")) return files.stat.open();
  if (name.ends_with("/comm")) return files.comm.open();
  if (name.ends_with("/children")) return files.children.open();
  errno = ENOENT;
  return -1;
}

DIR* fuzz::open_proc_directory(const char*) noexcept { return ::opendir(task().path().c_str()); }

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto mode = input.number();
  if (mode == 'n') check_forged_name(input);
  else if (mode == 'c') check_children(input);
  else check_any_text(input);
  return 0;
}
