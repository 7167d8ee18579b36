// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "probe.hpp"

namespace probe {
namespace {

namespace fs = boost::filesystem;
using daemonctx::DaemonContext;

std::string current_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  std::ostringstream text;
  text << std::oct << mask;
  return text.str();
}

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

std::string environment() {
  std::string text;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    text += std::string(*variable) + ' ';
  }
  return text;
}

}  // namespace

std::string open_files_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return std::to_string(limit.rlim_cur) + ':' + std::to_string(limit.rlim_max);
}

std::string core_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  return std::to_string(limit.rlim_cur) + ' ' + std::to_string(limit.rlim_max);
}

std::string open_descriptors() {
  std::map<int, std::string> found;
  boost::system::error_code forbidden;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", forbidden)) {
    boost::system::error_code gone;
    const auto target = fs::read_symlink(entry.path(), gone);
    if (!gone && target.string().find("/fd") == std::string::npos) {
      found[std::stoi(entry.path().filename().string())] = target.string();
    }
  }
  std::string text;
  for (const auto& [fd, target] : found) text += std::to_string(fd) + ':' + target + ' ';
  return text;
}

std::string terminal() {
  const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (fd != -1) ::close(fd);
  return fd == -1 ? "none" : "has one";
}

std::string status_field(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

void await_writer(const std::string& fifo) { ::close(::open(fifo.c_str(), O_RDONLY | O_CLOEXEC)); }

void tell_facts(const DaemonContext* context) {
  std::ostringstream text;
  text << "pid=" << ::getpid() << "\nppid=" << ::getppid() << "\npgid=" << ::getpgrp()
       << "\nsid=" << ::getsid(0) << "\ncwd=" << fs::current_path().string() << "\numask=" << current_umask()
       << "\nfds=" << open_descriptors() << "\nblocked=" << status_field("SigBlk")
       << "\nignored=" << status_field("SigIgn") << "\ncaught=" << status_field("SigCgt")
       << "\ncore=" << core_limit() << "\nopen_files=" << open_files_limit()
       << "\nname=" << status_field("Name") << "\ndumpable=" << ::prctl(PR_GET_DUMPABLE)
       << "\nterminal=" << terminal() << "\nthreads=" << status_field("Threads")
       << "\nuids=" << status_field("Uid") << "\ngids=" << status_field("Gid")
       << "\ngroups=" << status_field("Groups") << "\nhome=" << variable("HOME")
       << "\nuser=" << variable("USER") << "\nlogname=" << variable("LOGNAME")
       << "\nenvironment=" << environment() << "\nno_new_privileges=" << status_field("NoNewPrivs");
  if (context != nullptr)
    text << "\nmode=" << to_string(context->mode()) << "\ncontext_pid=" << context->pid();
  text << "\nend of facts";
  say(text.str());
}

}  // namespace probe
