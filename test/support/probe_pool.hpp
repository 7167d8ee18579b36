// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "scene.hpp"

namespace scene {

/// A program to run. Its standard output is a pipe, its standard error is `error_file`.
struct Job {
  Words command;
  std::string error_file;
  std::chrono::milliseconds limit;
  std::function<void()> surroundings = {};  ///< runs in the new process before exec
};

struct Outcome {
  End end;
  std::string out;
  std::string err;
  std::chrono::milliseconds took = {};
  std::string hang = {};  ///< what its threads were doing when the limit had passed; empty: all ended in time
};

/// Runs the jobs, at most `at_once` of them at a time. A job has ended when its process has ended and no
/// process holds its standard output: a forked child that hangs counts as well. After `limit` the whole
/// process group of the job is killed.
std::vector<Outcome> run_at_once(const std::vector<Job>& jobs, std::size_t at_once);

}  // namespace scene
