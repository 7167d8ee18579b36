// SPDX-License-Identifier: BSL-1.0

// The record that an upgrade gives to the new program. The old program may be of another version.

#include <stdexcept>

#include "fuzz.hpp"
#include "upgrade/hand_over.hpp"

using daemonctx::HandOver;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string text = input.rest();
  try {
    const HandOver record = HandOver::parse(text);
    const std::string written = record.to_text();
    require(HandOver::parse(written).to_text() == written, "what is written reads the same");
    for (const int fd : record.descriptors()) require(fd >= 0, "a descriptor is no negative number");
    require(record.requester >= 0, "a pid is no negative number");
  } catch (const std::runtime_error& refusal) {
    require(std::string_view(refusal.what()).size() > 10, "a refusal says why");
  }
  return 0;
}
