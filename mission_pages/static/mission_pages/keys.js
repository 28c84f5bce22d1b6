// The keyboard in a gallery: it has one tab stop, and keys move the focus from tile to tile ("?" shows all of them).

import { openDialog } from "../app/app.js";
import { columns, extend, firstVisible, loadEnd } from "./grid.js";
import { clearSelection, selectAll, selectRange, selectedCount, toggleTile } from "./selection.js";
import { toggleStar } from "./stars.js";
import { gallery, linkOf, mayDownload, starOf, tiles } from "./tiles.js";

let current = null; // the tile that has the tab stop

function stopAt(tile) {
  if (current) linkOf(current).tabIndex = -1;
  current = tile;
  linkOf(tile).tabIndex = 0;
}

function prepare(added) {
  for (const tile of added) {
    for (const control of tile.querySelectorAll("a, button, input")) control.tabIndex = -1;
  }
  if (!current?.isConnected && tiles().length) stopAt(tiles()[0]);
}

document.addEventListener("gallery:added", ({ detail }) => prepare(detail));
prepare(tiles());

gallery.addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile && linkOf(tile)) stopAt(tile);
});

/** Put the focus on a tile. */
export function focusTile(tile) {
  stopAt(tile);
  linkOf(tile).focus({ preventScroll: true });
  tile.scrollIntoView({ block: "nearest" });
}

/** Go so many tiles from the focused one; load what is not in the page. */
async function move(offset) {
  const from = current?.isConnected ? current : firstVisible();
  if (!from) return;
  const target = () => tiles().indexOf(from) + offset;
  try {
    while (target() < 0 && (await extend(-1)));
    while (target() >= tiles().length && (await extend(1)));
  } catch {
    // No connection: go as far as the page goes.
  }
  const all = tiles();
  focusTile(all[Math.min(Math.max(target(), 0), all.length - 1)]);
}

async function goToEnd(isLast) {
  await loadEnd(isLast).catch(() => null); // no connection: go as far as the page goes
  const tile = isLast ? tiles().at(-1) : tiles()[0];
  if (tile) focusTile(tile);
}

const rowsPerScreen = () => Math.max(Math.floor((innerHeight * 0.8) / Number.parseFloat(gallery.style.getPropertyValue("--row"))), 1);

gallery.addEventListener("keydown", (event) => {
  const isAll = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a";
  if (!isAll && (event.ctrlKey || event.metaKey || event.altKey)) return;
  const tile = event.target.closest(".tile");
  const action = {
    ArrowRight: () => move(1),
    ArrowLeft: () => move(-1),
    ArrowDown: () => move(columns()),
    ArrowUp: () => move(-columns()),
    PageDown: () => move(rowsPerScreen() * columns()),
    PageUp: () => move(-rowsPerScreen() * columns()),
    Home: () => goToEnd(false),
    End: () => goToEnd(true),
    " ": tile && (() => (event.shiftKey ? selectRange(tile) : toggleTile(tile))),
    Escape: selectedCount() ? clearSelection : null,
    a: isAll ? selectAll : null,
    t: tile ? () => tagSelected(tile) : null,
    s: tile && starOf(tile) ? () => toggleStar(starOf(tile)) : null,
    d: mayDownload && tile?.dataset.file ? () => download(tile) : null,
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

/** Open the tags of the selected results; the focused one is selected if there is none. */
function tagSelected(tile) {
  const menu = document.getElementById("tag-menu");
  if (!menu) return;
  if (!selectedCount()) toggleTile(tile, true);
  menu.open = true;
  menu.querySelector("[name=tags]").focus();
}

function download(tile) {
  Object.assign(document.createElement("a"), { href: tile.dataset.file, download: "" }).click();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector(".dialog[open]")) return;
  if (event.key === "?" && document.getElementById("gallery-keys")) openDialog("gallery-keys");
  else {
    const field = { g: document.getElementById("jump-to"), "/": document.getElementById("id_search") }[event.key.toLowerCase()];
    if (!field || document.querySelector("dialog[open]")) return;
    field.select();
  }
  event.preventDefault();
});
