// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

namespace jobd {

/// The middle of the service: put your own work here. After a crash a job may be worked on again; its result
/// is kept once.
/// \param text "sum 1 2 3", or "sleep 250", in ms
/// \throws std::exception: the job has failed
inline std::string do_work(const std::string& text) {
  std::istringstream words(text);
  std::string verb;
  long sum = 0;
  words >> verb;
  for (long number = 0; words >> number;) sum += number;
  if (!words.eof()) throw std::runtime_error("after \"" + verb + "\" only numbers may follow");
  if (verb == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(std::clamp(sum, 0L, 60'000L)));
  else if (verb != "sum") throw std::runtime_error("\"" + verb + "\" is no job; \"sum\" and \"sleep\" are");
  return std::to_string(sum);
}

}  // namespace jobd
