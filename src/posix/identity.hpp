// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace daemonctx::posix {

/// Whom a process is to become.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};     ///< the supplementary ones; nobody else's are kept
  std::vector<gid_t> read_back = {};  ///< as long as `groups`: room for `assume`
  std::string name = {};              ///< empty if the user database does not know the uid
  std::string home = {};
  bool had_privileges = false;  ///< root's, when this was looked up: they are to be given up
  bool assumed = false;
};

/// Looks user and group up, each a name or a number.
/// \param group empty: the user's own.
/// \param initgroups whether the groups that the user is a member of are to be his supplementary ones;
///   without, and for a uid that the user database does not know, `gid` is the only one.
/// \param identity what was found.
/// \return empty, or what is wrong: `there is no user "x"`.
std::string look_up(const std::string& user, const std::string& group, bool initgroups, Identity& identity);

/// Whether a set-user-id or set-group-id bit gives this process rights that its starter lacks, or would give
/// them back to it.
bool is_elevated() noexcept;

/// Who this process is without them. The supplementary groups are the starter's already.
Identity unelevated();

/// Becomes it, with a session keyring of its own (session-keyring(7)) instead of root's. Does nothing if this
/// process is it already and never had privileges to give up.
/// \return 0 or an errno; then the process may be half changed. \note Runs in the daemon before it may
///   allocate.
int assume(Identity& identity) noexcept;

/// Becomes it as far as permissions go, in a process that a bare clone(2) has made: the C library's own
/// functions would wait there for threads that it does not have. \return 0 or an errno.
int try_on(const Identity& identity) noexcept;

/// Makes sure of it: all ids and groups are read back, no capability is left but the kept ones (a bit for
/// each), and regaining root is tried and must fail.
/// \return 0 or an errno. \note Runs in the daemon before it may allocate.
int verify(Identity& identity, std::uint64_t kept_capabilities) noexcept;

}  // namespace daemonctx::posix
