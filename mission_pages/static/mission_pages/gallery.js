// A gallery, of a mission or of all missions: new results as they arrive, its look, and a jump to a number. The modules that it
// imports do the rest: grid.js loads and drops pages, keys.js moves the focus; selection.js, stars.js, lightbox.js and compare.js
// act on results.

import { toast } from "../app/app.js";
import { openSelection } from "./compare.js";
import { firstVisible, hasBefore, insert, jump, loadPage, rearrange, receiveFacts } from "./grid.js";
import { focusTile } from "./keys.js";
import "./lightbox.js";
import { isSelected, numbersText, selectedCount } from "./selection.js";
import { gallery, tiles } from "./tiles.js";

const UPDATE_PAUSE = 3000; // milliseconds between two requests for new results
const INDEX_PAUSE = 20000; // a search finds a new result at most so many milliseconds after its completion
const MOST_PAGES = 8; // of new results in one update; after more than that the window is loaded again
const COOKIE_SECONDS = 180 * 86400;

const summary = () => document.getElementById("mission-summary");
const isNewest = gallery.dataset.view === "newest";

// --- New results ---

const newResultsButton = document.getElementById("new-results");
const waiting = new Map(); // new tiles that are not in the gallery yet, by id
let seenCount = summary()?.dataset.completed;
let since = gallery.dataset.since;
let updatedAt = Date.now();
let countedAt = 0; // when the mission's count last changed
let updateTimer = 0;

document.addEventListener("missions:refreshed", scheduleUpdate);
document.addEventListener("visibilitychange", scheduleUpdate);
scheduleUpdate();

/** Request new results soon if items have completed or files are still being fetched. */
function scheduleUpdate() {
  const isIndexing = gallery.dataset.search && Date.now() < countedAt + INDEX_PAUSE;
  const hasNews = summary()?.dataset.completed !== seenCount || gallery.dataset.fetching || isIndexing;
  if (!gallery.dataset.feed || gallery.dataset.view === "starred" || document.hidden || !hasNews) return;
  clearTimeout(updateTimer);
  updateTimer = setTimeout(update, Math.max(updatedAt + UPDATE_PAUSE - Date.now(), 0));
}

async function update() {
  updatedAt = Date.now();
  const count = summary()?.dataset.completed;
  try {
    await receiveNews();
    if (count !== seenCount) countedAt = updatedAt;
    seenCount = count;
  } catch {
    // No connection: the next update tries again.
  }
  if (isNewest && summary()?.dataset.liveNow === "") offerOrder();
  scheduleUpdate();
}

async function receiveNews() {
  const { feed, fetching } = gallery.dataset;
  const first = await loadPage(`before=${since}`, feed);
  const pages = [first];
  while (pages.at(-1).list.dataset.before && pages.length < MOST_PAGES) {
    pages.push(await loadPage(`before=${pages.at(-1).list.dataset.before}`, feed));
  }
  const isTooMuch = pages.at(-1).list.dataset.before !== "";
  if (fetching) pages.push(await loadPage(`item=${fetching}`, feed));
  since = first.list.dataset.since;
  receiveFacts(pages.at(-1));
  for (const tile of pages.flatMap((page) => page.tiles)) {
    if (document.getElementById(tile.id)) continue;
    if (!isNewest) [, tile.dataset.place] = tile.dataset.row.split("-"); // the number of the row
    waiting.set(tile.id, tile);
  }
  if (isTooMuch) await reload();
  else if (!selectedCount() && (!isNewest || (!hasBefore() && gallery.getBoundingClientRect().top > 0))) insertWaiting();
  else updateNewResultsButton();
}

function insertWaiting() {
  insert([...waiting.values()]);
  waiting.clear();
  updateNewResultsButton();
}

/** Load the window again: there are too many new results to insert them one by one. */
async function reload() {
  waiting.clear();
  updateNewResultsButton();
  const index = firstVisible()?.dataset.index;
  await jump(index && hasBefore() ? `at=${index}` : "skip=0");
}

function updateNewResultsButton() {
  const { one, many } = newResultsButton.dataset;
  newResultsButton.hidden = !waiting.size;
  newResultsButton.textContent = (waiting.size === 1 ? one : many).replace("{n}", waiting.size);
}

newResultsButton?.addEventListener("click", async () => {
  if (isNewest && hasBefore()) await jump("skip=0").catch(() => toast("error", document.body.dataset.failed));
  insertWaiting();
  gallery.scrollIntoView({ block: "start" });
});

/** Offer the order of the batch when a mission has ended: it is not changed under the person's eyes. */
function offerOrder() {
  document.getElementById("sort-by-number").hidden = false;
}

// --- Look ---

document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".menu a:is([data-size], [data-fit])");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  for (const other of link.parentElement.children) other.toggleAttribute("aria-current", false);
  link.setAttribute("aria-current", "true");
  rearrange(() => Object.assign(gallery.dataset, link.dataset));
  const { size, fit } = gallery.dataset;
  document.cookie = `gallery_look=${size}-${fit}; path=/; max-age=${COOKIE_SECONDS}; samesite=lax`;
});

// --- Comparison of selected results ---

document.querySelector("[data-compares-selection]")?.addEventListener("click", async () => {
  try {
    const loaded = tiles().filter(isSelected);
    const isLoaded = new Set(loaded.map((tile) => tile.dataset.row)).size === selectedCount();
    openSelection(isLoaded || !gallery.dataset.numbers ? loaded : (await loadPage(`item=${numbersText()}`)).tiles.map((tile) => document.adoptNode(tile)));
  } catch {
    toast("error", document.body.dataset.failed);
  }
});

// --- Jump ---

document.getElementById("gallery-jump")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  form.setAttribute("aria-busy", "true");
  const first = await jump(`at=${form.elements.at.value}`).catch(() => toast("error", document.body.dataset.failed));
  form.removeAttribute("aria-busy");
  if (first) focusTile(first);
});

// Keep the place in the page's address, so that Back and reload lead to it.
document.addEventListener("gallery:settled", () => {
  if (!document.getElementById("gallery-jump")) return; // this gallery has no numbers
  const url = new URL(location.href);
  for (const name of ["after", "before", "skip", "at"]) url.searchParams.delete(name);
  const first = gallery.getBoundingClientRect().top < 0 ? firstVisible() : null;
  if (first) url.searchParams.set("at", first.dataset.index);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
});
