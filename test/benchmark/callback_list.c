// SPDX-License-Identifier: BSL-1.0
#include "callback_list.h"

void callback_run_all(struct Callback** last) {
  while (*last != NULL) {
    struct Callback* callback = *last;
    *last = callback->below;
    callback->run(callback->argument);
  }
}
