// SPDX-License-Identifier: BSL-1.0
#include "service/effects.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace daemonctx {
namespace {

// Names of actions, each between blanks.
constexpr std::string_view starts = " start restart try-restart run configtest ";
constexpr std::string_view controls = " stop reload force-reload upgrade reopen status ";

struct Effect {
  std::string_view option;
  std::string_view actions;
};

// The settings that are not here, the program's own among them, have an effect on `starts`.
constexpr std::array<Effect, 9> special = {{
    {"stop-timeout", " stop restart try-restart force-reload "},
    {"foreground", " start restart try-restart "},
    {"explain", " start restart run "},
    {"notify-fd", " start run "},
    {"oknodo", " start stop restart try-restart run reload force-reload upgrade reopen "},
    {"binary", " upgrade "},
    {"json", " stop status "},
    {"ready", " status "},
    {"verbose", " start stop restart try-restart reload force-reload upgrade reopen "},
}};

bool has(std::string_view actions, std::string_view action) {
  return actions.find(' ' + std::string(action) + ' ') != std::string_view::npos;
}

}  // namespace

bool has_effect(std::string_view option, std::string_view action, bool is_added_action, bool is_setting) {
  if (option == "pidfile" || option == "config")
    return is_added_action || has(starts, action) || has(controls, action);
  if (is_added_action) return is_setting || option == "json" || option == "verbose";
  const auto* const found =
      std::find_if(special.begin(), special.end(), [&](const Effect& each) { return each.option == option; });
  return has(found == special.end() ? starts : found->actions, action);
}

}  // namespace daemonctx
