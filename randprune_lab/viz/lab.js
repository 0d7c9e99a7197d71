// What the widgets of a notebook share: their markup, and what JupyterLab saves in their place.
const WIDGET = "application/vnd.jupyter.widget-view+json";

function parsed(model) {
  const page = document.createElement("template");
  page.innerHTML = model.get("page");
  return [page, page.content.querySelector("[role=group]")];
}

function formOf(model, el) {
  const form = el.appendChild(document.createElement("form")); // the radio buttons of two views are two groups
  form.addEventListener("submit", (event) => event.preventDefault());
  const root = form.appendChild(parsed(model)[1]);
  takeKeys(root);
  return root;
}

// JupyterLab saves what its notebook's `toJSON` returns. There a page takes the place of the widget, which cannot be
// shown again without its kernel. `made` returns the page, and other data by their types.
function saveAs(model, made) {
  const key = model.get("key");
  const notebook = model.widget_manager?.context?.model;
  if (!notebook?.sharedModel) return () => {}; // not in JupyterLab
  if (!notebook.pages) {
    const pages = (notebook.pages = new Map());
    const saved = (output) => {
      const { [WIDGET]: widget, ...data } = output.data || {};
      const made = pages.get(widget?.model_id);
      return made ? { ...output, data: { ...data, ...made() } } : output;
    };
    const toJSON = notebook.toJSON;
    notebook.toJSON = function () {
      const all = toJSON.call(this);
      const cells = all.cells.map((cell) => (cell.outputs ? { ...cell, outputs: cell.outputs.map(saved) } : cell));
      return { ...all, cells };
    };
  }
  notebook.pages.set(key, made);
  return () => notebook.pages.delete(key);
}

