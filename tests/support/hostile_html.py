"""HTML that tries to run a script, to load something, to leave its page, or to swallow what follows."""

from __future__ import annotations

OTHER = "https://other.example"
SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" onload="parent.hit = 1">
<script>parent.hit = 1</script><image href="{OTHER}/picture.png"/></svg>"""

HOSTILE = [
    "<script>window.hit = 1</script>",
    f'<script src="{OTHER}/script.js"></script>',
    '<img src="x" onerror="window.hit = 1">',
    '<details ontoggle="window.hit = 1" open>x</details>',
    '<a href="javascript:window.hit = 1">x</a>',
    '<a href="&#106;avascript:window.hit=1">x</a>',
    '<a href=" java\tscript:window.hit=1">x</a>',
    "[x](javascript:window.hit=1) ![x](javascript:window.hit=1)",
    "[x](data:text/html,<script>window.hit=1</script>)",
    f"![x]({OTHER}/picture.png) ![x](//other.example/picture.png)",
    f'<img src="{OTHER}/picture.png" srcset="{OTHER}/picture.png 2x">',
    f'<div style="background: url({OTHER}/picture.png); position: fixed">x</div>',
    f'<style>@import "{OTHER}/style.css"; main {{ display: none }}</style>',
    f'<link rel="stylesheet" href="{OTHER}/style.css">',
    SVG,
    f'<iframe src="{OTHER}/"></iframe><iframe srcdoc="<script>parent.hit = 1</script>"></iframe>',
    f'<object data="{OTHER}/"></object><embed src="{OTHER}/"><video src="{OTHER}/" autoplay></video>',
    f'<meta http-equiv="refresh" content="0; url={OTHER}/">',
    f'<base href="{OTHER}/">',
    f'<form action="{OTHER}/"><input name="a"><button formaction="{OTHER}/">go</button></form>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.hit=1&gt;">',
    '<math href="javascript:window.hit=1"><mi xlink:href="javascript:window.hit=1">x</mi></math>',
    r"$\text{<img src=x onerror=window.hit=1>}$",
    "```mermaid\n<img src=x onerror=window.hit=1>\n```",
    "</main></body></html><script>window.hit = 1</script>",
    "<table><tr><td>x",
    "<textarea>x",
    "<plaintext>x",
    "<!-- x",
]
