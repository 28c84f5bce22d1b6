// Comparing: results beside each other, or one over the other with a divider; a result with its source. All panes show the same
// part of their pictures, and the same moment of their videos.
//
// An entry is what a pane shows: { make(): an element, kind, name, caption, tile } (tile: null for a source picture).

import { toast } from "../app/app.js";
import { openLayer, prepareLayer } from "./dialogs.js";
import { mediaOf, sourceIn, sourcePictureOf } from "./media.js";
import { toggleStar } from "./stars.js";
import { factsOf, isViewable, linkOf, numberOf, starOf, viewableTiles } from "./tiles.js";
import { zoomable, zoomByButton, zoomByKey } from "./zoom.js";

const DRIFT = 0.08; // seconds by which videos may differ
const NARROW = 900; // pixels: below, there is room for two

const dialog = document.getElementById("compare");
const stage = dialog?.querySelector("[data-stage]");
const line = dialog?.querySelector("[data-line]");
const divider = dialog?.querySelector("[data-divider]");
const player = dialog?.querySelector("[data-player]");

let entries = []; // all that can be shown
let panes = []; // { frame, caption, control, entry }
let active = null; // the pane that keys are about
let isPair = false; // a result with its source: both panes go to the next result

// --- What is compared ---

/** Compare a result with its neighbour among some tiles. */
export function openComparison(tiles, first) {
  const some = tiles.filter(isViewable);
  const place = Math.max(some.indexOf(first), 0);
  const second = place + 1 < some.length ? place + 1 : place - 1;
  if (second < 0) toast("info", dialog.dataset.single);
  else open(some.map(entryOf), [place, second]);
}

/** Compare some results: as many at once as there is room for, or two, and the others one after the other. */
export function openSelection(tiles) {
  const some = tiles.filter(isViewable);
  const room = innerWidth < NARROW ? 2 : 4;
  if (some.length < 2) toast("info", dialog.dataset.single);
  else open(some.map(entryOf), [...Array(some.length <= room ? some.length : 2).keys()]);
}

/** Compare a result with its source picture. */
export function openSource(tile, link = sourceIn(factsOf(tile))) {
  isPair = true;
  entries = pairOf(tile, link);
  show([0, 1], "slider");
}

function pairOf(tile, link) {
  const source = { make: () => sourcePictureOf(link), kind: "image", name: dialog.dataset.sourceLabel, caption: link.title, tile: null };
  return [source, entryOf(tile)];
}

function entryOf(tile) {
  const caption = linkOf(tile).getAttribute("aria-label").replace(/^[^:]*: /, "");
  return { make: () => mediaOf(tile), kind: tile.dataset.kind, name: tile.dataset.label ?? numberOf(tile), caption, tile };
}

function open(all, places) {
  isPair = false;
  entries = all;
  show(places, "beside");
}

function show(places, mode) {
  for (const { frame, caption } of panes) {
    frame.remove();
    caption.remove();
  }
  panes = places.map(makePane);
  stage.style.setProperty("--panes", panes.length);
  openLayer(dialog);
  for (const [place, pane] of panes.entries()) fill(pane, entries[places[place]]);
  setMode(mode);
  panes.at(-1).frame.focus();
}

// --- Panes ---

function makePane() {
  const [frame, caption] = dialog.querySelector("[data-pane-template]").content.cloneNode(true).children;
  stage.append(frame, caption);
  const pane = { frame, caption, entry: null, control: null };
  pane.control = zoomable(frame, {
    onView: (view) => {
      for (const other of panes) if (other !== pane) other.control.set(view);
    },
    onSwipe: (direction) => direction !== "down" && step(direction === "left" ? 1 : -1, pane),
  });
  for (const part of [frame, caption]) {
    for (const name of ["focusin", "pointerdown"]) part.addEventListener(name, () => activate(pane));
  }
  caption.querySelector("[data-keeps]").addEventListener("click", () => keep(pane));
  caption.querySelector("[data-drops]").addEventListener("click", () => step(1, pane));
  return pane;
}

function activate(pane) {
  active = pane;
  for (const { frame, caption } of panes) {
    frame.toggleAttribute("data-active", frame === pane.frame);
    caption.toggleAttribute("data-active", frame === pane.frame);
  }
}

function fill(pane, entry) {
  pane.entry = entry;
  const media = entry.make();
  if (media instanceof HTMLVideoElement) {
    Object.assign(media, { controls: false, loop: false, muted: true });
    media.addEventListener("loadedmetadata", playAll);
    media.addEventListener("timeupdate", keepTime);
    media.addEventListener("ended", startAgain);
  }
  pane.frame.replaceChildren(media);
  pane.frame.setAttribute("aria-label", `${entry.name} ${entry.caption}`);
  pane.caption.querySelector("[data-name]").textContent = entry.name;
  pane.caption.querySelector("[data-caption]").textContent = entry.caption;
  pane.control.show(media);
  const reference = panes.find((other) => other !== pane && other.entry);
  if (reference) pane.control.set(reference.control.view());
  showStars();
  player.hidden = !videos().length;
}

