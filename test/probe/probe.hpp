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

/// What this process can see of itself, each as the test compares it.
void tell_facts(const daemonctx::DaemonContext* context);
std::string open_descriptors();
std::string terminal();
std::string core_limit();

/// "250" milliseconds, "1ns", "max" for what no clock can hold, "forever".
daemonctx::Timeout length(const std::string& text);

/// By the word before the colon; what follows it is the argument.
using CallerAction = void (*)(const std::string&);
using ServiceAction = void (*)(daemonctx::DaemonContext&, const std::string&);
extern const std::map<std::string, CallerAction> caller_actions;
extern const std::map<std::string, ServiceAction> service_actions;

/// In a worker that was taken over.
void tell_monitor(daemonctx::DaemonContext& context,
                  const std::string& text);  // "|" stands for the end of a line
void send_descriptors(daemonctx::DaemonContext& context, const std::string& times);
void ask_to_reopen(daemonctx::DaemonContext& context, const std::string&);
void seize_pidfile(daemonctx::DaemonContext& context, const std::string& path);

/// By the word before the equals sign.
using OptionSetter = void (*)(daemonctx::DaemonOptions&, const std::string&);
extern const std::map<std::string, OptionSetter> option_setters;

}  // namespace probe
