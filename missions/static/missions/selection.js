// Selected results, and the bar with what can be done with them.

import { gallery } from "./tiles.js";

const selection = document.getElementById("selection");
const boxes = () => [...document.querySelectorAll('input[form="selection"]')];
let lastBox = null;

export const selectedBoxes = () => boxes().filter((box) => box.checked);

export function updateSelectionCount() {
  const counter = selection?.querySelector("[data-counts]");
  if (!counter) return;
  const count = selectedBoxes().length;
  counter.dataset.counts = count;
  counter.textContent = count ? counter.dataset.some.replace("{n}", count) : "";
}

gallery.addEventListener("click", (event) => {
  const box = event.target.closest('input[form="selection"]');
  if (!box) return;
  if (event.shiftKey && lastBox) {
    const all = boxes();
    const [first, last] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b);
    for (const between of all.slice(first, last + 1)) between.checked = box.checked;
  }
  lastBox = box;
  updateSelectionCount();
});
gallery.addEventListener("change", updateSelectionCount);

selection?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-selects]");
  if (!button) return;
  for (const box of boxes()) box.checked = button.dataset.selects === "all";
  updateSelectionCount();
});

// A download does not leave the page, so the form may be submitted again.
selection?.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.hasAttribute("data-downloads")) return;
  setTimeout(() => {
    delete selection.dataset.sent;
    button.removeAttribute("data-busy");
  }, 1000);
});

updateSelectionCount();
