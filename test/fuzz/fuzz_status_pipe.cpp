// SPDX-License-Identifier: BSL-1.0

// The records from a daemon to its caller. The daemon's user need not be the caller's: any byte can come, and
// any number of bytes at a time.

#include "base/one_line.hpp"
#include "fuzz.hpp"
#include "launch/await_daemon.hpp"
#include "launch/status_pipe.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

constexpr auto last_step = static_cast<std::int32_t>(Step::run_service);

// Reads the same bytes all at once, as the header describes the records.
class Reference {
 public:
  void add(std::string_view bytes) { bytes_ += bytes; }

  std::optional<StatusReport> next() {
    StatusRecord record;
    if (is_over_ || bytes_.size() < sizeof record) return {};
    std::memcpy(&record, bytes_.data(), sizeof record);
    const bool is_known =
        record.kind == StatusRecord::Kind::ready || record.kind == StatusRecord::Kind::failure;
    is_over_ =
        !is_known || record.step < 0 || record.step > last_step || record.text_size > longest_status_text;
    if (is_over_ || bytes_.size() < sizeof record + record.text_size) return {};
    StatusReport report{record.kind, static_cast<Step>(record.step), record.error,
                        bytes_.substr(sizeof record, record.text_size)};
    bytes_.erase(0, sizeof record + record.text_size);
    return report;
  }
  bool is_over() const { return is_over_; }

 private:
  std::string bytes_;
  bool is_over_ = false;
};

bool are_equal(const std::optional<StatusReport>& one, const std::optional<StatusReport>& other) {
  if (!one || !other) return one.has_value() == other.has_value();
  return one->kind == other->kind && one->step == other->step && one->error == other->error &&
         one->text == other->text;
}

void write(const StatusPipe& pipe, const std::string& bytes) {
  fuzz::expect(::write(pipe.writer.fd(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
               "write");
}

void compare(StatusPipe& pipe, Reference& reference) {
  for (;;) {
    const auto report = pipe.reader.next();
    require(are_equal(report, reference.next()), "a record arrives when it is whole, and as it was sent");
    if (!report) break;
  }
  require(pipe.reader.is_over() == reference.is_over(), "bytes that are no record end the reading");
}

// The pieces' sizes lie between the pieces.
void read_pieces(fuzz::Input input) {
  StatusPipe pipe = create_status_pipe();
  Reference reference;
  while (!input.empty()) {
    const std::string piece = input.text(input.number() + std::size_t{1});
    write(pipe, piece);
    reference.add(piece);
    compare(pipe, reference);
  }
  pipe.writer.close();
  require(!pipe.reader.next() && pipe.reader.is_over(), "nothing follows the end of file");
}

void send_and_receive(fuzz::Input input) {
  StatusPipe pipe = create_status_pipe();
  const auto step = static_cast<Step>(input.number() % (last_step + 1));
  const int error = input.number<std::int32_t>();
  const std::string text = input.rest();
  require(pipe.writer.send_failure(step, error, text) == 0 && pipe.writer.send_ready() == 0, "both are sent");
  const auto report = pipe.reader.next();
  require(report && report->kind == StatusRecord::Kind::failure && report->step == step &&
              report->error == error && report->text == cut(text, longest_status_text),
          "a failure arrives as it was sent");
  const auto ready = pipe.reader.next();
  require(ready && ready->kind == StatusRecord::Kind::ready && ready->text.empty(),
          "ready follows the failure");
}

// What the caller makes of the records is printed.
void make_outcome(fuzz::Input input) {
  StatusPipe pipe = create_status_pipe();
  write(pipe, input.rest());
  StartOutcome outcome;
  read_what_is_left(pipe.reader, outcome);
  require(outcome.gone, "the caller has read all");
  if (outcome.kind != StartOutcome::Kind::failed) return;
  require(outcome.step >= Step{} && outcome.step <= Step::run_service, "the step is one of the list");
  require(fuzz::is_one_line(to_error(outcome, "subject", {}).what()), "the caller's message is one line");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, std::min<std::size_t>(size, PIPE_BUF * 4));  // a pipe holds more
  const auto mode = input.number();
  if (mode == 's') send_and_receive(input);
  else if (mode == 'o') make_outcome(input);
  else read_pieces(input);
  return 0;
}
