// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "table.hpp"

/// One function for each row of the table "Budgets" in the design, or for a few that belong together.
namespace bench {

void start_rows(Table& table);       ///< start until ready is known; static and shared
void monitor_rows(Table& table);     ///< a start with a monitor, beside one without
void limit_rows(Table& table);       ///< RLIMIT_NOFILE 1,048,576 and 1e9
void descriptor_rows(Table& table);  ///< 10,000 inherited descriptors closed
void heap_rows(Table& table);        ///< detach behind 1 GiB of heap
void idle_rows(Table& table);        ///< memory, threads and wake-ups of an idle daemon
void signal_rows(Table& table);      ///< signal to the user's action
void stop_rows(Table& table);        ///< SIGTERM to the end
void control_rows(Table& table);     ///< the daemon's end to the end of the program that stops it
void respawn_rows(Table& table);     ///< a worker's death to the next one's readiness
void cleanup_rows(Table& table);     ///< clean-up callbacks
void header_rows(Table& table);      ///< compiler time of the public header
void crowd_rows(Table& table);       ///< 64 starts at once
void succession_rows(Table& table);  ///< starts while the old daemon ends
void upgrade_rows(Table& table);     ///< connections while the service is upgraded

}  // namespace bench
