// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE identity
#include "posix/identity.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using daemonctx::posix::Identity;
using daemonctx::posix::look_up;

namespace {

std::string refusal(const std::string& user, const std::string& group) {
  Identity identity;
  return look_up(user, group, true, identity);
}

Identity found(const std::string& user, const std::string& group = {}, bool initgroups = true) {
  Identity identity;
  BOOST_TEST(look_up(user, group, initgroups, identity) == "");
  return identity;
}

}  // namespace

BOOST_AUTO_TEST_CASE(users_and_groups_are_found_by_name_and_number) {
  const Identity by_name = found("games");
  const Identity by_number = found(std::to_string(by_name.uid));
  BOOST_TEST(by_name.name == "games");
  BOOST_TEST(by_number.name == "games");
  BOOST_TEST(by_number.gid == by_name.gid);
  BOOST_TEST(by_name.home == ::getpwnam("games")->pw_dir);
  BOOST_TEST(found("games", "daemon").gid == found("daemon").gid);
  BOOST_TEST(found("games", "4711").gid == 4711U);
  BOOST_TEST(found("", "daemon").uid == ::geteuid());
}

BOOST_AUTO_TEST_CASE(the_groups_are_the_users_and_the_chosen_one) {
  const Identity identity = found("games", "daemon");
  const auto& groups = identity.groups;
  BOOST_TEST(std::count(groups.begin(), groups.end(), identity.gid) == 1);
  BOOST_TEST(identity.read_back.size() == groups.size());
  BOOST_TEST(found("games", "daemon", false).groups == std::vector<gid_t>{identity.gid});
  BOOST_TEST(found("1234567", "daemon").groups == std::vector<gid_t>{identity.gid});
}

BOOST_AUTO_TEST_CASE(a_missing_user_or_group_is_named) {
  BOOST_TEST(refusal("no such", "") == "there is no user \"no such\"");
  BOOST_TEST(refusal("games", "no such") == "there is no group \"no such\"");
  BOOST_TEST(refusal("1234567", "") == "user 1234567 has no name and so no group: name one");
  // The kernel takes the id -1 as "leave it unchanged".
  for (const std::string number : {"4294967295", "4294967296", "-1", "0x1", "1 "}) {
    BOOST_TEST(refusal(number, "") == "there is no user \"" + number + '"');
  }
  BOOST_TEST(refusal("games", "4294967295") == "there is no group \"4294967295\"");
}

BOOST_AUTO_TEST_CASE(a_user_without_privileges_can_only_become_himself) {
  Identity root{.uid = 0, .gid = 0, .groups = {0}, .read_back = {0}};
  if (::geteuid() != 0) {
    BOOST_TEST(assume(root) == EPERM);
    Identity self = found(std::to_string(::geteuid()), std::to_string(::getegid()));
    BOOST_TEST(assume(self) == 0);
    return;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    Identity nobody{
        .uid = 65534, .gid = 65534, .groups = {65534, 1}, .read_back = {0, 0}, .had_privileges = true};
    const bool changed = assume(nobody) == 0 && verify(nobody, 0) == 0;
    const bool had_nothing_to_give_up = assume(nobody) == EPERM;
    nobody.had_privileges = false;
    ::_exit(changed && had_nothing_to_give_up && assume(nobody) == 0 && assume(root) == EPERM ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(child).exited(0));
}
