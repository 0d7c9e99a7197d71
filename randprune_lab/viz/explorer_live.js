
// In a notebook the kernel draws. It is asked for one picture at a time: for the newest position that is wanted, or else
// for one that was not drawn yet. What was drawn is shown at once, and is in the notebook that is saved.
const MOST = 100; // an explorer with more positions draws only those that are wanted

const product = (counts) =>
  counts.reduce((some, count) => some.flatMap((one) => [...Array(count).keys()].map((n) => [...one, n])), [[]]);

function pageOf(model, drawn) {
  const [page, root] = parsed(model);
  const counts = model.get("counts");
  const found = product(counts).map((one) => drawn.get(String(one)));
  const frames = found.filter((one, n) => one?.src && n === found.findIndex((other) => other?.src === one.src));
  const index = found.map((one) => frames.findIndex((other) => other.src === one?.src));
  root.dataset.frames = JSON.stringify({ counts, frames: frames.map(({ src, alt }) => ({ src, alt })), index });
  return page.innerHTML;
}

export default () => {
  const drawn = new Map(); // the answers of the kernel, by position
  const views = new Set();
  let wanted, ask;
  return {
    initialize({ model }) {
      let asked = 0; // when; 0: there is an answer
      let timer;
      const all = product(model.get("counts"));
      const missing = (position) => !drawn.has(String(position));
      ask = () => {
        const position = [wanted, ...(all.length > MOST ? [] : all)].find(missing);
        if (asked || !position) return;
        asked = Date.now();
        model.set("position", position);
        model.save_changes();
      };
      const answered = () => {
        const frame = model.get("frame");
        drawn.set(String(frame.position), frame);
        for (const view of views) view();
        // A picture that nobody waits for leaves the kernel as much time for other work as it takes.
        const pause = asked && !missing(wanted) ? Math.min(Date.now() - asked, 1000) : 0;
        asked = 0;
        clearTimeout(timer);
        timer = setTimeout(ask, pause);
      };
      wanted = model.get("frame").position;
      model.on("change:frame", answered);
      answered();
      const forget = saveAs(model, () => ({ "text/html": pageOf(model, drawn) }));
      return () => {
        clearTimeout(timer);
        forget();
      };
    },
    render({ model, el }) {
      const root = formOf(model, el);
      let position;
      const view = () => show(root, drawn.get(String(position)) || {});
      connect(root, (places) => {
        position = wanted = places;
        view();
        ask();
      });
      views.add(view);
      return () => views.delete(view);
    },
  };
};
