// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE documents

// What a service prints about itself: help, man page, completions.

#include "service_fixture.hpp"

using scene::Probe;
using scene::Scene;
using scene::skipped;

BOOST_FIXTURE_TEST_CASE(bash_completes_actions_options_and_their_values, Probe) {
  scene::write_file(scene.path("completion"), Scene::run({program, "completion"}).out);
  scene::write_file(scene.path("some file"), "");
  const auto completed = [&](const std::string& words) {
    return Scene::
        run({"/bin/bash", "-c",
             "cd " + scene.folder().string() + " && . ./completion && COMP_WORDS=(probe " + words +
                 ") && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _probe && printf '%s|' \"${COMPREPLY[@]}\""})
            .out;
  };
  BOOST_TEST(completed("st") == "start|stop|status|");
  BOOST_TEST(completed("start --st") == "--stop-timeout|");
  BOOST_TEST(completed("start --config some") == "some file|");
  BOOST_TEST(completed("start --user nobod") == "nobody|");
  BOOST_TEST(completed("start --umask ''") == "|");
  BOOST_TEST(completed("sub") == "submit|");
  BOOST_TEST(completed("submit --prio") == "--priority|");
  BOOST_TEST(completed("submit some") == "some file|");
}

BOOST_FIXTURE_TEST_CASE(the_man_page_names_every_action_and_option, Probe) {
  const std::string page =
      Scene::run({program, "manpage"}, [] { ::setenv("SERVICE_FILE", "/etc/probe.conf", 1); }).out;
  for (const std::string part :
       {".TH \"probe\" 8\n", ".SS Options of probe\n", "\\fBrestart\\fR\n",
        "\\fB\\-\\-stop\\-timeout\\fR \\fISECONDS\\fR\n",
        "\\fB\\-\\-number\\fR \\fIarg (=1)\\fR\nwhat to print\n", ".SH EXIT STATUS\n",
        ".SH DESCRIPTION\nDoes nothing, and tells what it was told.\n", "\\fBsubmit\\fR\nqueue jobs\n",
        ".SS Options of submit\n", "\\fB/run/probe.pid\\fR\nThe pidfile.\n",
        "\\fB/etc/probe.conf\\fR\nThe configuration file.\n", ".SH SIGNALS\n.TP\n\\fBSIGTERM\\fR\nStop.\n",
        "\\fBSIGUSR1\\fR\nOpen the log files again.\n", ".B 150\n",
        "\\fB\\-\\-oknodo\\fR makes them so.\n"}) {
    BOOST_TEST(page.find(part) != std::string::npos, part);
  }
}

BOOST_FIXTURE_TEST_CASE(help_begins_with_what_the_service_does, Probe) {
  const std::string help = Scene::run({program, "help"}).out;
  BOOST_TEST(
      help.find(
          "usage: probe ACTION [option...]\n\nDoes nothing, and tells what it was told.\n\nActions:\n") == 0U,
      help);
  BOOST_TEST(help.find("  submit        queue jobs\n") != std::string::npos);
  BOOST_TEST(help.find("Options of submit:\n  --job arg") != std::string::npos, help);
}

// A shell that is not installed can't read it; then only the text is compared.
BOOST_FIXTURE_TEST_CASE(zsh_completes_actions_and_options, Probe) {
  const auto completion = Scene::run({program, "completion", "zsh"});
  for (const std::string part : {"#compdef probe\n", "    'submit:queue jobs'\n",
                                 "'--user[the user that the daemon becomes]:USER:_users'",
                                 "'--chdir[the daemon'\\''s working directory]:DIRECTORY:_files -/'",
                                 "'--verbose[of all that change something\\: say what was done]'",
                                 "'--odd[a \\[b\\:c\\] \\\\ '\\''d'\\'']:arg: '"}) {
    BOOST_TEST(completion.out.find(part) != std::string::npos, part);
  }
  const auto unknown = Scene::run({program, "completion", "fish"});
  BOOST_TEST(unknown.end.exited(2));
  BOOST_TEST(unknown.err == "probe: there is a completion for bash and for zsh, not for \"fish\"\n");
  if (skipped(!scene::exists("/bin/zsh"), "the syntax needs zsh")) return;
  scene::write_file(scene.path("completion"), completion.out);
  BOOST_TEST(Scene::run({"/bin/zsh", "-n", scene.path("completion")}).end.exited(0));
}
