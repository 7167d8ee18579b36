// SPDX-License-Identifier: BSL-1.0
#pragma once

// A service that is upgraded, its clients, and versions of its program, for the tests of upgrades.

#include <sys/types.h>

#include <array>
#include <atomic>
#include <daemonctx/controller.hpp>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "scene.hpp"

namespace upgrades {

using scene::Scene;

struct Times {
  int ready = 20'000;
  int probation = 20;
  int drain = 20'000;
};

class Service {
 public:
  /// \param how as the probe's last argument; "stay" and "stay-monitor" do not detach.
  explicit Service(Scene& scene, const Times& times = {}, const std::string& how = "detach");
  ~Service();

  daemonctx::Controller control() const { return daemonctx::Controller(pidfile_); }
  pid_t pid() const { return control().status().pid; }
  const std::string& pidfile() const { return pidfile_; }
  const scene::Words& words() const { return words_; }

  /// The journal's lines that begin with a word.
  std::vector<std::string> lines(const std::string& word) const;
  void await(const std::string& word, std::size_t count = 1) const;
  int port() const;

  /// The process that answers a connection.
  pid_t server() const;

  /// The outcome of an upgrade: empty, or why not.
  std::string upgrade(const std::string& binary = {}) const;

 private:
  std::string pidfile_;
  std::string journal_;
  std::string good_;
  scene::Words words_;
  std::optional<scene::Running> in_foreground_;
};

/// Connects without pause in several threads.
class Clients {
 public:
  explicit Clients(int port);
  ~Clients() { finish(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void finish();
  int answered() const { return answered_; }
  int refused() const { return refused_; }
  int broken() const { return broken_; }

 private:
  void connect_once(int port);

  std::array<std::thread, 8> threads_;
  std::atomic<bool> done_ = false;
  std::atomic<int> answered_ = 0;
  std::atomic<int> refused_ = 0;
  std::atomic<int> broken_ = 0;
};

/// A version of the program, by its name; or another file that is to be none.
std::string make_version(const Scene& scene, const std::string& kind);

int rounds();

struct Bad {
  const char* kind;
  const char* reason;  ///< is part of the outcome
};
inline constexpr std::array<Bad, 11> bad_versions = {{{"missing", "No such file or directory"},
                                                      {"not_executable", "Permission denied"},
                                                      {"other_architecture", "Exec format error"},
                                                      {"exits", "exits: cannot read its licence"},
                                                      {"throws", "broken state"},
                                                      {"crashes", "the new program"},
                                                      {"crashes_soon", "within its probation"},
                                                      {"refuses", "cannot read the state of version 1"},
                                                      {"other_record",
                                                       "its record has version 2, and this program "
                                                       "knows only version 1"},
                                                      {"no_memory", "std::bad_alloc"},
                                                      {"good", ""}}};

/// Upgrades to a version, and checks that a bad one leaves the service as it was.
void try_version(const Scene& scene, const Service& service, const Bad& version);

/// The kinds of starts, while the service is upgraded: none may succeed.
void start_meanwhile(const Service& service);

/// Upgrades under load. No connection may be lost.
void upgrade_under_load(const Service& service);

/// Does something at each moment of an upgrade of a new service, from the request to the end of the old
/// process.
void disturb(const std::string& how,
             const std::function<void(const Service& service, pid_t server)>& disturbance);

/// The moments of `disturb`, in milliseconds after the request.
std::vector<int> moments();

bool has_pidfds();

}  // namespace upgrades
