// SPDX-License-Identifier: BSL-1.0
#pragma once

// Durations and clocks, without the calendar of <chrono>: in libstdc++ that includes <sstream>, which took a
// fifth of the time to compile daemon_context.hpp. <mutex> of libstdc++ includes this part alone, too.
#include <ratio>
#if defined(__GLIBCXX__) && __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif
