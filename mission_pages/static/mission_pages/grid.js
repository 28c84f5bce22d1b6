// The window on a long gallery. Only the results around the visible ones are in the page; two spaces stand for the others, so
// that the scroll bar covers all of them. Scrolling loads the neighbouring pages and drops distant ones; a jump, by the scroll
// bar or to a number, loads the page that it leads to.

import { toast } from "../app/app.js";
import { fetchPage } from "./live.js";
import { announce, comparePlaces, gallery, tiles } from "./tiles.js";

const AHEAD = 2; // screens that are loaded before they are visible
const MOST_TILES = 480; // in the page, unless they are visible
const SETTLE = 150; // milliseconds without scrolling after which a jump is made
const RETRY_PAUSE = 4000; // milliseconds after a failed request

const above = space();
const below = space();
const place = { rank: 0, total: 0, hasBefore: false, hasAfter: false }; // rank: the number of results above the first tile
const isForwardOnly = "keepsTiles" in gallery.dataset; // only the page after another one can be read, so no tile is dropped
let version = 0; // of the window: what was requested for an older one is dropped
let isLoading = false;

function space() {
  const element = document.createElement("li");
  element.className = "gallery-space";
  element.setAttribute("aria-hidden", "true");
  element.hidden = true;
  return element;
}

const countItems = (list) => new Set(list.map((tile) => tile.dataset.place)).size;

export const hasBefore = () => place.hasBefore;
export const hasAfter = () => place.hasAfter;

// --- Pages ---

/** Request a page of the gallery. `query` says where it begins, such as "after=48". Throws without a connection. */
export async function loadPage(query, base = gallery.dataset.pages) {
  const fresh = await fetchPage(`${base}&${query}`);
  const list = fresh.getElementById("gallery");
  return { list, tiles: [...list.querySelectorAll(":scope > .tile")], notes: fresh.getElementById("gallery-notes") };
}

/** Show what a page says about the whole gallery: its size, and the files that are still being fetched. */
export function receiveFacts({ list, notes }) {
  if ("fetching" in list.dataset) gallery.dataset.fetching = list.dataset.fetching;
  if ((list.dataset.view === "starred") === (gallery.dataset.view === "starred")) setTotal(Number(list.dataset.total));
  const current = document.getElementById("gallery-notes");
  if (current && notes && current.innerHTML !== notes.innerHTML) current.replaceChildren(...document.adoptNode(notes).childNodes);
}

function setTotal(total) {
  place.total = total;
  gallery.dataset.total = total;
  document.dispatchEvent(new CustomEvent("gallery:counted"));
}

/** Load the page before (-1) or after (1) the window, if there is one. Return true if it has come. */
export async function extend(direction) {
  const all = tiles();
  const edge = direction < 0 ? all[0] : all.at(-1);
  if (!edge || !(direction < 0 ? place.hasBefore : place.hasAfter)) return false;
  const asked = version;
  const page = await loadPage(direction < 0 ? `before=${edge.dataset.place}` : `after=${edge.dataset.place}`);
  if (asked !== version) return false;
  const fresh = page.tiles.filter((tile) => !document.getElementById(tile.id)).map((tile) => document.adoptNode(tile));
  keepPlace(() => {
    if (direction < 0) {
      above.after(...fresh);
      place.hasBefore = page.list.dataset.before !== "";
      place.rank = place.hasBefore ? Math.max(place.rank - countItems(fresh), 1) : 0;
    } else {
      below.before(...fresh);
      place.hasAfter = page.list.dataset.after !== "";
    }
    dropDistant(-direction);
  });
  receiveFacts(page);
  announce(fresh);
  return true;
}

