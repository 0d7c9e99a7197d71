// Connects the controls of an explorer with its picture, in a notebook and in a page.

const controls = (root) =>
  [...root.querySelectorAll(".rp-control")].map((control) => {
    const range = control.querySelector("input[type=range]");
    const menu = control.querySelector("select");
    const words = menu ? [...menu.options] : [...control.querySelectorAll(".rp-option")];
    const toggles = [...control.querySelectorAll("input[type=radio]")];
    return {
      range,
      output: control.querySelector("output"),
      label: control.querySelector(".rp-label").textContent,
      names: range ? JSON.parse(control.dataset.names) : words.map((word) => word.textContent),
      place: range ? Number(range.value) : menu ? menu.selectedIndex : toggles.findIndex((one) => one.checked),
    };
  });

function connect(root, moved) {
  const listen = () => {
    const all = controls(root);
    for (const { range, output, names, place } of all.filter((one) => one.range)) {
      output.textContent = names[place];
      range.setAttribute("aria-valuetext", names[place]);
    }
    moved(all.map((one) => one.place));
  };
  root.addEventListener("input", listen);
  listen(); // browsers remember what was chosen
}

function show(root, { src, alt, error = "" }) {
  const picture = root.querySelector(".rp-picture");
  if (src) Object.assign(picture, { src, alt });
  root.classList.toggle("rp-stale", !src);
  root.querySelector(".rp-note").textContent = error;
}
