// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the fault machine and its subject agree on. In the sandbox /run is an empty file system.

namespace faults {

inline constexpr const char* pidfile = "/run/subject/subject.pid";
inline constexpr const char* log = "/run/subject/log";
inline constexpr const char* rotated_log = "/run/subject/log.1";
inline constexpr const char* jail = "/run/jail";
inline constexpr const char* directory = "/run/made/below";
inline constexpr const char* kept_directory = "/run/kept";  // exists before the start, with mode 0755
inline constexpr const char* socket = "/run/subject/socket";
inline constexpr const char* configuration = "/run/subject.conf";

inline constexpr int number_that_ends = 3;  // of the configuration: the service ends as soon as it is ready

inline constexpr int journal_fd = 200;
inline constexpr long marker = 0xfa17;  // a system call that does not exist: counting begins here

}  // namespace faults
