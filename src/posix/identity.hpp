// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace daemonctx::posix {

/// The user and the groups that a process is to change to.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};     ///< the supplementary groups; all others are dropped
  std::vector<gid_t> read_back = {};  ///< as long as `groups`: room for `verify`
  std::string name = {};              ///< empty if the user database does not know the uid
  std::string home = {};
  bool had_privileges = false;  ///< the process was root at the look-up and must give that up
  bool assumed = false;
};

/// Looks up user and group, each a name or a number.
/// \param group if empty, the user's own group.
/// \param initgroups if true, all groups that the user is a member of become supplementary groups. If false,
///   or for a uid that the user database does not know, `gid` is the only one.
/// \param identity the result.
/// \return empty, or the error: `there is no user "x"`.
std::string look_up(const std::string& user, const std::string& group, bool initgroups, Identity& identity);

/// True if a set-user-id or set-group-id bit gives this process rights that its starter lacks, or lets the
/// process regain them.
bool is_elevated() noexcept;

/// The identity of this process without those rights: its real ids. The supplementary groups are the
/// starter's already.
Identity unelevated();

/// Changes this process to `identity`, and replaces root's session keyring (session-keyring(7)) by a new one.
/// Does nothing if the process has these ids already and never had privileges to give up.
/// \return 0 or an errno; after an error the process may be half changed. \note Runs in the daemon before it
///   may allocate.
int assume(Identity& identity) noexcept;

/// Like `assume`, but only as far as permissions go, in a process that a bare clone(2) has made. The C
/// library's own functions would wait there for threads that the process lacks. \return 0 or an errno.
int try_on(const Identity& identity) noexcept;

/// Verifies what `assume` changed: drops all capabilities but the kept ones (a bit for each), unless the new
/// user is root. Reads back all ids and groups, and tries to regain root, which must fail.
/// \return 0 or an errno. \note Runs in the daemon before it may allocate.
int verify(Identity& identity, std::uint64_t kept_capabilities) noexcept;

}  // namespace daemonctx::posix
