// The gallery: new results as they arrive, selection, stars, and the lightbox.

import { csrfToken, sessionFetch } from "../app/session.js";
import { fetchPage } from "./live.js";

const UPDATE_PAUSE = 3000; // milliseconds between two requests for new results

const gallery = document.getElementById("gallery") ?? document.createElement("ul"); // absent without results
const lightbox = document.getElementById("lightbox");
const selection = document.getElementById("selection");
const tiles = () => [...gallery.querySelectorAll(".tile[data-index]")];
const viewableTiles = () => tiles().filter((tile) => tile.dataset.kind !== "none");

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
  if (isAtTop && !lightbox.open && !selectedBoxes().length) insertPendingTiles();
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

newResultsButton.addEventListener("click", () => {
  insertPendingTiles();
  gallery.scrollIntoView({ block: "start" });
});

// --- More results ---

document.addEventListener("click", async (event) => {
  const more = event.target.closest?.("a[data-appends]");
  if (!more || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  if (more.hasAttribute("aria-busy")) return;
  more.setAttribute("aria-busy", "true");
  await appendPage(more.href).catch(() => location.assign(more.href));
});

async function appendPage(url) {
  const fresh = await fetchPage(url);
  const newTiles = [...fresh.querySelectorAll("#gallery > .tile")].filter((tile) => !document.getElementById(tile.id));
  gallery.append(...newTiles.map((tile) => document.adoptNode(tile)));
  for (const tile of newTiles) pendingTiles.delete(tile.id);
  updateNewResultsButton();
  replaceMoreLink(fresh);
  newTiles[0]?.querySelector("a").focus({ preventScroll: true });
  updateSelectionCount();
}

function replaceMoreLink(fresh) {
  const more = fresh.querySelector("#gallery-more a[data-appends]");
  document.getElementById("gallery-more").replaceChildren(...(more ? [document.adoptNode(more)] : []));
}

// --- Selection ---

const boxes = () => [...document.querySelectorAll('input[form="selection"]')];
const selectedBoxes = () => boxes().filter((box) => box.checked);
let lastBox = null;

function updateSelectionCount() {
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

// --- Stars ---

// Before app.js, which would send the form.
document.addEventListener(
  "submit",
  (event) => {
    if (!event.submitter?.classList.contains("tile-star")) return;
    event.preventDefault();
    toggleStar(event.submitter);
  },
  true,
);

async function toggleStar(button) {
  if (button.disabled) return; // the person may not change this mission
  const isStarred = button.getAttribute("aria-pressed") !== "true";
  showStar(button, isStarred);
  const form = document.getElementById("star");
  const body = new FormData(form);
  body.set("starred", isStarred ? "1" : "0");
  body.set("item", button.value);
  body.set("csrfmiddlewaretoken", csrfToken());
  try {
    await sessionFetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  } catch {
    showStar(button, !isStarred);
  }
}

function showStar(button, isStarred) {
  button.setAttribute("aria-pressed", `${isStarred}`);
  button.setAttribute("form", isStarred ? "unstar" : "star");
  if (openTile?.contains(button)) lightbox.querySelector("[data-stars]").setAttribute("aria-pressed", `${isStarred}`);
}

// --- Lightbox ---

let openTile = null;

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
  const isStarred = tile.querySelector(".tile-star").getAttribute("aria-pressed");
  lightbox.querySelector("[data-stars]").setAttribute("aria-pressed", isStarred);
  lightbox.querySelector("[data-file-link]").href = tile.dataset.file;
  lightbox.querySelector("[data-item-link]").href = tile.querySelector("a[data-opens]").href;
  const all = viewableTiles();
  const position = all.indexOf(tile);
  lightbox.querySelector('[data-step="-1"]').disabled = position <= 0;
  lightbox.querySelector('[data-step="1"]').disabled = position >= all.length - 1;
  const next = all[position + 1];
  if (next?.dataset.kind === "image") new Image().src = next.dataset.file; // preload
}

function mediaOf(tile) {
  const label = tile.querySelector("a[data-opens]").getAttribute("aria-label");
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

/** Show the next (1) or previous (-1) result, and load the next page when the last ones are near. */
async function step(offset) {
  const all = viewableTiles();
  const next = all[all.indexOf(openTile) + offset];
  if (next) showTile(next);
  const more = document.querySelector("a[data-appends]:not([aria-busy])");
  if (offset > 0 && all.indexOf(openTile) > all.length - 3 && more) {
    more.setAttribute("aria-busy", "true");
    await appendPage(more.href).catch(() => more.removeAttribute("aria-busy"));
    if (openTile) showTile(openTile);
  }
}

lightbox?.addEventListener("click", (event) => {
  const stepButton = event.target.closest("[data-step]");
  if (stepButton) step(Number(stepButton.dataset.step));
  else if (event.target.closest("[data-stars]")) toggleStar(openTile.querySelector(".tile-star"));
});

lightbox?.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isVideo = event.target instanceof HTMLVideoElement; // there the arrows seek
  const action = {
    ArrowRight: () => !isVideo && step(1),
    ArrowLeft: () => !isVideo && step(-1),
    s: () => toggleStar(openTile.querySelector(".tile-star")),
    x: toggleSelection,
    d: () => lightbox.querySelector("[data-file-link]").click(),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function toggleSelection() {
  const box = openTile.querySelector('input[form="selection"]');
  box.checked = !box.checked;
  updateSelectionCount();
}

lightbox?.addEventListener("close", () => {
  lightbox.querySelector("[data-stage]").replaceChildren(); // stops a video
  openTile?.querySelector("a[data-opens]").focus();
  openTile = null;
});
