// What is chosen in the form of a prediction: the places of the answer and of how sure it is; -1 where nothing is.

const FIELDS = [".rp-answers", ".rp-sure"];

const chosen = (root) =>
  FIELDS.map((field) => [...root.querySelectorAll(`${field} input`)].findIndex((one) => one.checked));

function choose(root, places) {
  FIELDS.forEach((field, n) => {
    root.querySelectorAll(`${field} input`).forEach((one, place) => {
      one.checked = place === places[n];
    });
  });
}

