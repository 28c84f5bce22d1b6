// The gallery of results: new ones as they come, choosing, starring, and looking at them one by one.

import { fetchPage } from "./live.js";

const GROW_PAUSE = 3000;
const gallery = document.getElementById("gallery") ?? document.createElement("ul"); // none: there are no results
const lightbox = document.getElementById("lightbox");
const selection = document.getElementById("selection");

const tiles = () => [...gallery.querySelectorAll(".tile[data-index]")];
const openable = () => tiles().filter((tile) => tile.dataset.kind !== "none");

// --- New results ---

const pill = document.getElementById("new-results");
const waiting = new Map(); // tiles that are not shown yet, by id
const completed = () => document.getElementById("mission-summary")?.dataset.completed;
let grown = Date.now();
let growing = 0;
let seen = completed();

document.addEventListener("missions:refreshed", planGrowth);
document.addEventListener("visibilitychange", planGrowth);
planGrowth();

/** Ask for more soon if there is more, or if a file that was being fetched may be here. */
function planGrowth() {
  const isFetching = [...tiles(), ...waiting.values()].some((tile) => tile.dataset.status === "pending");
  if (!gallery.dataset.grows || document.hidden || (completed() === seen && !isFetching)) return;
  clearTimeout(growing);
  growing = setTimeout(grow, Math.max(grown + GROW_PAUSE - Date.now(), 0));
}

async function grow() {
  grown = Date.now();
  const news = completed();
  try {
    take(await fetchPage(gallery.dataset.grows));
    seen = news;
  } catch {
    // The connection is away: once more, later.
  }
  planGrowth();
}

function take(fresh) {
  for (const tile of fresh.querySelectorAll("#gallery > .tile")) {
    const known = document.getElementById(tile.id);
    if (!known) waiting.set(tile.id, tile);
    else if (known.dataset.status !== tile.dataset.status) known.replaceWith(document.adoptNode(tile));
  }
  if (!document.querySelector("#gallery-more a")) showMore(fresh);
  const isAtTop = gallery.getBoundingClientRect().top > 0;
  if (isAtTop && !lightbox.open && !chosen().length) insert();
  else announce();
}

function insert() {
  for (const tile of [...waiting.values()].reverse()) {
    tile.classList.add("tile-new");
    gallery.insertBefore(document.adoptNode(tile), follower(tile));
  }
  waiting.clear();
  announce();
}

/** The tile that a new one goes before; null: it is the last. */
function follower(tile) {
  if (gallery.dataset.order === "newest") return gallery.firstChild;
  return tiles().find((other) => Number(other.dataset.index) > Number(tile.dataset.index)) ?? null;
}

function announce() {
  pill.hidden = !waiting.size;
  pill.textContent = pill.dataset.some.replace("{n}", waiting.size);
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
  for (const tile of added) waiting.delete(tile.id);
  announce();
  showMore(fresh);
  added[0]?.querySelector("a").focus({ preventScroll: true });
  count();
}

function showMore(fresh) {
  const more = fresh.querySelector("#gallery-more a[data-appends]");
  document.getElementById("gallery-more").replaceChildren(...(more ? [document.adoptNode(more)] : []));
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
