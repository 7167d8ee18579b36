// SPDX-License-Identifier: BSL-1.0

// A pool of threads does the work of this service. A stop waits until each job that was taken is done.

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <daemonctx/daemon_context.hpp>
#include <iostream>
#include <string>
#include <thread>

void print(const std::string& line) { std::cout << line + '\n' << std::flush; }

// tag::program[]
int main() {
  const daemonctx::DaemonOptions options{.pidfile = "thread_pool.pid",
                                         .stdio = {.out = daemonctx::StdioTarget::file("thread_pool.log")}};
  return daemonctx::run(options, [](daemonctx::DaemonContext& context) {
    boost::asio::thread_pool pool(4);  // after the context: a fork keeps only one thread
    const daemonctx::ScopedCleanup joins = context.on_exit([&pool] { pool.join(); });
    for (int i = 1; !context.wait_for(std::chrono::milliseconds(10)); ++i) {
      print("taken " + std::to_string(i));
      boost::asio::post(pool, [i] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        print("done " + std::to_string(i));
      });
    }
    return 0;
  });
}
// end::program[]
