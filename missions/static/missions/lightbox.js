// The lightbox: one result at a time, with its facts.
// Event on the document: lightbox:nears-end, when the last results of the page are near.

import { updateSelectionCount } from "./selection.js";
import { toggleStar } from "./stars.js";
import { boxOf, gallery, linkOf, starOf, viewableTiles } from "./tiles.js";

const lightbox = document.getElementById("lightbox");
let openTile = null;

export const isLightboxOpen = () => openTile !== null;

gallery.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || !lightbox || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const tile = link.closest(".tile");
  if (tile.dataset.kind === "none") return;
  event.preventDefault();
  showTile(tile);
  lightbox.showModal();
});

function showTile(tile) {
  openTile = tile;
  lightbox.querySelector("[data-stage]").replaceChildren(mediaOf(tile));
  lightbox.querySelector("[data-facts]").replaceChildren(tile.querySelector("template").content.cloneNode(true));
  const place = lightbox.querySelector("[data-place]");
  place.textContent = place.dataset.text.replace("{n}", tile.dataset.index);
  showStar();
  lightbox.querySelector("[data-file-link]").href = tile.dataset.file;
  lightbox.querySelector("[data-item-link]").href = linkOf(tile).href;
  const all = viewableTiles();
  const position = all.indexOf(tile);
  lightbox.querySelector('[data-step="-1"]').disabled = position <= 0;
  lightbox.querySelector('[data-step="1"]').disabled = position >= all.length - 1;
  const next = all[position + 1];
  if (next?.dataset.kind === "image") new Image().src = next.dataset.file; // preload
  if (position > all.length - 3) document.dispatchEvent(new CustomEvent("lightbox:nears-end"));
}

/** Show the neighbours of the open result again: there are new ones. */
export function refreshNeighbours() {
  if (!openTile) return;
  const all = viewableTiles();
  lightbox.querySelector('[data-step="1"]').disabled = all.indexOf(openTile) >= all.length - 1;
}

function mediaOf(tile) {
  const label = linkOf(tile).getAttribute("aria-label");
  if (tile.dataset.kind === "video") {
    const video = Object.assign(document.createElement("video"), { controls: true, loop: true, src: tile.dataset.file });
    if (tile.dataset.poster) video.poster = tile.dataset.poster;
    video.setAttribute("aria-label", label);
    video.play().catch(() => {}); // the browser refuses autoplay: there are controls
    return video;
  }
  if (tile.dataset.kind === "image") return Object.assign(new Image(), { src: tile.dataset.file, alt: label });
  const text = tile.querySelector("template").content.querySelector("[data-full-text]") ?? tile.querySelector(".tile-text");
  return Object.assign(document.createElement("p"), { textContent: text.textContent });
}

/** Show the next (1) or previous (-1) result. */
function step(offset) {
  const all = viewableTiles();
  const next = all[all.indexOf(openTile) + offset];
  if (next) showTile(next);
}

function showStar() {
  lightbox.querySelector("[data-stars]").setAttribute("aria-pressed", starOf(openTile).getAttribute("aria-pressed"));
}

document.addEventListener("gallery:starred", ({ detail: button }) => openTile?.contains(button) && showStar());

lightbox?.addEventListener("click", (event) => {
  const stepButton = event.target.closest("[data-step]");
  if (stepButton) step(Number(stepButton.dataset.step));
  else if (event.target.closest("[data-stars]")) toggleStar(starOf(openTile));
});

lightbox?.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isVideo = event.target instanceof HTMLVideoElement; // there the arrows seek
  const action = {
    ArrowRight: () => !isVideo && step(1),
    ArrowLeft: () => !isVideo && step(-1),
    s: () => toggleStar(starOf(openTile)),
    x: toggleSelection,
    d: () => lightbox.querySelector("[data-file-link]").click(),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function toggleSelection() {
  const box = boxOf(openTile);
  box.checked = !box.checked;
  updateSelectionCount();
}

lightbox?.addEventListener("close", () => {
  lightbox.querySelector("[data-stage]").replaceChildren(); // stops a video
  if (openTile) linkOf(openTile).focus();
  openTile = null;
});
