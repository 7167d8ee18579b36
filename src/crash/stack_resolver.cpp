// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/stack_resolver.hpp"

#include <cxxabi.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <posix/syscalls.hpp>
#include <stdexcept>

#include "crash/modules.hpp"

namespace daemonctx {
namespace {

constexpr std::size_t most_frames = 64;

struct EndDwfl {
  void operator()(Dwfl* dwfl) const noexcept { ::dwfl_end(dwfl); }
};
using DwflSession = std::unique_ptr<Dwfl, EndDwfl>;

struct Frame {
  Dwarf_Addr address = 0;
  bool is_exact = false;  ///< false: the return address, which may belong to the next function
};

// libdw asks for memory of the crashed thread: only its stack is there.
struct Unwinding {
  const CrashedThread* thread = nullptr;
  std::vector<Frame> frames = {};
};

bool read_stack(const CrashedThread& thread, Dwarf_Addr address, Dwarf_Word* result) {
  if (address < thread.stack_begin) return false;
  const Dwarf_Addr offset = address - thread.stack_begin;
  const Dwarf_Addr index = offset / sizeof(Dwarf_Word);
  if (offset % sizeof(Dwarf_Word) != 0 || index >= thread.stack.size()) return false;
  *result = thread.stack[index];
  return true;
}

pid_t next_thread(Dwfl*, void* unwinding, void** thread) {
  if (*thread != nullptr) return 0;  // there is one
  *thread = unwinding;
  return static_cast<Unwinding*>(unwinding)->thread->tid;
}

bool read_memory(Dwfl*, Dwarf_Addr address, Dwarf_Word* result, void* unwinding) {
  return read_stack(*static_cast<Unwinding*>(unwinding)->thread, address, result);
}

bool set_registers(Dwfl_Thread* thread, void* unwinding) {
  const CrashedThread& crashed = *static_cast<Unwinding*>(unwinding)->thread;
  std::vector<Dwarf_Word> registers(crashed.registers.begin(), crashed.registers.end());
  ::dwfl_thread_state_register_pc(thread, crashed.program_counter);
  return ::dwfl_thread_state_registers(thread, 0, static_cast<unsigned>(registers.size()), registers.data());
}

constexpr Dwfl_Thread_Callbacks thread_callbacks = {.next_thread = next_thread,
                                                    .get_thread = nullptr,
                                                    .memory_read = read_memory,
                                                    .set_initial_registers = set_registers,
                                                    .detach = nullptr,
                                                    .thread_detach = nullptr};

int add_frame(Dwfl_Frame* frame, void* unwinding) {
  auto& frames = static_cast<Unwinding*>(unwinding)->frames;
  Frame found;
  if (!::dwfl_frame_pc(frame, &found.address, &found.is_exact)) return DWARF_CB_ABORT;
  frames.push_back(found);
  return frames.size() < most_frames ? DWARF_CB_OK : DWARF_CB_ABORT;
}

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                         std::free);
  return text ? text.get() : name;
}

std::string hex(Dwarf_Addr number) { return "0x" + to_hex(number); }

// No file that a module or the environment names is opened: no debug files, and no server for them.
int find_no_elf(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; }
int find_no_debug_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word,
                       char**) {
  return -1;
}
constexpr Dwfl_Callbacks session_callbacks = {.find_elf = find_no_elf,
                                              .find_debuginfo = find_no_debug_file,
                                              .section_address = ::dwfl_offline_section_address,
                                              .debuginfo_path = nullptr};

class StackResolver final : public CrashResolver {
 public:
  void open() override { modules_ = open_modules(); }
  std::vector<std::string> resolve(const std::vector<CrashedThread>& threads) override;

 private:
  void forget_replaced_files();
  void begin_session();
  void report(Module& module);
  void add_lines(const CrashedThread& thread);
  void add_module_lines();
  std::string frame_line(std::size_t number, const Frame& frame);

  std::vector<Module> modules_;
  DwflSession session_;
  std::vector<const Module*> seen_;
  std::vector<std::string> lines_;
};

