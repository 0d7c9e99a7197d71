// In a page the browser keeps the answers, where it may: some refuse this to files. They stay until the page is closed.
const STORE = "randprune-predictions";

function storedAnswers() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE));
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

function store(name, answer) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...storedAnswers(), [name]: answer }));
    return true;
  } catch {
    return false;
  }
}

const about = (root) => JSON.parse(root.dataset.predict);
const nameOf = ({ lesson, question }) => JSON.stringify([lesson, question]);
const percent = (sure) => `${Math.round(100 * sure)} %`;

function answerOf(root) {
  const { options, certainties } = about(root);
  const [place, level] = chosen(root);
  return place < 0 ? undefined : { answer: options[place], sure: certainties[level], of: options.length };
}

// What stands below the answers of a page, and at its end: the reader's own answers, and their score.
function refresh() {
  const roots = [...document.querySelectorAll(".rp-predict[data-predict]")];
  const answers = new Map(roots.map((root) => [nameOf(about(root)), answerOf(root)]));
  const judged = [];
  for (const shown of document.querySelectorAll(".rp-truth[data-truth]")) {
    const { truth, misconceptions, ...which } = JSON.parse(shown.dataset.truth);
    const mine = answers.get(nameOf(which));
    const yours = shown.querySelector(".rp-yours");
    if (!mine || !yours) continue;
    const right = mine.answer === truth;
    const sure = mine.sure === undefined ? "" : ` (${percent(mine.sure)} sure)`;
    const verdict = right ? "Right." : `Not so. ${misconceptions[mine.answer] || ""}`;
    yours.textContent = `You predicted: ${mine.answer}${sure}. ${verdict}`.trim();
    if (mine.sure !== undefined) {
      const each = (1 - mine.sure) / (mine.of - 1);
      mine.brier = mine.sure ** 2 + (mine.of - 1) * each ** 2 + 1 - 2 * (right ? mine.sure : each);
    }
    judged.push({ ...mine, right });
  }
  const mean = (values) => (values.reduce((sum, one) => sum + one, 0) / values.length).toFixed(2);
  const rated = judged.filter((one) => one.brier !== undefined);
  for (const shown of document.querySelectorAll(".rp-score")) {
    if (!judged.length) continue;
    const said = [`On this page: right in ${judged.filter((one) => one.right).length} of ${judged.length}.`];
    if (rated.length) {
      const guess = mean(rated.map((one) => 1 - 1 / one.of));
      said.push(`Mean Brier score ${mean(rated.map((one) => one.brier))} (0 is best; a guess each time gets ${guess}).`);
      const [sure, right] = ["sure", "right"].map((name) => percent(mean(rated.map((one) => Number(one[name])))));
      said.push(`On average ${sure} sure and right in ${right}.`);
    }
    shown.textContent = said.join(" ");
  }
}

function startPrediction(root) {
  const { options, certainties } = about(root);
  const name = nameOf(about(root));
  const note = root.querySelector(".rp-note");
  const before = storedAnswers()[name];
  if (before && options.includes(before.answer)) {
    choose(root, [options.indexOf(before.answer), certainties.indexOf(before.sure)]);
  }
  const tell = (where) => {
    const [place, level] = chosen(root);
    const missing = place < 0 ? "Choose an answer, then read on." : level < 0 ? "How sure are you?" : "";
    note.textContent = missing || `Kept ${where}. Read on.`;
  };
  root.addEventListener("input", () => {
    const { answer, sure } = answerOf(root) || {};
    const kept = answer === undefined || store(name, { answer, sure });
    tell(kept ? "in this browser" : "until this page is closed");
    refresh();
  });
  tell(before ? "in this browser" : "in the notebook");
}

for (const root of document.querySelectorAll(".rp-predict[data-predict]:not(.rp-on)")) {
  root.classList.add("rp-on");
  takeKeys(root);
  startPrediction(root);
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", refresh);
else refresh();
