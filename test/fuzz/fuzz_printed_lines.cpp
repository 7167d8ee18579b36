// SPDX-License-Identifier: BSL-1.0

// What a service prints, cut into lines for syslog: any bytes, any number at a time.

#include "base/one_line.hpp"
#include "fuzz.hpp"
#include "output/line_reader.hpp"
#include "output/own_line.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

// The lines that were read, put together again.
class Lines {
 public:
  void take(LineReader& reader, bool also_rest) {
    while (const auto piece = reader.next(also_rest)) {
      require(piece->text.size() <= LineReader::longest_line, "a piece is no longer than it may be");
      require(piece->text.find('\n') == std::string_view::npos, "a line end is in no piece");
      if (piece->begins_line) lines_.emplace_back();
      require(!lines_.empty(), "the first piece begins a line");
      lines_.back() += piece->text;
    }
  }
  const std::vector<std::string>& all() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

void print(LineReader& reader, const std::string& text) {
  fuzz::expect(::write(reader.writer(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
               "write");
}

// A line as long as a multiple of the buffer may be followed by an empty piece of it.
bool is_multiple(const std::string& line) {
  return !line.empty() && line.size() % LineReader::longest_line == 0;
}

std::vector<std::string> without_rests(const std::vector<std::string>& lines) {
  std::vector<std::string> kept;
  for (const std::string& line : lines) {
    if (!line.empty()) kept.push_back(line);
  }
  return kept;
}

void read_pieces(fuzz::Input input, LineReader reader) {
  std::string all;
  Lines lines;
  while (!input.empty()) {
    const std::size_t times = input.flag() ? 200 : 1;  // a pipe holds more
    std::string piece = input.text(input.number());
    for (const std::string one = piece; piece.size() < one.size() * times;) piece += one;
    print(reader, piece);
    all += piece;
    while (reader.read_more() > 0) lines.take(reader, false);
    require(reader.waiting() == 0, "all is read");
  }
  lines.take(reader, true);
  const std::vector<std::string> wanted = fuzz::split(all, '\n');
  const bool has_long = std::any_of(wanted.begin(), wanted.end(), is_multiple);
  require(has_long ? without_rests(lines.all()) == without_rests(wanted) : lines.all() == wanted,
          "the lines are those that were printed");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto mode = input.number();
  if (mode == 'm') {
    read_pieces(input, LineReader::memory());
  } else if (mode == 'e') {
    const std::string where = input.word();
    const std::string line = error_line(where, input.rest());
    require(line.ends_with('\n') && fuzz::is_one_line(line.substr(0, line.size() - 1)),
            "an error is one line");
  } else {
    read_pieces(input, LineReader::pipe());
  }
  return 0;
}
