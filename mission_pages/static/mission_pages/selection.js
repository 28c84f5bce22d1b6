// Selected results, and the bar with what can be done with them. A selection is a set of keys, or all results of the gallery
// except a set of keys: it also holds for results that are not in the page. It lasts until the tab is closed.
// Event on the document: selection:changed.

import { toast } from "../app/app.js";
import { csrfToken, sessionFetch } from "../app/session.js";
import { showStar } from "./stars.js";
import { changeTags } from "./tags.js";
import { boxOf, comparePlaces, gallery, starOf, tiles } from "./tiles.js";

const form = document.getElementById("selection");
const storageKey = `selection ${location.pathname}`;
const isOfAllMissions = gallery.dataset.view === "all";
const isStarredView = gallery.dataset.view === "starred";
const search = gallery.dataset.search ?? "";
let isAll = false;
let keys = new Set(); // the selected ones; those that are not, if isAll
let anchor = null; // the place of the tile that was selected last
restore();

const shownKeys = () => new Set(tiles().filter(boxOf).map((tile) => boxOf(tile).value));

const total = () => Number(gallery.dataset.total);

export const isSelected = (tile) => boxOf(tile) !== null && keys.has(boxOf(tile).value) !== isAll;

export const selectedCount = () => (isAll ? Math.max(total() - keys.size, 0) : keys.size);

/** Return the keys of the selected results as the server reads them; of the others if all are selected. */
export const numbersText = () => compress(keys);

function select(some, isOn) {
  for (const key of some) {
    if (isOn !== isAll) keys.add(key);
    else keys.delete(key);
  }
  show();
}

/** Select a tile, or not if it was. */
export function toggleTile(tile, isOn = !isSelected(tile)) {
  if (!form || !boxOf(tile)) return;
  anchor = tile.dataset.place;
  select([boxOf(tile).value], isOn);
}

/** Select everything from the tile that was selected last to this one. */
export async function selectRange(tile) {
  if (!form || !boxOf(tile)) return;
  const [first, last] = [anchor ?? tile.dataset.place, tile.dataset.place].sort(comparePlaces);
  anchor = tile.dataset.place;
  const all = tiles();
  const isLoaded = [first, last].every((place) => all.some((other) => other.dataset.place === place));
  if (isLoaded || !gallery.dataset.numbers) {
    const isBetween = ({ dataset: { place } }) => comparePlaces(first, place) <= 0 && comparePlaces(place, last) <= 0;
    select(all.filter((other) => boxOf(other) && isBetween(other)).map((other) => boxOf(other).value), true);
    return;
  }
  try {
    const response = await sessionFetch(`${gallery.dataset.numbers}&from=${first}&to=${last}`);
    select(expand((await response.json()).item), true);
  } catch {
    toast("error", document.body.dataset.failed);
  }
}

/**
 * Select all results of the gallery, also those that are not in the page; of a gallery of all missions, whose results nobody has
 * counted, those that are in the page.
 */
export function selectAll() {
  if (!form) return;
  if (isOfAllMissions) {
    select(shownKeys(), true);
    return;
  }
  [isAll, keys] = [true, new Set()];
  show();
}

export function clearSelection() {
  [isAll, keys, anchor] = [false, new Set(), null];
  show();
}

// --- Numbers as the server reads them: "1-48,52" ---

