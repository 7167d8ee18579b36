// SPDX-License-Identifier: BSL-1.0

// A queue of jobs: people and programs hand in jobs over a Unix socket or HTTP, and worker threads do them. A
// job that was accepted survives every crash, and has its effect once. Copy this directory, change work.hpp.

#include <unistd.h>

#include <boost/program_options.hpp>
#include <daemonctx/asio.hpp>
#include <daemonctx/confine.hpp>
#include <daemonctx/service.hpp>

#include "server.hpp"

namespace {

namespace net = boost::asio;
namespace po = boost::program_options;
using namespace std::chrono_literals;
using daemonctx::DaemonContext;
using daemonctx::Path;
using Values = daemonctx::Service::Values;

std::string text_of(const Values& values, const char* name) { return values[name].as<std::string>(); }

struct Settings {
  std::size_t workers = 0;
  std::string database = {};
};

Settings read(const Values& values) {
  const int workers = values["workers"].as<int>();
  if (workers < 1 || workers > 64) throw std::runtime_error("workers: must be 1 to 64");
  return {static_cast<std::size_t>(workers), text_of(values, "database")};
}

// Once a second: what a reload has changed, the leases of this process's jobs, and what others have left.
net::awaitable<void> look_after(net::steady_timer& timer, jobd::Queue& queue, jobd::Workers& workers,
                                const Settings& settings) {
  for (boost::system::error_code cancelled; !cancelled;) {
    try {
      workers.set_number(settings.workers);
      for (const long job : workers.jobs())
        if (job != 0) queue.renew(job);
      queue.queue_again();
    } catch (const jobd::DatabaseError& error) {
      std::cerr << error.what() << std::endl;
    }
    workers.wake();
    timer.expires_after(1s);
    co_await timer.async_wait(net::redirect_error(net::use_awaitable, cancelled));
  }
}

int serve(DaemonContext& context, const Settings& settings) {
  net::io_context loop(1);
  const auto queue = std::make_shared<jobd::Queue>(settings.database);
  context.close_on_exit(queue);
  jobd::Workers workers(context, settings.database);  // its end waits for the jobs that were begun
  jobd::Server server(loop, *queue, workers);
  for (const char* name : {"http", "control"}) server.listen(context, name);
  daemonctx::AsioSignals signals(loop.get_executor(), context);
  signals.async_wait_stop([&](boost::system::error_code) { loop.stop(); });
  net::steady_timer timer(loop);
  net::co_spawn(loop, look_after(timer, *queue, workers, settings), net::detached);
  context.notify_ready();
  loop.run();

  server.close();
  timer.cancel();
  loop.restart();
  loop.run_for(5s);  // answers those who have connected
  return 0;
}

// Before the start: what the daemon may use.
void confine(const Values& values, daemonctx::DaemonOptions& options) {
  const Path control = text_of(values, "control");
  std::vector<Path> writable = {Path(text_of(values, "database")).parent_path(), control.parent_path()};
  for (const Path& each : writable) {
    const bool is_missing = ::access(each.c_str(), F_OK) == -1;  // the mode of another's directory stays
    if (is_missing) options.create_directories.push_back({.path = each, .mode = 0750, .user = options.user});
  }
  if (values.count("log") != 0) writable.push_back(Path(text_of(values, "log")).parent_path());
  options.sockets = {{.name = "http", .address = text_of(values, "listen")},
                     {.name = "control", .address = control.native()}};
  options.restrictions = {
      daemonctx::keep_capabilities({}), daemonctx::landlock({.read_write = writable, .best_effort = true}),
      daemonctx::system_calls({.denied = {"execve", "execveat", "ptrace"}, .best_effort = true})};
}

// ---- The actions submit, cancel and list.

int ask(const Values& values, http::verb verb, const std::string& target, const std::string& body = {}) {
  const std::string socket = text_of(values, "control");
  http::request<http::string_body> request(verb, target, 11, body);
  request.prepare_payload();
  http::response<http::string_body> response;
  boost::beast::flat_buffer buffer;
  net::io_context loop;
  net::local::stream_protocol::socket stream(loop);
  try {
    stream.connect({socket});
    http::write(stream, request);
    http::read(stream, buffer, response);
  } catch (const boost::system::system_error& error) {
    throw std::runtime_error("no answer at \"" + socket + "\": " + error.code().message());
  }
  const std::string& text = response.body();
  if (response.result_int() >= 400) throw std::runtime_error(text.substr(0, text.find('\n')));
  std::cout << text;
  return 0;
}

int submit(const Values& values) {
  std::string text;
  for (const auto& word : values["job"].as<std::vector<std::string>>())
    text += (text.empty() ? "" : " ") + word;
  return ask(values, http::verb::post, "/jobs", text);
}

int cancel(const Values& values) {
  return ask(values, http::verb::delete_, "/jobs/" + std::to_string(values["id"].as<unsigned>()));
}

int list(const Values& values) { return ask(values, http::verb::get, "/jobs"); }

template <class Value>
daemonctx::ServiceAction action(const char* name, int (*run)(const Values&), const char* text,
                                const char* word) {
  daemonctx::ServiceAction made{.name = name, .text = text, .run = run};
  made.options.add_options()(word, po::value<Value>()->required(), text);
  made.words.add(word, -1);
  return made;
}

}  // namespace

// tag::program[]
int main(int argc, char** argv) {
  Settings settings;
  daemonctx::Service service("jobd",
                             {.signal_map = {{SIGUSR2, daemonctx::Action::upgrade}},
                              .readiness = daemonctx::Readiness::when_notified,
                              .respawn = true,
                              .respawn_policy = {.hang_timeout = 30s}},
                             [&](DaemonContext& context) { return serve(context, settings); });
  auto add = service.options().add_options();
  add("workers", po::value<int>()->default_value(4), "threads that do jobs");
  add("database", po::value<std::string>()->default_value("/var/lib/jobd/jobs.sqlite"),
      "the file of the jobs");
  add("listen", po::value<std::string>()->default_value("127.0.0.1:8080"),
      "the address for HTTP and the page");
  add("control", po::value<std::string>()->default_value("/run/jobd/control.sock"),
      "the Unix socket for HTTP");
  service.on_configure([&](const Values& values) { settings = read(values); });
  service.on_options(confine);
  service.config_file("/etc/jobd.conf", daemonctx::MissingFile::means_defaults);
  service.add_action(action<std::vector<std::string>>("submit", submit, "hands in a job: sum 1 2 3", "job"));
  service.add_action(action<unsigned>("cancel", cancel, "cancels a job", "id"));
  service.add_action({.name = "list", .text = "shows the last 100 jobs", .run = list});
  service.description("Takes jobs over a Unix socket and HTTP, and does each of them once.");
  service.version("1.0");
  return service.main(argc, argv);
}
// end::program[]
