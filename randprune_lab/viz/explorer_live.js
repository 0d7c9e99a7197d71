
// In a notebook the kernel draws. It is asked for the newest position when it has answered, so nothing queues.
export default {
  render({ model, el }) {
    const root = document.createElement("form"); // the radio buttons of two views are two groups
    root.innerHTML = model.get("markup");
    for (const input of root.querySelectorAll("input, select")) {
      input.dataset.lmSuppressShortcuts = "true"; // its arrow keys are no commands of JupyterLab
    }
    root.addEventListener("submit", (event) => event.preventDefault());
    el.append(root);
    let wanted = model.get("frame").position;
    let asked = false;
    const same = () => String(wanted) === String(model.get("frame").position);
    const ask = () => {
      root.classList.toggle("rp-stale", !same());
      if (asked || same()) return;
      asked = true;
      model.set("position", wanted);
      model.save_changes();
    };
    const answer = () => {
      asked = false;
      show(root, model.get("frame"));
      ask();
    };
    connect(root, (position) => {
      wanted = position;
      ask();
    });
    model.on("change:frame", answer);
    show(root, model.get("frame"));
    return () => model.off("change:frame", answer);
  },
};
