
// In a page all pictures are there, or those that were drawn before the notebook was saved.
const MISSING = { error: "This picture was not drawn before the notebook was saved. Run the cell to draw it." };

function start(root) {
  const { counts, frames, index } = JSON.parse(root.dataset.frames);
  const frame = (places) => frames[index[places.reduce((at, place, n) => at * counts[n] + place, 0)]] || MISSING;
  // On paper, two pictures show what the first control does.
  const ends = [0, counts[0] - 1].map((end) => {
    const printed = root.appendChild(document.createElement("figure"));
    printed.className = "rp-printed";
    printed.append(document.createElement("figcaption"), document.createElement("img"));
    return { end, printed };
  });
  connect(root, (places) => {
    show(root, frame(places));
    for (const { end, printed } of ends) {
      const at = [end, ...places.slice(1)];
      const said = controls(root).map(({ label, names }, n) => `${label}: ${names[at[n]]}`);
      const { src = "", alt = "" } = frame(at);
      printed.firstChild.textContent = said.join(", ");
      Object.assign(printed.lastChild, { src, alt });
      printed.hidden = !src;
    }
  });
}
for (const root of document.querySelectorAll(".rp-explorer[data-frames]:not(.rp-on)")) {
  root.classList.add("rp-on");
  takeKeys(root);
  start(root);
}
