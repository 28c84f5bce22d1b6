// A page with results beside each other: keys that choose, keep and drop, and the comparison full screen (compare.js).

import { openSelection } from "./compare.js";
import { toggleStar } from "./stars.js";

const list = document.getElementById("sides");
const sides = () => [...list.querySelectorAll("[data-side]")];
const files = (root = list) => [...root.querySelectorAll(".tile")];

/** Put the focus on a result: on its button, or on its link if it cannot be kept. */
function choose(side) {
  side?.querySelector(".tile-star, .side-actions a")?.focus();
}

/** Keep or drop the chosen result. */
function star(isStarred) {
  const button = document.activeElement.closest("[data-side]")?.querySelector(".tile-star");
  if (button && (button.getAttribute("aria-pressed") === "true") !== isStarred) toggleStar(button);
}

/** Compare all full screen; if there are more than fit, the chosen one and its neighbour first. */
function compare(first) {
  const all = files();
  const place = Math.max(all.indexOf(first), 0);
  openSelection([...all.slice(place), ...all.slice(0, place)]);
}

document.querySelector("[data-compares-sides]").addEventListener("click", () => compare());

list.addEventListener("click", (event) => {
  const tile = event.target.closest("a[data-opens]")?.closest(".tile");
  if (!tile || event.metaKey || event.ctrlKey || event.shiftKey || files().length < 2) return;
  event.preventDefault();
  compare(tile);
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, video, dialog, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const go = (name) => document.querySelector(`.sides-bar a[rel=${name}]`)?.click();
  const action = {
    ArrowLeft: () => go("prev"),
    ArrowRight: () => go("next"),
    c: () => compare(document.activeElement.closest("[data-side]")?.querySelector(".tile")),
    k: () => star(true),
    j: () => star(false),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action) action();
  else if (/^[1-9]$/.test(event.key)) choose(sides()[Number(event.key) - 1]);
  else return;
  event.preventDefault();
});
