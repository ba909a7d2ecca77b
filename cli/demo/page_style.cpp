// SPDX-License-Identifier: Apache-2.0
// The style sheet of the page: two sets of colours, for light and for dark screens.
#include "page.hpp"

namespace asyncjob::demo {

const char* const page_style = R"css(
:root {
  color-scheme: light dark;
  --ground: #fbfbf9; --card: #ffffff; --ink: #1c1c1a; --quiet: #5f5e5a; --line: #e3e2dd;
  --sync: #c8500f; --async: #1f6fc4; --paused: #a9cdf2; --open: #cfcdc6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #161615; --card: #1f1f1d; --ink: #f0efea; --quiet: #a9a7a0; --line: #3a3935;
    --sync: #f08a4b; --async: #5aa9f5; --paused: #2c4a6b; --open: #55534d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 8px; }
h2 { font-size: 20px; margin: 40px 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 12px; max-width: 76ch; }
.lead { font-size: 18px; }
.quiet, figcaption { color: var(--quiet); font-size: 14px; }
figure {
  margin: 12px 0 20px; padding: 14px 16px; overflow-x: auto;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px;
}
figure svg { display: block; width: 100%; min-width: 720px; height: auto; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; }
.tile {
  flex: 1 1 220px; padding: 14px 16px;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px;
}
.tile b { display: block; font-size: 30px; line-height: 1.2; }
.tile span { color: var(--quiet); font-size: 14px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: 13px; color: var(--quiet); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
tr.first td { border-top: 2px solid var(--line); }
td .bar { display: inline-block; height: 10px; margin-right: 8px; border-radius: 2px; }
th.rate, td.rate { width: 30%; text-align: left; white-space: nowrap; }
.item { display: inline-block; margin-right: 16px; white-space: nowrap; }
.key { display: inline-block; width: 22px; height: 10px; margin-right: 6px; border-radius: 2px; }
.back-sync { background: var(--sync); } .back-async { background: var(--async); }
.back-paused { background: var(--paused); } .back-open { background: var(--open); }
.key.back-open { height: 3px; vertical-align: middle; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 14px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
svg text { font-family: inherit; fill: var(--quiet); }
svg .tick { font-size: 12px; }
svg .value { font-size: 12px; fill: var(--ink);
  paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
svg .title { font-size: 13px; fill: var(--ink); font-weight: 600; }
svg .grid { stroke: var(--line); } svg .base { stroke: var(--quiet); }
svg .mark { stroke: var(--ink); stroke-dasharray: 3 2; }
svg .sync { fill: var(--sync); } svg .async { fill: var(--async); }
svg .paused { fill: var(--paused); } svg .open { fill: var(--open); }
svg .sync-stem { stroke: var(--sync); opacity: .35; }
svg .async-stem { stroke: var(--async); opacity: .35; }
)css";

}  // namespace asyncjob::demo