function showStars() {
  for (const { caption, entry } of panes) {
    const star = entry?.tile && starOf(entry.tile);
    const keeps = caption.querySelector("[data-keeps]");
    keeps.hidden = !star || star.disabled;
    if (star) keeps.setAttribute("aria-pressed", star.getAttribute("aria-pressed"));
    caption.querySelector("[data-drops]").hidden = isPair ? !entry?.tile : entries.length <= panes.length;
  }
}

document.addEventListener("gallery:starred", showStars);

function keep(pane) {
  const star = pane.entry.tile && starOf(pane.entry.tile);
  if (star) toggleStar(star);
}

/** Show the next (1) or previous (-1) result in a pane: the next one that no other pane shows. */
function step(offset, pane = active) {
  if (isPair) {
    stepPair(offset);
    return;
  }
  const shown = panes.map(({ entry }) => entry);
  let place = entries.indexOf(pane.entry) + offset;
  while (entries[place] && shown.includes(entries[place])) place += offset;
  if (entries[place]) fill(pane, entries[place]);
}

function stepPair(offset) {
  const all = viewableTiles().filter((tile) => tile.dataset.kind === "image" && sourceIn(factsOf(tile)));
  const next = all[all.indexOf(entries[1].tile) + offset];
  if (!next) return;
  entries = pairOf(next, sourceIn(factsOf(next)));
  for (const [place, pane] of panes.entries()) fill(pane, entries[place]);
}

// --- Arrangement ---

function setMode(mode) {
  const isSlider = mode === "slider" && panes.length === 2;
  stage.dataset.mode = isSlider ? "slider" : "beside";
  line.hidden = divider.hidden = !isSlider;
  for (const button of dialog.querySelectorAll("[data-mode][aria-pressed]")) {
    button.setAttribute("aria-pressed", `${(button.dataset.mode === "slider") === isSlider}`);
    button.disabled = button.dataset.mode === "slider" && panes.length !== 2;
  }
  divide(50);
  for (const pane of panes) pane.control.whole();
}

function divide(percent) {
  const limited = Math.min(Math.max(percent, 0), 100);
  divider.querySelector("input").value = limited;
  stage.style.setProperty("--divider", `${limited}%`);
}

const divided = () => Number(divider.querySelector("input").value);

// --- Videos ---

const videos = () => panes.map(({ frame }) => frame.querySelector("video")).filter(Boolean);

/** Return the longest video: it sets the time for all. */
const leader = () => videos().reduce((longest, video) => ((video.duration || 0) > (longest?.duration || 0) ? video : longest), videos()[0]);

function playAll() {
  if (videos().some((video) => video.readyState === 0)) return;
  seek(0);
  for (const video of videos()) video.play().catch(() => {});
  showPlayer();
}

function togglePlay() {
  const isPlaying = !leader()?.paused;
  for (const video of videos()) {
    if (isPlaying) video.pause();
    else video.play().catch(() => {});
  }
  showPlayer();
}

function seek(seconds) {
  for (const video of videos()) video.currentTime = Math.min(seconds, video.duration || 0);
}

function keepTime({ target }) {
  if (target !== leader()) return;
  for (const video of videos()) {
    if (video !== target && !video.ended && Math.abs(video.currentTime - target.currentTime) > DRIFT) {
      video.currentTime = Math.min(target.currentTime, video.duration || 0);
    }
  }
  showPlayer();
}

function startAgain({ target }) {
  if (target === leader()) playAll();
}

function showPlayer() {
  const { paused, currentTime, duration } = leader() ?? {};
  const button = player.querySelector("[data-plays]");
  button.textContent = paused ? button.dataset.play : button.dataset.pause;
  player.querySelector("[data-time]").value = duration ? (1000 * currentTime) / duration : 0;
}

// --- Controls ---

if (dialog) {
  prepareLayer(dialog);
  divider.addEventListener("input", () => divide(divided()));
  player.querySelector("[data-time]").addEventListener("input", ({ target }) => seek((Number(target.value) / 1000) * (leader()?.duration || 0)));
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  line.addEventListener("pointermove", ({ clientX, pointerId }) => {
    if (!line.hasPointerCapture(pointerId)) return;
    const { left, width } = stage.getBoundingClientRect();
    divide((100 * (clientX - left)) / width);
  });
}

dialog?.addEventListener("click", (event) => {
  const { mode, zoom, plays } = event.target.closest("button")?.dataset ?? {};
  if (mode) setMode(mode);
  else if (zoom) zoomByButton(active.control, zoom);
  else if (plays !== undefined) togglePlay();
});

dialog?.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (zoomByKey(active.control, event)) {
    event.preventDefault();
    return;
  }
  const isButton = event.target.closest("button");
  const action = {
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    j: () => step(1),
    k: () => keep(active),
    s: () => keep(active),
    v: () => setMode(stage.dataset.mode === "slider" ? "beside" : "slider"),
    "[": () => divide(divided() - 5),
    "]": () => divide(divided() + 5),
    " ": isButton || !videos().length ? null : togglePlay,
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

dialog?.addEventListener("close", () => {
  for (const { frame } of panes) frame.replaceChildren(); // stops videos
});
