// The gallery of results: new ones as they come, choosing, starring, and looking at them one by one.

import { fetchPage } from "./live.js";

const GROW_PAUSE = 3000;
const gallery = document.getElementById("gallery");
const lightbox = document.getElementById("lightbox");
const selection = document.getElementById("selection");

const tiles = () => [...gallery.querySelectorAll(".tile[data-index]")];
const openable = () => tiles().filter((tile) => tile.dataset.kind !== "none");

// --- New results ---

const pill = document.getElementById("new-results");
let grown = Date.now();
let seen = document.getElementById("mission-summary")?.dataset.completed;
let waiting = [];

document.addEventListener("missions:refreshed", () => {
  const completed = document.getElementById("mission-summary")?.dataset.completed;
  const isFetching = gallery.querySelector('.tile[data-kind="none"]') !== null;
  if (!gallery.dataset.grows || (completed === seen && !isFetching) || Date.now() - grown < GROW_PAUSE) return;
  seen = completed;
  grown = Date.now();
  grow();
});

async function grow() {
  const fresh = await fetchPage(gallery.dataset.grows);
  if (!gallery.classList.contains("gallery")) {
    if (fresh.querySelector("#gallery.gallery")) location.reload(); // the first results: the page has more than a notice now
    return;
  }
  for (const tile of fresh.querySelectorAll("#gallery > .tile")) {
    const known = document.getElementById(tile.id);
    if (!known) waiting.push(tile);
    else if (known.dataset.kind === "none" && tile.dataset.kind !== "none") known.replaceWith(document.adoptNode(tile));
  }
  waiting = waiting.filter((tile, place) => waiting.findIndex((other) => other.id === tile.id) === place);
  const isAtTop = gallery.getBoundingClientRect().top > 0;
  if (isAtTop && !lightbox.open && !chosen().length) insert();
  else announce();
}

function insert() {
  for (const tile of waiting.reverse()) {
    tile.classList.add("tile-new");
    gallery.prepend(document.adoptNode(tile));
  }
  waiting = [];
  announce();
}

function announce() {
  pill.hidden = !waiting.length;
  pill.textContent = pill.dataset.some.replace("{n}", waiting.length);
}

pill.addEventListener("click", () => {
  insert();
  gallery.scrollIntoView({ block: "start" });
});

document.addEventListener("click", async (event) => {
  const more = event.target.closest?.("a[data-appends]");
  if (!more || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  if (more.hasAttribute("aria-busy")) return;
  more.setAttribute("aria-busy", "true");
  await append(more.href).catch(() => location.assign(more.href));
});

async function append(address) {
  const fresh = await fetchPage(address);
  const added = [...fresh.querySelectorAll("#gallery > .tile")].filter((tile) => !document.getElementById(tile.id));
  gallery.append(...added.map((tile) => document.adoptNode(tile)));
  const more = fresh.querySelector("#gallery-more a[data-appends]");
  document.getElementById("gallery-more").replaceChildren(...(more ? [document.adoptNode(more)] : []));
  added[0]?.querySelector("a").focus({ preventScroll: true });
  count();
}

// --- Choosing ---

const boxes = () => [...document.querySelectorAll('input[form="selection"]')];
const chosen = () => boxes().filter((box) => box.checked);
let lastBox = null;

function count() {
  const words = selection?.querySelector("[data-counts]");
  if (!words) return;
  const number = chosen().length;
  words.dataset.counts = number;
  words.textContent = number ? words.dataset.some.replace("{n}", number) : "";
}

gallery.addEventListener("click", (event) => {
  const box = event.target.closest('input[form="selection"]');
  if (!box) return;
  if (event.shiftKey && lastBox) {
    const all = boxes();
    const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b);
    for (const between of all.slice(from, to + 1)) between.checked = box.checked;
  }
  lastBox = box;
  count();
});
gallery.addEventListener("change", count);
selection?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-selects]");
  if (!button) return;
  for (const box of boxes()) box.checked = button.dataset.selects === "all";
  count();
});
// A download leaves the page as it is: the form may be sent again.
selection?.addEventListener("submit", (event) => {
  if (event.submitter?.hasAttribute("data-downloads")) setTimeout(() => delete selection.dataset.sent, 1000);
});
count();