function compress(numbers) {
  const ranges = [];
  for (const number of [...numbers].map(Number).sort((a, b) => a - b)) {
    if (ranges.at(-1)?.[1] === number - 1) ranges.at(-1)[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}

function expand(text) {
  const ranges = text ? text.split(",").map((range) => range.split("-").map(Number)) : [];
  return ranges.flatMap(([first, last = first]) => Array.from({ length: last - first + 1 }, (_, place) => `${first + place}`));
}

// --- What is shown ---

function show() {
  paint(tiles());
  showCount();
  store();
  document.dispatchEvent(new CustomEvent("selection:changed"));
}

function paint(some) {
  for (const tile of some) {
    const box = boxOf(tile);
    if (box) box.checked = isSelected(tile);
  }
}

function showCount() {
  const counter = form?.querySelector("[data-counts]");
  if (!counter) return;
  const count = selectedCount();
  const { one, some, all, most, partly } = counter.dataset;
  const shown = isOfAllMissions ? shownKeys() : new Set();
  const hiddenCount = isOfAllMissions ? [...keys].filter((key) => !shown.has(key)).length : 0;
  const whole = isOfAllMissions ? shown.size : total();
  const figures = Object.fromEntries(Object.entries({ n: count, total: total(), m: hiddenCount }).map(([name, value]) => [name, value.toLocaleString("en")]));
  const fill = (text) => text.replace(/\{(\w+)\}/g, (_, name) => figures[name]);
  let text = count === 1 ? one : some;
  if (isAll) text = keys.size ? most : all;
  else if (hiddenCount) text = partly;
  counter.textContent = count ? fill(text) : "";
  gallery.classList.toggle("is-selecting", count > 0);
  form.toggleAttribute("data-some", count > 0);
  for (const button of document.querySelectorAll('[data-selects="all"]')) {
    button.textContent = button.dataset.text.replace("{n}", whole.toLocaleString("en"));
    if (form.contains(button)) button.hidden = isOfAllMissions ? count - hiddenCount === whole : isAll && !keys.size;
  }
  for (const button of form.querySelectorAll("[data-at-least]")) {
    const { atLeast, atMost } = button.dataset;
    button.hidden = count < Number(atLeast) || count > Number(atMost) || (isAll && total() > Number(atMost)); // the tiles must be here
  }
}

function store() {
  if (selectedCount()) sessionStorage.setItem(storageKey, JSON.stringify({ isAll, keys: compress(keys), isStarredView, search }));
  else sessionStorage.removeItem(storageKey);
}

/** Go on with the selection from before the page was left or ordered anew. */
function restore() {
  if (document.querySelector('.message[data-tags~="ends-selection"]')) sessionStorage.removeItem(storageKey); // it is done
  const stored = JSON.parse(sessionStorage.getItem(storageKey) ?? "null");
  if (!stored || (stored.isAll && (stored.isStarredView !== isStarredView || stored.search !== search))) return; // "all" were others
  [isAll, keys] = [stored.isAll, new Set(expand(stored.keys))];
}

document.addEventListener("gallery:added", ({ detail }) => {
  paint(detail);
  if (isOfAllMissions) showCount();
});
document.addEventListener("gallery:counted", showCount);

// --- Clicks ---

gallery.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  const isBox = event.target.matches?.('input[form="selection"]');
  const isPicture = event.target.closest("a[data-opens]") && boxOf(tile);
  // On a touch screen, where there is no hovering, a tap selects while something is selected.
  const isTap = isPicture && selectedCount() > 0 && matchMedia("(hover: none)").matches;
  if (!isBox && !isTap && !(isPicture && event.shiftKey && anchor)) return;
  if (!isBox) {
    event.preventDefault();
    event.stopImmediatePropagation(); // nothing is opened
  }
  if (event.shiftKey && anchor) selectRange(tile);
  else toggleTile(tile, isBox ? event.target.checked : !isSelected(tile));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-selects]");
  if (button?.dataset.selects === "all") selectAll();
  else if (button) clearSelection();
});

// --- Actions ---

form?.addEventListener("formdata", ({ formData }) => {
  formData.set("item", compress(keys));
  if (isAll) formData.set("all", "1");
  formData.set("view", gallery.dataset.view);
});

form?.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (keys.size > Number(form.dataset.most)) {
    event.preventDefault();
    toast("error", form.dataset.tooMany);
  } else if (button?.getAttribute("formmethod") === "get") {
    event.preventDefault(); // only the keys belong into the address
    location.assign(`${button.formAction}?item=${compress(keys)}`);
  } else if (button?.hasAttribute("data-stays")) {
    event.preventDefault();
    changeMarks(button);
  } else if (button?.hasAttribute("data-downloads")) {
    // A download does not leave the page, so the form may be submitted again.
    setTimeout(() => {
      delete form.dataset.sent;
      button.removeAttribute("data-busy");
    }, 1000);
  }
});

form?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("[name=tags]")) return;
  event.preventDefault(); // the first button of the form is another one
  form.querySelector('[name="tagged"][value="1"]').click();
});

/** Star or tag the selected results, or take stars or tags away; the page stays as it is. */
async function changeMarks(button) {
  const body = new FormData(form, button);
  body.set("csrfmiddlewaretoken", csrfToken());
  button.setAttribute("data-busy", "");
  try {
    const address = button.hasAttribute("formaction") ? button.formAction : form.action;
    const response = await sessionFetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    const { starred, tagged, tags, message } = await response.json();
    const changed = tiles().filter((tile) => isSelected(tile) && !starOf(tile).disabled); // others belong to somebody else
    if (tags) changeTags(changed, tags, tagged);
    else for (const tile of changed) showStar(starOf(tile), starred);
    if (tags) closeMenu(button.closest("details"));
    toast("success", message);
  } catch (error) {
    toast("error", error.answer?.message ?? document.body.dataset.failed);
  }
  button.removeAttribute("data-busy");
}

function closeMenu(menu) {
  menu.querySelector("[name=tags]").value = "";
  menu.open = false;
  menu.querySelector("summary").focus();
}

if (gallery.isConnected) show();
