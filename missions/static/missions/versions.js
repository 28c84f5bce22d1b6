// Next steps from the result in the lightbox: make it again, use it as input, look at its versions and choose one.
// A tile says what is possible:
//
//   data-stack    the row of its item, the same for all versions
//   data-again    what the form of "make again" sends for it; absent if that is not possible
//   data-price    the price of that, for people; absent if it is unknown
//   data-usable   its picture can be input of a new mission
//
// A version that is made here replaces the tile of its row when its file has arrived.

import { toast } from "../app/app.js";
import { csrfToken, sessionFetch } from "../app/session.js";
import { showInStage, showTile } from "./lightbox.js";
import { fetchPage, refreshSoon } from "./live.js";
import { gallery, linkOf } from "./tiles.js";

const lightbox = document.getElementById("lightbox");
const steps = lightbox?.querySelector("[data-next-steps]");
const awaited = new Set(); // the rows of which a version is being made
let openTile = null;

document.addEventListener("lightbox:shown", ({ detail: tile }) => {
  openTile = tile;
  if (!steps) return;
  const missionUrl = missionUrlOf(tile);
  const { again, price, usable } = tile.dataset;
  const makes = steps.querySelector("[data-makes-again]");
  makes.hidden = steps.querySelector("[data-edits]").hidden = again === undefined;
  makes.value = again ?? "";
  makes.formAction = `${missionUrl}/again`;
  makes.querySelector("span").textContent = price ? makes.dataset.text.replace("{price}", price) : makes.dataset.plain;
  steps.querySelector("[data-edits]").href = `${linkOf(tile).href}#edit`;
  steps.querySelector("[data-uses]").hidden = usable === undefined;
  for (const button of steps.querySelectorAll("[data-uses] button")) {
    button.value = itemOf(tile);
    button.formAction = `${missionUrl}/use?task_type=${button.dataset.type}`;
  }
  steps.hidden = again === undefined && usable === undefined;
});

lightbox?.addEventListener("close", () => (openTile = null));

const missionUrlOf = (tile) => linkOf(tile).href.replace(/\/items\/\d+$/, "");
const itemOf = (tile) => linkOf(tile).href.match(/\d+$/)[0];

// --- Make again and choose, without leaving the page ---

// Before app.js, which would send the form.
document.addEventListener(
  "submit",
  (event) => {
    const isMaking = event.submitter?.hasAttribute("data-makes-again");
    if (!openTile || (!isMaking && !event.target.matches("#lightbox [data-chooses]"))) return;
    event.preventDefault();
    if (isMaking) makeAgain(event.submitter, openTile);
    else choose(event.target, openTile);
  },
  true,
);

async function makeAgain(button, tile) {
  if (button.hasAttribute("aria-busy")) return; // a second click pays nothing; the server knows that, too
  button.setAttribute("aria-busy", "true");
  try {
    const { kind, text, indexes } = await post(button.formAction, { item: tile.dataset.again });
    toast(kind, text);
    if (!indexes.length) return;
    const [item, version] = tile.dataset.again.split(":").map(Number);
    for (const other of tilesOf(tile.dataset.stack)) other.dataset.again = `${item}:${version + 1}`;
    button.value = tile.dataset.again;
    awaited.add(tile.dataset.stack);
    refreshSoon();
  } catch {
    toast("error", document.body.dataset.unsent);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

async function choose(form, tile) {
  try {
    const { kind, text } = await post(form.action, {});
    toast(kind, text);
    await replaceTiles(tile);
  } catch {
    toast("error", document.body.dataset.unsent);
  }
}

async function post(url, fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  body.set("csrfmiddlewaretoken", csrfToken());
  const response = await sessionFetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
  return response.json();
}

// --- Versions in the lightbox ---

lightbox?.addEventListener("click", (event) => {
  const version = event.target.closest("a.version");
  if (!version?.dataset.file || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  for (const other of lightbox.querySelectorAll("a.version")) other.removeAttribute("aria-current");
  version.setAttribute("aria-current", "true");
  showInStage({ ...version.dataset, label: version.textContent.trim().replace(/\s+/g, " "), itemUrl: version.href });
});

// --- New versions ---

const tilesOf = (stack) => [...gallery.querySelectorAll(`[data-stack="${stack}"]`)];

document.addEventListener("missions:refreshed", async () => {
  for (const stack of awaited) {
    const [tile] = tilesOf(stack);
    if (tile) await replaceTiles(tile).catch(() => {}); // no connection: the next refresh tries again
    else awaited.delete(stack);
  }
});

/** Replace the tiles of a row by those of its chosen version, if that is another or has other neighbours. */
async function replaceTiles(tile) {
  const { stack } = tile.dataset;
  const place = Number(stack.split("-")[1]);
  const fresh = await fetchPage(`${missionUrlOf(tile)}?view=batch&after=${place - 1}`);
  const tiles = [...fresh.querySelectorAll(`#gallery [data-stack="${stack}"]`)];
  if (!tiles.length || tiles.some((each) => each.dataset.status === "pending")) return;
  const isOpen = openTile?.dataset.stack === stack;
  const old = tilesOf(stack);
  if (tiles.map((each) => each.innerHTML).join() === old.map((each) => each.innerHTML).join()) return;
  const adopted = tiles.map((each) => document.adoptNode(each));
  old[0].before(...adopted);
  for (const each of old) each.remove();
  if (!adopted[0].querySelector("[data-under-way]")) awaited.delete(stack);
  if (isOpen) showTile(adopted[0]);
}