// --- Starring ---

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button?.classList.contains("tile-star")) return;
  event.preventDefault();
  await star(button);
});

async function star(button) {
  const isStarred = button.getAttribute("aria-pressed") !== "true";
  show(isStarred);
  const form = document.getElementById("star");
  const body = new FormData(form);
  body.set("starred", isStarred ? "1" : "0");
  body.set("item", button.value);
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`${response.status}`);
  } catch {
    show(!isStarred);
  }

  function show(state) {
    button.setAttribute("aria-pressed", `${state}`);
    button.setAttribute("form", state ? "unstar" : "star");
    if (shown?.contains(button)) lightbox.querySelector("[data-stars]").setAttribute("aria-pressed", `${state}`);
  }
}

// --- Looking at them one by one ---

let shown = null;

gallery.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || !lightbox || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const tile = link.closest(".tile");
  if (tile.dataset.kind === "none") return;
  event.preventDefault();
  look(tile);
  lightbox.showModal();
});

function look(tile) {
  shown = tile;
  lightbox.querySelector("[data-stage]").replaceChildren(mediaOf(tile));
  lightbox.querySelector("[data-facts]").replaceChildren(tile.querySelector("template").content.cloneNode(true));
  const place = lightbox.querySelector("[data-place]");
  place.textContent = place.dataset.words.replace("{n}", tile.dataset.index);
  const star = tile.querySelector(".tile-star").getAttribute("aria-pressed");
  lightbox.querySelector("[data-stars]").setAttribute("aria-pressed", star);
  lightbox.querySelector("[data-file-link]").href = tile.dataset.file;
  lightbox.querySelector("[data-item-link]").href = tile.querySelector("a[data-opens]").href;
  const all = openable();
  const position = all.indexOf(tile);
  lightbox.querySelector('[data-step="-1"]').disabled = position <= 0;
  lightbox.querySelector('[data-step="1"]').disabled = position >= all.length - 1;
  preload(all[position + 1]);
}

function mediaOf(tile) {
  const words = tile.querySelector("a[data-opens]").getAttribute("aria-label");
  if (tile.dataset.kind === "video") {
    const video = Object.assign(document.createElement("video"), { controls: true, loop: true, src: tile.dataset.file });
    if (tile.dataset.poster) video.poster = tile.dataset.poster;
    video.setAttribute("aria-label", words);
    video.play().catch(() => {}); // refused: there are controls
    return video;
  }
  if (tile.dataset.kind === "image") return Object.assign(new Image(), { src: tile.dataset.file, alt: words });
  return Object.assign(document.createElement("p"), { textContent: tile.querySelector(".tile-words").textContent });
}

function preload(tile) {
  if (tile?.dataset.kind === "image") new Image().src = tile.dataset.file;
}

async function step(by) {
  const all = openable();
  const next = all[all.indexOf(shown) + by];
  if (next) look(next);
  const more = document.querySelector("a[data-appends]:not([aria-busy])");
  if (by > 0 && all.indexOf(shown) > all.length - 3 && more) {
    more.setAttribute("aria-busy", "true");
    await append(more.href).catch(() => more.removeAttribute("aria-busy"));
    if (shown) look(shown);
  }
}

lightbox?.addEventListener("click", (event) => {
  const stepper = event.target.closest("[data-step]");
  if (stepper) step(Number(stepper.dataset.step));
  else if (event.target.closest("[data-stars]")) star(shown.querySelector(".tile-star"));
});

lightbox?.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isVideo = event.target instanceof HTMLVideoElement;
  const act = {
    ArrowRight: () => !isVideo && step(1),
    ArrowLeft: () => !isVideo && step(-1),
    s: () => star(shown.querySelector(".tile-star")),
    x: choose,
    d: () => lightbox.querySelector("[data-file-link]").click(),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

function choose() {
  const box = shown.querySelector('input[form="selection"]');
  box.checked = !box.checked;
  count();
}

lightbox?.addEventListener("close", () => {
  lightbox.querySelector("[data-stage]").replaceChildren(); // a clip stops
  shown?.querySelector("a[data-opens]").focus();
  shown = null;
});