/** Remove the tiles that are far from the visible ones, on one side, when there are too many. */
function dropDistant(direction) {
  const all = tiles();
  const limit = innerHeight * (AHEAD + 1);
  const distant = all.filter((tile) => {
    const { top, bottom } = tile.getBoundingClientRect();
    return direction < 0 ? bottom < -limit : top > innerHeight + limit;
  });
  const dropped = all.length > MOST_TILES && !isForwardOnly ? distant : [];
  if (!dropped.length) return;
  const inner = direction < 0 ? dropped.at(-1) : dropped[0]; // an item has all its tiles or none in the page
  const neighbour = direction < 0 ? inner.nextElementSibling : inner.previousElementSibling;
  const isCut = (tile) => tile.dataset.place !== neighbour.dataset.place;
  const removed = dropped.filter(isCut);
  if (removed.some((tile) => tile.contains(document.activeElement))) gallery.focus({ preventScroll: true });
  for (const tile of removed) tile.remove();
  if (direction < 0) place.rank += countItems(removed);
  if (direction < 0) place.hasBefore = true;
  else place.hasAfter = true;
}

/** Show the page that `query` leads to, such as "at=4000", and return its first tile. Throws without a connection. */
export async function jump(query, { scrolls = true } = {}) {
  const asked = ++version;
  const page = await loadPage(query);
  if (asked !== version) return null;
  receiveFacts(page);
  showWindow(page);
  const first = tiles()[0] ?? null;
  if (scrolls && place.rank === 0) scrollTo({ top: Math.min(scrollY, topOfGallery()) });
  else if (scrolls) first?.scrollIntoView({ block: "start" });
  fill();
  return first;
}

/** Load the last or the first page, unless it is in the window. Throws without a connection. */
export async function loadEnd(isLast) {
  if (!(isLast ? place.hasAfter : place.hasBefore)) return;
  if (isForwardOnly) await extend(1);
  else await jump(isLast ? `skip=${gallery.dataset.total}` : "skip=0");
}

function showWindow(page) {
  if (gallery.contains(document.activeElement)) gallery.focus({ preventScroll: true });
  for (const tile of tiles()) tile.remove();
  above.after(...page.tiles.map((tile) => document.adoptNode(tile)));
  place.hasBefore = page.list.dataset.before !== "";
  place.hasAfter = page.list.dataset.after !== "";
  place.rank = Number(page.list.dataset.rank);
  arrange();
  announce(tiles());
}

/** Insert new tiles where they belong, in place of older versions, and count those that belong outside the window.
 *
 * The page scrolls only if the gallery's beginning is out of sight: above it stands the mission's progress. */
export function insert(fresh) {
  const isNew = (tile) => !document.getElementById(tile.id);
  const added = [];
  const isBeginningVisible = gallery.getBoundingClientRect().top >= barBottom();
  keepPlace(() => {
    for (const tile of fresh.filter(isNew)) {
      const { row, index } = tile.dataset;
      for (const older of gallery.querySelectorAll(`[data-row="${row}"]:not([data-index="${index}"])`)) older.remove();
      const all = tiles();
      const next = all.find((other) => comparePlaces(other.dataset.place, tile.dataset.place) > 0);
      if (next === all[0] && place.hasBefore) place.rank += 1;
      else if (next || !place.hasAfter) {
        (next ?? below).before(document.adoptNode(tile));
        tile.classList.add("tile-new");
        added.push(tile);
      }
    }
  }, !isBeginningVisible);
  announce(added);
}

// --- Layout ---

export const columns = () => getComputedStyle(gallery).gridTemplateColumns.split(" ").length;

/** Give the spaces their heights, and begin the first row where it would begin if everything were in the page. */
function arrange() {
  const all = tiles();
  for (const tile of gallery.querySelectorAll(".tile[style]")) tile.style.gridColumnStart = "";
  if (!all.length) {
    above.hidden = below.hidden = true;
    return;
  }
  const perItem = all.length / countItems(all);
  const [before, count, width] = [Math.round(place.rank * perItem), all.length, columns()];
  if (before % width) all[0].style.gridColumnStart = (before % width) + 1;
  const total = Math.max(Math.round(place.total * perItem), before + count);
  const gap = Number.parseFloat(getComputedStyle(gallery).rowGap);
  const row = all[0].offsetHeight + gap;
  const rowsBelow = place.hasAfter ? Math.max(Math.ceil(total / width) - Math.ceil((before + count) / width), 1) : 0;
  const rowsAbove = place.hasBefore ? Math.max(Math.floor(before / width), 1) : 0;
  for (const [element, rows] of [[above, rowsAbove], [below, rowsBelow]]) {
    element.hidden = rows === 0;
    element.style.height = `${rows * row - gap}px`;
  }
  gallery.style.setProperty("--row", `${row}px`);
  gallery.style.setProperty("--tile-width", `${all.at(-1).offsetWidth}px`);
}

