// In a notebook the kernel keeps the answer, in a file and for the next cell.
const RECORD = "application/vnd.randprune.prediction+json";

export default () => ({
  initialize({ model }) {
    return saveAs(model, () => ({ "text/html": model.get("page"), [RECORD]: model.get("record") }));
  },
  render({ model, el }) {
    const root = formOf(model, el);
    const told = () => {
      root.querySelector(".rp-note").textContent = model.get("note");
    };
    root.addEventListener("input", () => {
      model.set("chosen", chosen(root));
      model.save_changes();
    });
    const moved = () => choose(root, model.get("chosen"));
    model.on("change:chosen", moved);
    model.on("change:note", told);
    moved();
    told();
    return () => {
      model.off("change:chosen", moved);
      model.off("change:note", told);
    };
  },
});
