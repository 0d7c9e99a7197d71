// Connects the controls of an explorer with its picture, in a notebook and in a page.

const places = (root) =>
  [...root.querySelectorAll(".rp-control")].map((control) => {
    const range = control.querySelector("input[type=range]");
    const menu = control.querySelector("select");
    const toggles = [...control.querySelectorAll("input[type=radio]")];
    return range ? Number(range.value) : menu ? menu.selectedIndex : toggles.findIndex((one) => one.checked);
  });

function connect(root, moved) {
  const listen = () => {
    for (const control of root.querySelectorAll(".rp-control:has(input[type=range])")) {
      const range = control.querySelector("input");
      const name = JSON.parse(control.dataset.names)[range.value];
      control.querySelector("output").textContent = name;
      range.setAttribute("aria-valuetext", name);
    }
    moved(places(root));
  };
  root.addEventListener("input", listen);
}

function show(root, frame) {
  const picture = root.querySelector(".rp-picture");
  picture.src = frame.src;
  picture.alt = frame.alt;
}
