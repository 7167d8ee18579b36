// SPDX-License-Identifier: BSL-1.0

// POCO's ServerApplication, which becomes a daemon by its own options: PROGRAM PIDFILE

#include <Poco/Util/ServerApplication.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr unsigned longest_life = 300;  // seconds

class Server : public Poco::Util::ServerApplication {
 protected:
  int main(const std::vector<std::string>&) override {
    ::alarm(longest_life);
    waitForTerminationRequest();
    return Application::EXIT_OK;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  Server server;
  return server.run({argv[0], "--daemon", std::string("--pidfile=") + argv[1]});
}