/** Change the window so that what is visible stays where it is, if the page may scroll for that. */
function keepPlace(change, mayScroll = true) {
  const anchor = mayScroll ? firstVisible() : null;
  const before = anchor?.getBoundingClientRect().top;
  change();
  arrange();
  if (anchor?.isConnected) scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
}

/** Return the first tile that is visible below the bars, at least its lower half, or null. */
export function firstVisible() {
  const isVisible = ({ top, bottom }) => (top + bottom) / 2 > barBottom() && top < innerHeight;
  return tiles().find((tile) => isVisible(tile.getBoundingClientRect())) ?? null;
}

const barBottom = () => document.getElementById("gallery-bar")?.getBoundingClientRect().bottom ?? 0;

const topOfGallery = () => scrollY + gallery.getBoundingClientRect().top - barBottom();

// --- Scrolling ---

/** Return the side on which tiles are needed, or 0. */
function need() {
  const all = tiles();
  if (!all.length) return 0;
  const top = all[0].getBoundingClientRect().top;
  const bottom = all.at(-1).getBoundingClientRect().bottom;
  if (bottom < 0 || top > innerHeight) return 0; // a jump is due
  if (place.hasAfter && bottom < innerHeight * (1 + AHEAD)) return 1;
  return place.hasBefore && top > -innerHeight * AHEAD ? -1 : 0;
}

async function fill() {
  if (isLoading) return;
  isLoading = true;
  try {
    for (let side = need(); side; side = need()) {
      const before = version;
      if (!(await extend(side)) && before === version) break;
    }
  } catch {
    setTimeout(fill, RETRY_PAUSE);
  }
  isLoading = false;
}

let settleTimer = 0;

function onScroll() {
  clearTimeout(settleTimer);
  settleTimer = setTimeout(settle, SETTLE);
}

/** Jump if the scroll bar was drawn to results that are not in the page. */
async function settle() {
  const all = tiles();
  if (!all.length) return;
  const top = all[0].getBoundingClientRect().top;
  const bottom = all.at(-1).getBoundingClientRect().bottom;
  const isFarBelow = place.hasAfter && bottom < 0;
  if (isFarBelow || (place.hasBefore && top > innerHeight)) {
    const row = Number.parseFloat(gallery.style.getPropertyValue("--row"));
    const rows = Math.max(Math.floor((barBottom() - gallery.getBoundingClientRect().top) / row), 0);
    const rank = Math.min(Math.floor((rows * columns() * countItems(all)) / all.length), place.total - 1);
    await jump(`skip=${rank}`, { scrolls: false }).catch(() => toast("error", document.body.dataset.failed));
  } else fill();
  document.dispatchEvent(new CustomEvent("gallery:settled"));
}

// --- Start ---

if (gallery.isConnected) {
  const { before, after, rank, total } = gallery.dataset;
  place.hasBefore = before !== "";
  place.hasAfter = after !== "";
  place.total = Number(total);
  place.rank = rank === "" ? Math.max(Number(tiles()[0]?.dataset.index ?? 1) - 1, 0) : Number(rank);
  gallery.tabIndex = -1;
  gallery.prepend(above);
  gallery.append(below);
  arrange();
  if (place.rank) {
    history.scrollRestoration = "manual"; // the page began elsewhere when its place was noted
    tiles()[0]?.scrollIntoView({ block: "start" });
  }
  const observer = new IntersectionObserver(fill, { rootMargin: "100% 0px" });
  observer.observe(above);
  observer.observe(below);
  addEventListener("scroll", onScroll, { passive: true });
  let width = gallery.offsetWidth;
  new ResizeObserver(() => {
    if (gallery.offsetWidth === width) return;
    width = gallery.offsetWidth;
    keepPlace(() => {});
  }).observe(gallery);
}

/** Arrange the tiles again after their look has changed. */
export function rearrange(change) {
  keepPlace(change);
  fill();
}
