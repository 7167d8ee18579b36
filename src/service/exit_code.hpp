// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

// The Linux Standard Base's exit codes of init script actions; `exit_code_of` has those of `status`.
enum ExitCode {
  success = 0,
  failure = 1,
  wrong_arguments = 2,
  not_implemented = 3,
  no_permission = 4,
  not_configured = 6,
  not_running = 7,
  ended_by_signal = 150,  // the Linux Standard Base leaves codes from 150 on to the program
};

}  // namespace daemonctx
