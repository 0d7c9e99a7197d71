"""The style sheet of a report, for the index and for the pages of the notebooks, light and dark."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --card: #ffffff; --line: #e3e2dc; --ink: #1d2126; --soft: #5f666f;
  --code: #f4f3ee; --accent: #1d5fa8; --shadow: #00000040;
  --ok: #1f7a4d; --ok-back: #e3f3ea; --bad: #b3261e; --bad-back: #fbe9e7;
  --keyword: #8250a8; --string: #2f6f44; --number: #9a5b00; --comment: #5f6670; --name: #1d5fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --card: #1d2126; --line: #333940; --ink: #e6e7e8; --soft: #a2a9b2;
    --code: #20252b; --accent: #7fb4ee; --shadow: #000000c0;
    --ok: #7fd3a5; --ok-back: #17372a; --bad: #ff9c92; --bad-back: #42201d;
    --keyword: #c9a4ec; --string: #93d0a5; --number: #e8b872; --comment: #8d959f; --name: #8fbdf0;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--accent); text-underline-offset: 0.15em; }
:is(a, summary, .scroll):focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 4px; }
img { max-width: 100%; height: auto; }
code, pre, .number { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.badge {
  display: inline-block; padding: 0.05rem 0.6rem; border-radius: 1rem; font-size: 0.8rem; font-weight: 600;
  color: var(--soft); background: var(--code);
}
.badge.ok { color: var(--ok); background: var(--ok-back); }
.badge.failed { color: var(--bad); background: var(--bad-back); }
.failure {
  margin: 0; padding: 0.6rem 0.8rem; border-left: 3px solid var(--bad); border-radius: 4px;
  background: var(--bad-back); font-size: 0.875rem; overflow-wrap: anywhere;
}
"""

INDEX_CSS = """
main, footer { max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.25rem 0; }
header { margin-bottom: 2rem; }
h1 { margin: 0 0 0.25rem; font-size: clamp(1.6rem, 4vw, 2.25rem); line-height: 1.2; letter-spacing: -0.01em; }
header p { margin: 0.25rem 0; color: var(--soft); }
header strong { color: var(--ink); font-weight: 600; }
.cards {
  display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr));
  list-style: none; margin: 0; padding: 0;
}
.card {
  display: flex; flex-direction: column; overflow: hidden; position: relative;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
.card:has(a:hover) { border-color: var(--accent); }
.card h2 { margin: 0; font-size: 1.15rem; line-height: 1.35; }
.card small { display: block; color: var(--soft); font-weight: 400; }
.card h2 a { color: inherit; text-decoration: none; }
.card h2 a:hover { color: var(--accent); }
.card h2 a::after { content: ""; position: absolute; inset: 0; }  /* the whole card is the link */
.picture { padding: 0.75rem; background: #ffffff; border-bottom: 1px solid var(--line); }
.picture img { display: block; width: 100%; }
.picture.empty {
  display: grid; place-items: center; background: var(--code); color: var(--soft); font-size: 2.5rem; font-weight: 300;
}
.text { display: flex; flex-direction: column; gap: 0.75rem; padding: 1rem 1.1rem 1.15rem; flex: 1; }
.state {
  display: flex; flex-wrap: wrap; gap: 0.3rem 0.6rem; align-items: center;
  margin: 0; color: var(--soft); font-size: 0.9rem;
}
.figures { margin: 0; padding-top: 0.6rem; border-top: 1px solid var(--line); font-size: 0.9rem; }
.figures div { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; padding: 0.2rem 0; align-items: baseline; }
.figures div + div { border-top: 1px dotted var(--line); }
.figures dt { color: var(--soft); }
.figures dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
.figures .mark { grid-column: 1 / -1; white-space: normal; font-size: 0.8rem; font-weight: 400; color: var(--soft); }
.figures .mark.ok { color: var(--ok); }
.figures .mark.failed { color: var(--bad); }
.tick { margin-left: 0.4em; color: var(--ok); font-weight: 400; }
footer { padding-bottom: 4rem; color: var(--soft); font-size: 0.875rem; }
"""

