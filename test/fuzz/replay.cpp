// SPDX-License-Identifier: BSL-1.0

// A fuzzer without libFuzzer: gives it each input of a directory.
//
// Usage: fuzz_NAME CORPUS_DIRECTORY

#include <boost/filesystem.hpp>
#include <boost/filesystem/string_file.hpp>
#include <cstdio>

#include "fuzz.hpp"

namespace fs = boost::filesystem;

int main(int argc, char** argv) {
  if (argc != 2 || !fs::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
    return 2;
  }
  std::vector<fs::path> inputs(fs::directory_iterator(argv[1]), fs::directory_iterator{});
  std::sort(inputs.begin(), inputs.end());
  for (const fs::path& each : inputs) {
    // The last line that an input which ends the process leaves behind is its name.
    std::printf("%s\n", each.c_str());
    std::fflush(stdout);
    std::string bytes;
    fs::load_string_file(each, bytes);
    // In a block of its own: valgrind and the sanitizers see a read past the end.
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs\n", inputs.size());
  return inputs.empty() ? 1 : 0;
}
