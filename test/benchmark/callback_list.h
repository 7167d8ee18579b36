// SPDX-License-Identifier: BSL-1.0
#pragma once

// The least that plain C can do for clean-up callbacks: an intrusive list, whose entries the caller provides.

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct Callback {
  struct Callback* below;
  void (*run)(void* argument);
  void* argument;
};

static inline void callback_push(struct Callback** last, struct Callback* callback, void (*run)(void*),
                                 void* argument) {
  callback->run = run;
  callback->argument = argument;
  callback->below = *last;
  *last = callback;
}

// Runs the last one first. The function has a file of its own, so that no compiler sees through the list.
void callback_run_all(struct Callback** last);

#ifdef __cplusplus
}
#endif
