// The gallery: new results as they arrive, and more of them at its end. The modules that it imports do the rest.

import { isLightboxOpen, refreshNeighbours } from "./lightbox.js";
import { fetchPage } from "./live.js";
import { selectedBoxes, updateSelectionCount } from "./selection.js";
import { gallery, linkOf, tiles } from "./tiles.js";

const UPDATE_PAUSE = 3000; // milliseconds between two requests for new results

// --- New results ---

const newResultsButton = document.getElementById("new-results");
const pendingTiles = new Map(); // new tiles that are not in the gallery yet, by id
const completedCount = () => document.getElementById("mission-summary")?.dataset.completed;
let updatedAt = Date.now();
let updateTimer = 0;
let shownCount = completedCount();

document.addEventListener("missions:refreshed", scheduleUpdate);
document.addEventListener("visibilitychange", scheduleUpdate);
scheduleUpdate();

/** Request the gallery again soon if items have completed or files are still being downloaded. */
function scheduleUpdate() {
  const isDownloading = [...tiles(), ...pendingTiles.values()].some((tile) => tile.dataset.status === "pending");
  if (!gallery.dataset.grows || document.hidden || (completedCount() === shownCount && !isDownloading)) return;
  clearTimeout(updateTimer);
  updateTimer = setTimeout(update, Math.max(updatedAt + UPDATE_PAUSE - Date.now(), 0));
}

async function update() {
  updatedAt = Date.now();
  const count = completedCount();
  try {
    receive(await fetchPage(gallery.dataset.grows));
    shownCount = count;
  } catch {
    // No connection: the next update tries again.
  }
  scheduleUpdate();
}

function receive(fresh) {
  for (const tile of fresh.querySelectorAll("#gallery > .tile")) {
    const current = document.getElementById(tile.id);
    if (!current) pendingTiles.set(tile.id, tile);
    else if (current.dataset.status !== tile.dataset.status) current.replaceWith(document.adoptNode(tile));
  }
  if (!document.querySelector("#gallery-more a")) replaceMoreLink(fresh);
  const isAtTop = gallery.getBoundingClientRect().top > 0;
  if (isAtTop && !isLightboxOpen() && !selectedBoxes().length) insertPendingTiles();
  else updateNewResultsButton();
}

function insertPendingTiles() {
  for (const tile of [...pendingTiles.values()].reverse()) {
    tile.classList.add("tile-new");
    gallery.insertBefore(document.adoptNode(tile), successorOf(tile));
  }
  pendingTiles.clear();
  updateNewResultsButton();
}

/** Return the tile that a new one goes before, or null if it is the last one. */
function successorOf(tile) {
  if (gallery.dataset.order === "newest") return gallery.firstChild;
  return tiles().find((other) => Number(other.dataset.index) > Number(tile.dataset.index)) ?? null;
}

function updateNewResultsButton() {
  newResultsButton.hidden = !pendingTiles.size;
  newResultsButton.textContent = newResultsButton.dataset.some.replace("{n}", pendingTiles.size);
}

newResultsButton?.addEventListener("click", () => {
  insertPendingTiles();
  gallery.scrollIntoView({ block: "start" });
});

// --- More results ---

const moreLink = () => document.querySelector("a[data-appends]:not([aria-busy])");

document.addEventListener("click", async (event) => {
  const more = event.target.closest?.("a[data-appends]");
  if (!more || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  if (more.hasAttribute("aria-busy")) return;
  const first = await appendPage(more).catch(() => location.assign(more.href));
  if (first) linkOf(first).focus({ preventScroll: true });
});

document.addEventListener("lightbox:nears-end", async () => {
  const more = moreLink();
  if (more) await appendPage(more).then(refreshNeighbours, () => more.removeAttribute("aria-busy"));
});

/** Add the page behind a link to the gallery and return its first tile. Throws without a connection. */
async function appendPage(more) {
  more.setAttribute("aria-busy", "true");
  const fresh = await fetchPage(more.href);
  const newTiles = [...fresh.querySelectorAll("#gallery > .tile")].filter((tile) => !document.getElementById(tile.id));
  gallery.append(...newTiles.map((tile) => document.adoptNode(tile)));
  for (const tile of newTiles) pendingTiles.delete(tile.id);
  updateNewResultsButton();
  replaceMoreLink(fresh);
  updateSelectionCount();
  return newTiles[0];
}

function replaceMoreLink(fresh) {
  const more = fresh.querySelector("#gallery-more a[data-appends]");
  document.getElementById("gallery-more").replaceChildren(...(more ? [document.adoptNode(more)] : []));
}
