// Shows one slide at a time. Without a script, all slides stand below each other.

const slides = [...document.querySelectorAll(".slide")];
const number = document.querySelector(".at");
let at = 0;

function go(to) {
  at = Math.max(0, Math.min(slides.length - 1, to));
  slides.forEach((slide, place) => slide.classList.toggle("here", place === at));
  number.textContent = `${at + 1} / ${slides.length}`;
  document.querySelector(".done").style.width = `${(100 * (at + 1)) / slides.length}%`;
  history.replaceState(null, "", `#${at + 1}`);
  slides[at].scrollTop = 0;
  fit();
}

// A picture is as high as the slide allows, but not less than this many pixels.
const LEAST = 240;

function fit() {
  const slide = slides[at];
  for (const picture of slide.querySelectorAll(".body img")) picture.style.height = "";
  const picture = [...slide.querySelectorAll(".body img")].find((one) => one.checkVisibility());
  const over = slide.scrollHeight - slide.clientHeight;
  if (!picture || over <= 0 || document.body.classList.contains("with-notes")) return;
  picture.style.height = `${Math.max(LEAST, picture.clientHeight - over)}px`;
}

const fromAddress = () => go((Number(location.hash.slice(1)) || 1) - 1);
const turn = (by) => () => go(at + by);
const notes = () => {
  document.body.classList.toggle("with-notes");
  fit();
};
const keys = {
  ArrowRight: turn(1),
  ArrowLeft: turn(-1),
  " ": turn(1),
  Home: () => go(0),
  End: () => go(slides.length),
  n: notes,
};
const always = { PageDown: turn(1), PageUp: turn(-1), Escape: () => document.activeElement.blur() };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const busy = event.target.matches("input, select, button, summary");
  const act = always[event.key] || (busy ? null : keys[event.key]);
  if (!act) return;
  event.preventDefault();
  act();
});

let begin = null;
document.addEventListener("touchstart", (event) => {
  const { target, touches } = event;
  begin = touches.length === 1 && !target.closest("input, select, .scroll") ? touches[0] : null;
});
document.addEventListener("touchend", (event) => {
  if (!begin) return;
  const [x, y] = [event.changedTouches[0].clientX - begin.clientX, event.changedTouches[0].clientY - begin.clientY];
  if (Math.abs(x) > 50 && Math.abs(x) > 2 * Math.abs(y)) go(at + (x < 0 ? 1 : -1));
  begin = null;
});

document.querySelector(".back").addEventListener("click", turn(-1));
document.querySelector(".on").addEventListener("click", turn(1));
document.querySelector(".show-notes").addEventListener("click", notes);
window.addEventListener("hashchange", fromAddress);
window.addEventListener("resize", fit);
document.body.classList.add("one-by-one");
fromAddress();
