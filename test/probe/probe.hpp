// SPDX-License-Identifier: BSL-1.0
#pragma once

// The parts of daemon_probe: what the words on its command line can mean.

#include <daemonctx/daemon_context.hpp>
#include <map>
#include <string>

namespace probe {

/// Writes a line to the FIFO whose path is `channel`.
extern std::string channel;
void say(const std::string& text);

/// `tell_facts` reports what this process can see of itself, one NAME=VALUE a line. The others return one
/// fact.
void tell_facts(const daemonctx::DaemonContext* context);
std::string open_descriptors();
std::string terminal();
std::string core_limit();
std::string status_field(const std::string& name);  ///< of /proc/self/status

/// Waits until another process opens the FIFO for writing.
void await_writer(const std::string& fifo);

/// Reads "250" (milliseconds), "1ns", "max" (more than a clock can hold) or "forever".
daemonctx::Timeout length(const std::string& text);

/// The actions by name, the word before the colon. The argument follows the colon.
using CallerAction = void (*)(const std::string&);
using ServiceAction = void (*)(daemonctx::DaemonContext&, const std::string&);
extern const std::map<std::string, CallerAction> caller_actions;
extern const std::map<std::string, ServiceAction> service_actions;

/// Attacks by a worker that an intruder has taken over.
void tell_monitor(daemonctx::DaemonContext& context,
                  const std::string& text);  // "|" stands for the end of a line
void send_descriptors(daemonctx::DaemonContext& context, const std::string& times);
void ask_to_reopen(daemonctx::DaemonContext& context, const std::string&);
void ask_to_remember(daemonctx::DaemonContext& context, const std::string&);
void ask_to_open(daemonctx::DaemonContext& context, const std::string& place);
void fill_shared_pages(daemonctx::DaemonContext& context, const std::string&);
void send_lingering(daemonctx::DaemonContext& context, const std::string&);
void flood_monitor(daemonctx::DaemonContext& context, const std::string&);
void lose_monitor(daemonctx::DaemonContext& context, const std::string&);
void seize_pidfile(daemonctx::DaemonContext& context, const std::string& path);

/// What a service does with a named socket.
void tell_socket(daemonctx::DaemonContext& context, const std::string& name);
void serve_socket(daemonctx::DaemonContext& context, const std::string& name);
void tell_child_socket(daemonctx::DaemonContext& context, const std::string& name);
void use_socket_in_cleanup(daemonctx::DaemonContext& context, const std::string& name);

/// The options by name, the word before the equals sign.
using OptionSetter = void (*)(daemonctx::DaemonOptions&, const std::string&);
extern const std::map<std::string, OptionSetter> option_setters;

}  // namespace probe
