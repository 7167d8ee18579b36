// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Marks what the shared library shows; everything else is hidden.
#define DAEMONCTX_EXPORT [[gnu::visibility("default")]]
