
// In a page all pictures are there.
function start(root) {
  const { counts, frames, index } = JSON.parse(root.dataset.frames);
  const frame = (position) => frames[index[position.reduce((at, place, n) => at * counts[n] + place, 0)]];
  connect(root, (position) => show(root, frame(position)));
  show(root, frame(places(root))); // browsers remember what was chosen
  root.dispatchEvent(new Event("input"));
}
for (const root of document.querySelectorAll(".rp-explorer[data-frames]:not(.rp-on)")) {
  root.classList.add("rp-on");
  start(root);
}