std::vector<std::string> StackResolver::resolve(const std::vector<CrashedThread>& threads) {
  forget_replaced_files();
  for (const CrashedThread& thread : threads) {
    begin_session();
    add_lines(thread);
  }
  add_module_lines();
  return std::move(lines_);
}

// An upgrade may have put another file in the place of one that is mapped.
void StackResolver::forget_replaced_files() {
  ::elf_version(EV_CURRENT);
  for (Module& module : modules_) {
    if (!module.file) continue;
    const std::unique_ptr<Elf, decltype(&::elf_end)> elf(
        ::elf_begin(module.file.get(), ELF_C_READ_MMAP, nullptr), ::elf_end);
    const void* id = nullptr;
    const ssize_t size = elf ? ::dwelf_elf_gnu_build_id(elf.get(), &id) : -1;
    const auto* const bytes = static_cast<const unsigned char*>(id);
    const std::string in_file = size > 0 ? to_hex(bytes, static_cast<std::size_t>(size)) : std::string();
    if (in_file != module.build_id) module.file.reset();
  }
}

// A session can be attached to one process with one state; each thread gets one of its own.
void StackResolver::begin_session() {
  session_.reset(::dwfl_begin(&session_callbacks));
  if (!session_) throw std::runtime_error(::dwfl_errmsg(-1));
  ::dwfl_report_begin(session_.get());
  for (Module& module : modules_) report(module);
  ::dwfl_report_end(session_.get(), nullptr, nullptr);
}

void StackResolver::report(Module& module) {
  if (!module.file) return;
  const int copy = posix::fcntl(module.file.get(), F_DUPFD_CLOEXEC, 3);
  Dwfl_Module* const found =
      ::dwfl_report_elf(session_.get(), module.path.c_str(), module.path.c_str(), copy, module.bias, true);
  if (found == nullptr) {
    UniqueFd(copy).reset();  // libdw takes the descriptor only with success
    return;
  }
  void** place = nullptr;
  ::dwfl_module_info(found, &place, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  *place = &module;
}

void StackResolver::add_lines(const CrashedThread& thread) {
  std::string title = "thread " + std::to_string(thread.tid);
  if (!thread.name.empty()) title += " \"" + thread.name + '"';
  if (thread.program_counter == 0) {
    lines_.push_back(title + " did not answer");
    return;
  }
  lines_.push_back(title + ':');
  Unwinding unwinding{&thread};
  if (!::dwfl_attach_state(session_.get(), nullptr, thread.tid, &thread_callbacks, &unwinding))
    throw std::runtime_error(::dwfl_errmsg(-1));
  ::dwfl_getthread_frames(session_.get(), thread.tid, add_frame, &unwinding);
  if (unwinding.frames.empty()) unwinding.frames.push_back({thread.program_counter, true});
  for (std::size_t number = 0; number < unwinding.frames.size(); ++number)
    lines_.push_back(frame_line(number, unwinding.frames[number]));
}

std::string StackResolver::frame_line(std::size_t number, const Frame& frame) {
  std::string line = '#' + std::to_string(number) + ' ' + hex(frame.address);
  const Dwarf_Addr within = frame.is_exact ? frame.address : frame.address - 1;
  Dwfl_Module* const found = ::dwfl_addrmodule(session_.get(), within);
  if (found == nullptr) return line;
  void** place = nullptr;
  ::dwfl_module_info(found, &place, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  const auto& module = *static_cast<const Module*>(*place);
  if (std::find(seen_.begin(), seen_.end(), &module) == seen_.end()) seen_.push_back(&module);
  GElf_Off offset = 0;
  GElf_Sym symbol{};
  if (const char* name = ::dwfl_module_addrinfo(found, within, &offset, &symbol, nullptr, nullptr, nullptr))
    line += ' ' + demangled(name) + " + " + hex(offset + (frame.address - within));
  return line + " (" + module.path + " + " + hex(frame.address - module.bias) + ')';
}

void StackResolver::add_module_lines() {
  for (const Module* module : seen_) {
    lines_.push_back(module->path + (module->build_id.empty() ? " has no build-id"
                                                              : " has the build-id " + module->build_id));
  }
}

}  // namespace

CrashReport stack_resolver() { return std::make_shared<StackResolver>(); }

}  // namespace daemonctx