PAGE_CSS = """
body { --side: 0rem; padding-left: var(--side); }
main, .top, .beside { max-width: 52rem; margin: 0 auto; padding: 0 1.25rem; }
.top {
  display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; align-items: center; padding-block: 1rem;
  color: var(--soft); font-size: 0.875rem; border-bottom: 1px solid var(--line); margin-bottom: 1.5rem;
}
.top a, .contents a { padding-block: 0.25rem; }
.run { display: flex; flex-wrap: wrap; gap: 0.3rem 0.75rem; margin-left: auto; }
.contents { padding: 0.75rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.contents p { margin: 0; font-weight: 600; }
.contents ol { list-style: none; margin: 0.25rem 0 0; padding: 0; }
.contents a { display: block; text-decoration: none; }
.contents a:hover { text-decoration: underline; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem; padding-block: 2.5rem 4rem; }
.beside a {
  flex: 1 1 16rem; padding: 0.75rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--card);
  text-decoration: none; font-weight: 600;
}
.beside a:hover { border-color: var(--accent); }
.beside a[rel="next"] { text-align: right; }
.beside small { display: block; color: var(--soft); font-weight: 400; }
@media screen and (min-width: 72rem) {
  body:has(.contents) { --side: 17rem; }
  .contents {
    position: fixed; left: max(1.25rem, calc(50% - 34rem)); top: 4.5rem; width: 15.5rem; max-height: calc(100vh - 6rem);
    overflow-y: auto; font-size: 0.875rem; border: 0; background: none;
  }
}
main > .failure { margin-bottom: 1.5rem; }
h1, h2, h3, h4 { line-height: 1.25; letter-spacing: -0.01em; margin: 2.25rem 0 0.75rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.25rem); margin-top: 1rem; }
h2 { font-size: 1.5rem; }
h3 { font-size: 1.2rem; }
.anchor-link { margin-left: 0.4rem; color: var(--soft); text-decoration: none; opacity: 0; }
:hover > .anchor-link, .anchor-link:focus { opacity: 1; }
.cell { margin: 1rem 0; }
.input { position: relative; }
.prompt {
  position: absolute; top: 0.3rem; right: 0.6rem; color: var(--soft); background: var(--code);
  font-size: 0.75rem; user-select: none;
}
pre {
  margin: 0; padding: 0.8rem 1rem; border-radius: 8px; font-size: 0.85rem; line-height: 1.5; background: var(--code);
  white-space: pre-wrap; overflow-wrap: anywhere;
}
.input pre { border: 1px solid var(--line); padding-right: 2.5rem; }
.output_area { margin-top: 0.6rem; }
.short { padding-left: 0.8rem; border-left: 3px solid var(--line); color: var(--soft); font-size: 0.9rem; }
.plumbing { font-size: 0.875rem; padding: 0.3rem 0.75rem; }
.plumbing > summary { color: var(--soft); font-weight: 400; }
.plumbing[open] > summary { margin-bottom: 0.4rem; }
/* A shadow on the side to which there is more: the first two layers move with the content and cover it at the ends. */
.scroll {
  overflow-x: auto; background:
    linear-gradient(to right, var(--paper) 30%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 30%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--shadow), transparent) 0 0 / 1rem 100% no-repeat scroll,
    linear-gradient(to left, var(--shadow), transparent) 100% 0 / 1rem 100% no-repeat scroll;
}
.output_area pre { background: none; padding: 0.2rem 1rem; }
.output_area .output_error pre {
  padding: 0.8rem 1rem; background: var(--bad-back); border-left: 3px solid var(--bad);
}
.output_stderr pre { color: var(--soft); }
.output_png img, .output_jpeg img, .output_svg img {
  display: block; margin: 0 auto; background: #ffffff; border-radius: 8px;
}
.widget-note {
  margin: 0; padding: 0.6rem 1rem; border: 1px dashed var(--line); border-radius: 8px; color: var(--soft);
}
:not(pre) > code {
  background: var(--code); padding: 0.1em 0.3em; border-radius: 4px; font-size: 0.875em; overflow-wrap: break-word;
}
blockquote { margin: 1rem 0; padding: 0.1rem 1rem; border-left: 3px solid var(--line); color: var(--soft); }
details { border: 1px solid var(--line); border-radius: 8px; padding: 0.6rem 1rem; }
summary { cursor: pointer; font-weight: 600; }
table { border-collapse: collapse; margin: 0.75rem 0; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.dataframe { border: 0; }
th, td { border: 0; padding: 0.35rem 0.8rem; text-align: right; border-bottom: 1px solid var(--line); }
.dataframe { font-size: 0.84rem; }
.dataframe :is(th, td) { padding-inline: 0.4rem; }
.dataframe td { white-space: nowrap; }
.dataframe th { vertical-align: bottom; }
.dataframe tbody th { vertical-align: top; }  /* a name of several rows is beside the first */
.text_cell_render :is(th, td) { text-align: left; vertical-align: top; }
.key-figures { outline: 1px solid var(--line); border-radius: 8px; margin: 1px; }
.key-figures caption { text-align: left; padding: 0.5rem 0.8rem 0.3rem; font-weight: 600; }
.key-figures th { font-weight: 400; color: var(--soft); }
.key-figures td { font-weight: 600; }
.key-figures tr:last-child > * { border-bottom: 0; }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", math; font-size: 1.08em; }
math[display="block"] { padding: 0.2rem 0; }
.scroll:has(> math) { margin: 1rem 0; overflow-y: hidden; }
mtd[columnalign] { padding-inline: 0.15em; }
mtd[columnalign="right"] { text-align: -webkit-right; }
mtd[columnalign="left"] { text-align: -webkit-left; }
.highlight :is(.k, .kn, .kc, .kd, .ow) { color: var(--keyword); }
.highlight :is(.s, .s1, .s2, .sa, .sd, .si, .se) { color: var(--string); }
.highlight :is(.mi, .mf, .mh, .mb, .mo) { color: var(--number); }
.highlight :is(.c, .c1, .cm, .ch) { color: var(--comment); font-style: italic; }
.highlight :is(.nf, .nc, .nd, .fm) { color: var(--name); }
.ansi-red-fg, .ansi-red-intense-fg { color: var(--bad); }
.ansi-green-fg, .ansi-green-intense-fg { color: var(--ok); }
.ansi-blue-fg, .ansi-cyan-fg, .ansi-blue-intense-fg, .ansi-cyan-intense-fg { color: var(--accent); }
.ansi-yellow-fg, .ansi-yellow-intense-fg { color: var(--number); }
.ansi-bold { font-weight: 600; }
@media (max-width: 40rem) {
  .prompt { visibility: hidden; }
  .input pre { padding-right: 1rem; }
  .run { margin-left: 0; }
  :is(th, td) { padding-inline: 0.4rem; }
  .text_cell_render td { min-width: 5.5rem; }
}
@media print { .top a, .beside { display: none; } .cell { break-inside: avoid; } }
"""
