// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE socket_address
#include "sockets/socket_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

#include "sockets/check_sockets.hpp"

using namespace daemonctx;

namespace {

std::string shown(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET6) {
    const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
    BOOST_TEST(address.size == sizeof ip6);
    ::inet_ntop(AF_INET6, &ip6.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(ip6.sin6_port));
  }
  const auto& ip4 = reinterpret_cast<const sockaddr_in&>(address.storage);
  BOOST_TEST(address.size == sizeof ip4);
  ::inet_ntop(AF_INET, &ip4.sin_addr, text.data(), text.size());
  return text.data() + (":" + std::to_string(ntohs(ip4.sin_port)));
}

std::string refusal(const std::string& text) {
  try {
    parse_address(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_of(const std::vector<ListenSocket>& sockets) {
  try {
    check_sockets(sockets);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_CASE(ip_addresses_are_read) {
  BOOST_TEST(shown(parse_address("127.0.0.1:80")) == "127.0.0.1:80");
  BOOST_TEST(shown(parse_address("0.0.0.0:0")) == "0.0.0.0:0");
  BOOST_TEST(shown(parse_address("[::1]:65535")) == "[::1]:65535");
  BOOST_TEST(shown(parse_address("[2001:db8::7]:443")) == "[2001:db8::7]:443");
  BOOST_TEST(shown(parse_address("*:8080")) == "[::]:8080");
  BOOST_TEST(shown(any_ip4(parse_address("*:8080"))) == "0.0.0.0:8080");
}

BOOST_AUTO_TEST_CASE(unix_addresses_are_read) {
  const SocketAddress path = parse_address("/run/x.sock");
  const auto& by_path = reinterpret_cast<const sockaddr_un&>(path.storage);
  BOOST_TEST(path.family() == AF_UNIX);
  BOOST_TEST(std::string(by_path.sun_path) == "/run/x.sock");
  BOOST_TEST(path.size == offsetof(sockaddr_un, sun_path) + 12);
  const SocketAddress abstract = parse_address("@a/b");
  const auto& by_name = reinterpret_cast<const sockaddr_un&>(abstract.storage);
  BOOST_TEST(std::string(by_name.sun_path, 4) == std::string("\0a/b", 4));
  BOOST_TEST(abstract.size == offsetof(sockaddr_un, sun_path) + 4);
  BOOST_TEST(is_path("./x"));
  BOOST_TEST(is_path("/x"));
  BOOST_TEST(!is_path("@/x"));
  BOOST_TEST(!is_path("127.0.0.1:80"));
}

BOOST_AUTO_TEST_CASE(a_wrong_address_is_refused_with_the_reason) {
  for (const char* port : {"", "-1", "+1", " 1", "65536", "1x", "http"}) {
    BOOST_TEST(refusal(std::string("127.0.0.1:") + port) ==
               '"' + std::string(port) + "\" is no port from 0 to 65535");
  }
  BOOST_TEST(refusal("localhost:80") == "\"localhost\" is no IP address in numbers");
  BOOST_TEST(refusal(":80") == "\"\" is no IP address in numbers");
  BOOST_TEST(refusal("127.1:80") == "\"127.1\" is no IP address in numbers");
  BOOST_TEST(refusal("::1:80") == "an IPv6 address must stand in brackets, as in \"[::1]:80\"");
  BOOST_TEST(refusal("[::1%lo]:80") == "\"::1%lo\" is no IPv6 address in numbers");
  BOOST_TEST(refusal("[127.0.0.1]:80") == "\"127.0.0.1\" is no IPv6 address in numbers");
  for (const char* text : {"127.0.0.1", "[::1]", "x.sock", "80"})
    BOOST_TEST(refusal(text) == "has no port; a path needs a slash, as in \"./x.sock\"");
  BOOST_TEST(refusal("@") == "the abstract name is empty");
  BOOST_TEST(refusal(std::string("/a\0b", 4)) == "has a NUL character in it");
  BOOST_TEST(refusal('/' + std::string(106, 'x')) == "accepted");
  BOOST_TEST(refusal('/' + std::string(107, 'x')) == "has 108 characters, more than 107");
  BOOST_TEST(refusal('@' + std::string(106, 'x')) == "accepted");
  BOOST_TEST(refusal('@' + std::string(107, 'x')) == "has 108 characters, more than 107");
}

BOOST_AUTO_TEST_CASE(the_sockets_of_a_service_are_checked) {
  const ListenSocket web{.name = "web", .address = "127.0.0.1:80"};
  const ListenSocket file{.name = "file", .address = "./x.sock"};
  const auto with = [](ListenSocket socket, auto change) {
    change(socket);
    return refusal_of({socket});
  };
  BOOST_TEST(refusal_of({web, file}) == "accepted");
  BOOST_TEST(refusal_of({web, file, web}) == "sockets: the name \"web\" is there twice");
  for (const std::string& name :
       {std::string(), std::string("a:b"), std::string("a\nb"), std::string(256, 'x')}) {
    BOOST_TEST(refusal_of({{.name = name, .address = "@x"}}) ==
               "sockets: \"" + name +
                   "\" can't be the name of a descriptor: 1 to 255 printable characters, no ':'");
  }
  BOOST_TEST(refusal_of({{.name = "x"}}) == "sockets: \"x\" has no address");
  BOOST_TEST(refusal_of({{.name = "x", .address = "here:80"}}) ==
             "sockets: the address \"here:80\" of \"x\": \"here\" is no IP address in numbers");
  BOOST_TEST(with(web, [](auto& one) { one.type = SocketType::seqpacket; }) ==
             "sockets: \"web\": IP has no seqpacket");
  BOOST_TEST(with(file, [](auto& one) { one.type = SocketType::seqpacket; }) == "accepted");
  BOOST_TEST(with(web, [](auto& one) { one.backlog = 0; }) ==
             "sockets: \"web\": the backlog must be positive, is 0");
  BOOST_TEST(with(file, [](auto& one) { one.mode = 01777; }) ==
             "sockets: \"file\": the mode has more than permission bits");
  for (ListenSocket one : {web, ListenSocket{.name = "web", .address = "@x"}}) {
    one.group = "mail";
    BOOST_TEST(refusal_of({one}) == "sockets: \"web\": only a socket file has a user and a group");
  }
  BOOST_TEST(with(file, [](auto& one) { one.user = "mail"; }) == "accepted");
  for (const char* address : {"127.0.0.1:80", "*:80", "@x", "/x"}) {
    BOOST_TEST(refusal_of({{.name = "web", .address = address, .v6only = true}}) ==
               "sockets: \"web\": v6only needs an IPv6 address, such as \"[::]:80\"");
  }
  BOOST_TEST(refusal_of({{.name = "web", .address = "[::]:80", .v6only = true}}) == "accepted");
  BOOST_TEST(with(file, [](auto& one) { one.reuse_port = true; }) ==
             "sockets: \"file\": reuse_port needs an IP address");
}
