// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace jobd {

/// The status page, which asks /status each second.
inline constexpr const char* page = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>jobd</title>
<style>
  :root { color-scheme: light dark; --line: #d0d7de; --bar: #0969da; --bad: #cf222e }
  @media (prefers-color-scheme: dark) { :root { --line: #30363d; --bar: #58a6ff; --bad: #ff7b72 } }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
  h2 { font-size: 1rem; margin: 1.5rem 0 .5rem }
  dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 }
  dl div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem 1rem; min-width: 4.5rem }
  dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums }
  svg { width: 100%; height: 6rem; border-bottom: 1px solid var(--line) } rect { fill: var(--bar) }
  table { border-collapse: collapse; width: 100% }
  td { border-bottom: 1px solid var(--line); padding: .25rem 1rem .25rem 0 }
  td:first-child { width: 6rem } #lost { color: var(--bad) }
</style>
<h1>jobd <small id="lost" role="status"></small></h1>
<dl id="states"></dl>
<h2>Jobs a minute, in the last half hour</h2>
<svg id="minutes" viewBox="0 0 300 100" preserveAspectRatio="none" role="img"></svg>
<h2>Workers of <span id="pid"></span></h2><table id="workers"></table>
<h2>Last errors</h2><table id="errors"></table>
<script>
  const at = id => document.getElementById(id);
  const put = (name, text) => Object.assign(document.createElement(name), {textContent: text});
  function box(name, children) { const made = put(name, ""); made.append(...children); return made; }
  const fill = (id, rows) =>
    at(id).replaceChildren(...rows.map(row => box("tr", row.map(cell => put("td", cell)))));
  function show({pid, queue, workers}) {
    at("states").replaceChildren(...["queued", "taken", "done", "failed", "cancelled"].map(state =>
      box("div", [put("dt", state), put("dd", queue.states[state] ?? 0)])));
    const minutes = Array.from({length: 30}, (_, i) => queue.minutes[29 - i] ?? 0);
    const most = Math.max(1, ...minutes);
    at("minutes").innerHTML = minutes.map((number, i) => `<rect x="${i * 10 + 1}" width="8" y="${100 -
      100 * number / most}" height="${100 * number / most}"><title>${number}</title></rect>`).join("");
    at("pid").textContent = "process " + pid;
    fill("workers", workers.map((job, i) => ["worker " + (i + 1), job ? "job " + job : "idle"]));
    fill("errors", queue.errors.map(error => ["job " + error.id, error.text]));
  }
  async function refresh() {
    try {
      const answer = await fetch("/status");
      if (!answer.ok) throw answer.status;
      show(await answer.json());
      at("lost").textContent = "";
    } catch { at("lost").textContent = "does not answer"; }
    setTimeout(refresh, 1000);
  }
  refresh();
</script></html>
)";

}  // namespace jobd
