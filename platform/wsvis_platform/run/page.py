"""The HTML page of a ``wsvis run``'s report, its parts left open."""

from __future__ import annotations

from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wsvis run: $title</title>
<style>
:root { color-scheme: light dark; --ink: #1d2125; --paper: #fff; --line: #d5d9de; --soft: #f3f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe3e8; --paper: #16191d; --line: #3a4048; --soft: #22272d; }
}
body { color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  margin: 0 auto; padding: 1rem; max-width: 90rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
p { max-width: 50rem; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: 4px; }
.wide { overflow-x: auto; }
.wide img { display: block; width: 100%; min-width: 56rem; }
.films { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
figure { margin: 0; } figure video, figure img { width: 100%; background: #000; }
figcaption { font-size: .9rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: right;
  vertical-align: top; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
ul { padding-left: 1.2rem; font-size: .9rem; line-height: 1.4; }
th { background: var(--soft); }
.warning { border-left: 4px solid #d98e04; padding: .3rem .8rem; background: var(--soft); }
</style>
</head>
<body>
<h1>$title</h1>
<p>$data</p>
$warnings
<h2>Labels</h2>
$health
$notes
<h2>Measured</h2>
$steps
$aside
<h2>Films</h2>
$films
<h2>How masks come about</h2>
<p>A frame of each class: optical flow, class activation map (CAM), the same amplified where
something moves (f-CAM), and the mask made of it.</p>
$strips
<h2>Every step, video by video</h2>
$videos
<h2>Files</h2>
<p>Beside this file: <code>films/</code>, <code>masks/VIDEO/00000.png</code> (DAVIS: pixel values
are track numbers), <code>results.json</code> (YouTube-VIS results; <code>videos.json</code> says
what its ids mean), <code>coco.json</code>, <code>detector.safetensors</code> where one was trained,
<code>run.log</code>.</p>
<h2>Command</h2>
<pre>$command</pre>
<p>wsvis $version, preset $preset</p>
<details><summary>All settings</summary>
$settings
</details>
</body>
</html>
""")
