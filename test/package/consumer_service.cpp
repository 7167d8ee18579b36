// SPDX-License-Identifier: BSL-1.0

// The service library as users link it.

#include <boost/program_options.hpp>
#include <cstdlib>
#include <daemonctx/service.hpp>
#include <iostream>

int main(int argc, char** argv) {
  daemonctx::Service service("consumer", {}, [](daemonctx::DaemonContext& context) {
    std::cout << "runs as " << to_string(context.mode()) << '\n';
    return EXIT_SUCCESS;
  });
  service.options().add_options()("number", boost::program_options::value<int>(), "a number");
  service.on_configure([](const auto& values) { std::cout << values["number"].template as<int>() << '\n'; });
  return service.main(argc, argv);
}
