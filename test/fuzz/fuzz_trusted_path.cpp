// SPDX-License-Identifier: BSL-1.0

// Paths, walked among symbolic links that root has made and others that another user has planted.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "base/path.hpp"
#include "fuzz.hpp"
#include "safe_path/made_directories.hpp"
#include "safe_path/trusted_file.hpp"
#include "safe_path/trusted_path.hpp"

using namespace daemonctx;
using daemonctx::posix::DirectoryEntry;
using daemonctx::posix::LastComponent;
using fuzz::require;

namespace {

constexpr uid_t another_user = 65534;
constexpr const char* secret_text = "secret";

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

struct stat status_of(int fd) {
  struct stat found {};
  fuzz::expect(::fstat(fd, &found) == 0, "fstat");
  return found;
}

// root/ is the root directory of the walks. Only planted links lead from there to secret/, which has a name
// that no input can know.
class Tree {
 public:
  static const Tree& get() {
    static const Tree tree;
    return tree;
  }

  void set_links(fuzz::Input& input) const {
    for (const char* name : {"root/link", "root/a/link", "root/a/b/link"}) {
      std::string target = input.word();
      target = target.substr(0, target.find('\0'));
      ::unlink((folder_ / name).c_str());
      if (!target.empty()) static_cast<void>(::symlink(target.c_str(), (folder_ / name).c_str()));
    }
  }
  bool has_secret() const { return ::geteuid() == 0; }
  bool is_secret(int directory) const {
    return has_secret() && is_same(status_of(directory), status_of(secret_));
  }
  bool is_in_root(int directory) const {
    UniqueFd here(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (int level = 0; here && level < 64; ++level) {
      if (is_same(status_of(here.get()), status_of(root))) return true;
      here.reset(::openat(here.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    return false;
  }
  std::string absolute(const std::string& path) const { return folder_ / "root/" + path; }

 private:
  Tree() {
    for (const char* name : {"root", "root/a", "root/a/b", "root/sticky", "root/own"}) make(name, 0755);
    ::chmod((folder_ / "root/sticky").c_str(), 01777);
    make("secret", 0755);
    secret_ = open("secret");
    root = open("root");
    ::close(::open((folder_ / "root/a/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    const int file = ::open((folder_ / "secret/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    fuzz::expect(::write(file, secret_text, std::strlen(secret_text)) > 0, "write");
    ::close(file);
    std::string secret = folder_ / "XXXXXX";
    fuzz::expect(::mkdtemp(secret.data()) != nullptr, "mkdtemp");
    fuzz::expect(::rename((folder_ / "secret").c_str(), secret.c_str()) == 0, "rename");
    for (const char* name : {"root/sticky/planted", "root/own/planted"}) plant(secret, name);
    plant(secret + "/file", "root/sticky/file");
    if (has_secret()) static_cast<void>(::chown((folder_ / "root/own").c_str(), another_user, another_user));
  }

  void make(const char* name, mode_t mode) const {
    fuzz::expect(::mkdir((folder_ / name).c_str(), mode) == 0, "mkdir");
  }
  int open(const char* name) const {
    return ::open((folder_ / name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  void plant(const std::string& target, const char* name) const {
    fuzz::expect(::symlink(target.c_str(), (folder_ / name).c_str()) == 0, "symlink");
    if (has_secret()) static_cast<void>(::lchown((folder_ / name).c_str(), another_user, another_user));
  }

  fuzz::Folder folder_;
  int secret_ = -1;

 public:
  int root = -1;
};

// The directory as the kernel finds it, which follows any link. -1 if it finds none.
UniqueFd found_by_kernel(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, Tree::get().root, path.c_str(), &how, sizeof how)));
}

// A link with an absolute target begins at the root directory again, and ".." ends there.
void check_walk(const std::string& path) {
  const Tree& tree = Tree::get();
  for (const auto last : {LastComponent::keep, LastComponent::follow, LastComponent::open_directory}) {
    DirectoryEntry entry;
    if (posix::find_entry(path.c_str(), last, entry, tree.root, tree.root) != 0) continue;
    require(bool(entry.directory), "a walk ends in a directory");
    require(tree.is_in_root(entry.directory.get()), "no path leads out of the root directory");
    require(std::strchr(entry.name.data(), '/') == nullptr, "a name is one component");
    if (last != LastComponent::open_directory) continue;
    require(entry.name[0] == '\0', "an opened directory leaves no name");
    const UniqueFd other = found_by_kernel(path);
    require(!other || is_same(status_of(other.get()), status_of(entry.directory.get())),
            "a walk ends where the kernel's ends");
  }
}

// The process's own root directory: trusted links may lead anywhere, planted ones nowhere.
void check_absolute_walk(const std::string& path) {
  const Tree& tree = Tree::get();
  const std::string whole = tree.absolute(path);
  for (const auto last : {LastComponent::keep, LastComponent::follow, LastComponent::open_directory}) {
    DirectoryEntry entry;
    if (posix::find_entry(whole.c_str(), last, entry) == 0)
      require(!tree.is_secret(entry.directory.get()), "no planted link is followed");
    posix::own_descriptor(entry);
  }
  const UniqueFd file = posix::open_trusted_file(whole);
  if (!file) return;
  const struct stat found = status_of(file.get());
  require(S_ISREG(found.st_mode), "a trusted file is a regular one");
  require(found.st_uid == 0 || found.st_uid == ::geteuid() || !tree.has_secret(), "a trusted file is root's");
  std::array<char, 16> text{};
  const auto size = ::pread(file.get(), text.data(), text.size(), 0);
  require(size < 0 || !tree.has_secret() ||
              std::string_view(text.data(), static_cast<std::size_t>(size)) != secret_text,
          "no planted link leads to a trusted file");
}

// Paths as texts.
void check_text(const std::string& text) {
  const Path path = text;
  for (const std::string_view name : components(path))
    require(!name.empty() && name != "." && name.find('/') == std::string_view::npos,
            "a component is a name");
  const Path plain = without_detours("/" + text);
  require(plain.is_absolute() && without_detours(plain).native() == plain.native(),
          "a plain path stays as it is");
  require(plain.native() == "/" || !plain.native().ends_with('/'), "a plain path has no slash at its end");
  require(lies_in(plain, "/") && lies_in(plain, plain) && lies_in(plain, plain.parent_path()),
          "a path lies in its parents");
  require(lies_in(without_detours(plain / Path("x")), plain), "what is in a directory lies in it");
  require(!lies_in(plain.native() + "x", plain) || plain.native() == "/", "a longer name is another one");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t longest = 1024;  // a path of a thousand names takes milliseconds
  fuzz::Input input(data, std::min(size, longest));
  Tree::get().set_links(input);
  std::string path = input.rest();
  path = path.substr(0, path.find('\0'));
  const int before = fuzz::free_descriptor();
  check_walk(path);
  check_absolute_walk(path);
  check_text(path);
  real_path(Tree::get().absolute(path));
  require(fuzz::free_descriptor() == before, "no descriptor is left open");
  return 0;
}
