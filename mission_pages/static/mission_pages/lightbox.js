// The lightbox: one result at a time, with its facts. Swipes and keys lead to the next one, Back closes it.

import { copy, toast } from "../app/app.js";
import { openComparison, openSource } from "./compare.js";
import { openLayer, prepareLayer } from "./dialogs.js";
import { extend, hasAfter, hasBefore, loadEnd } from "./grid.js";
import { focusTile } from "./keys.js";
import { mediaOf, sourceIn } from "./media.js";
import { isSelected, toggleTile } from "./selection.js";
import { toggleStar } from "./stars.js";
import { saveTags, showTags } from "./tags.js";
import { factsOf, gallery, isViewable, linkOf, mayDownload, numberOf, starOf, tiles, viewableTiles } from "./tiles.js";
import { zoomable, zoomByButton, zoomByKey } from "./zoom.js";

const lightbox = document.getElementById("lightbox");
const part = (name) => lightbox.querySelector(`[data-${name}]`);
const tagsPart = lightbox?.querySelector("[data-tags-part]"); // absent on a shared page
let openTile = null;
let control = null;

gallery.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || !lightbox || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const tile = link.closest(".tile");
  if (!isViewable(tile)) return;
  event.preventDefault();
  openLayer(lightbox);
  showTile(tile);
});

function showTile(tile) {
  openTile = tile;
  const media = mediaOf(tile);
  part("stage").replaceChildren(media);
  control.show(media);
  showPercent();
  media.addEventListener("load", showPercent);
  part("zoom-tools").classList.toggle("has-picture", tile.dataset.kind === "image");
  if (media instanceof HTMLVideoElement) media.play().catch(() => {}); // the browser refuses autoplay: there are controls
  part("facts").replaceChildren(factsOf(tile), ...(tagsPart ? [tagsPart] : []));
  if (tagsPart) showTagsOf(tile);
  part("facts").scrollTop = 0;
  part("place").textContent = part("place").dataset.text.replace("{n}", numberOf(tile));
  part("file-link").href = tile.dataset.file;
  part("file-link").hidden = !mayDownload;
  part("item-link").href = linkOf(tile).href;
  part("across-link").href = tile.dataset.across ?? "";
  part("across-link").hidden = !tile.dataset.across;
  showNextSteps(tile);
  part("copies-prompt").hidden = !promptIn(part("facts"));
  lightbox.querySelector('[data-compares="source"]').hidden = tile.dataset.kind !== "image" || !sourceIn(part("facts"));
  showMarks();
  showSteps();
  for (const offset of [1, -1]) {
    const next = neighbour(offset);
    if (next?.dataset.kind === "image") new Image().src = next.dataset.file; // preload
  }
  tile.scrollIntoView({ block: "nearest" }); // loads its neighbours, and is where the person comes back to
}

/** Let the forms of the lightbox make this result again or use it as input. Each asks, with the price, before anything is paid. */
function showNextSteps(tile) {
  const form = part("next-steps");
  if (!form) return;
  const [, missionUrl, number] = linkOf(tile).href.match(/^(.*)\/items\/(\d+)$/);
  const mayChange = !starOf(tile).disabled;
  form.querySelector("[name=item]").value = number;
  for (const button of form.querySelectorAll("button")) {
    button.formAction = `${missionUrl}/${button.dataset.path}`;
    button.hidden = "ofImage" in button.dataset ? tile.dataset.kind !== "image" : !mayChange;
  }
  form.querySelector("[data-edits]").href = `${linkOf(tile).href}?edit=1#edit`;
  form.querySelector("[data-edits]").hidden = !mayChange;
}

function showTagsOf(tile) {
  showTags(tagsPart, tile);
  const form = tagsPart.querySelector("form");
  form.action = `${linkOf(tile).href}/tags`;
  form.hidden = starOf(tile).disabled; // the person may not change this mission
  tagsPart.hidden = form.hidden && !tile.dataset.tags;
}

const promptIn = (facts) => facts.querySelector('[data-parameter="prompt"] .as-written');

function neighbour(offset) {
  const all = viewableTiles();
  return all[all.indexOf(openTile) + offset] ?? null;
}

/** Show the next (1) or previous (-1) result, from another page if need be. */
async function step(offset) {
  const from = openTile;
  if (!neighbour(offset)) await extend(offset).catch(() => toast("error", document.body.dataset.failed));
  if (openTile === from && neighbour(offset)) showTile(neighbour(offset));
}

async function goToEnd(isLast) {
  try {
    await loadEnd(isLast);
  } catch {
    toast("error", document.body.dataset.failed);
  }
  const all = viewableTiles();
  if (openTile && all.length) showTile(isLast ? all.at(-1) : all[0]);
}

function showSteps() {
  if (!openTile) return;
  part("step='-1'").disabled = !neighbour(-1) && !hasBefore();
  part("step='1'").disabled = !neighbour(1) && !hasAfter();
}

function showMarks() {
  if (!openTile) return;
  const isOn = isSelected(openTile);
  part("stars").hidden = starOf(openTile).disabled;
  part("stars").setAttribute("aria-pressed", starOf(openTile).getAttribute("aria-pressed"));
  part("ticks").setAttribute("aria-pressed", `${isOn}`);
  part("ticks").hidden = !document.getElementById("selection");
  part("tick").hidden = !isOn;
}

function showPercent() {
  part("percent").textContent = `${control.percent()}%`;
}

document.addEventListener("gallery:added", showSteps);
document.addEventListener("gallery:starred", showMarks);
document.addEventListener("selection:changed", showMarks);

// --- Actions ---

async function copyPrompt() {
  const prompt = promptIn(part("facts"));
  if (prompt && !(await copy(part("copies-prompt"), prompt.textContent))) getSelection().selectAllChildren(prompt);
}

function toggleFacts() {
  const isShown = lightbox.classList.toggle("shows-facts");
  part("shows-facts").setAttribute("aria-expanded", `${isShown}`);
}

function editTags() {
  if (!tagsPart || tagsPart.querySelector("form").hidden) return;
  lightbox.classList.add("shows-facts");
  part("shows-facts").setAttribute("aria-expanded", "true");
  tagsPart.querySelector("[name=tags]").focus();
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else part("frame").requestFullscreen?.().catch(() => {}); // refused, or unknown on this telephone
}

function compare(kind) {
  part("stage").querySelector("video")?.pause();
  if (kind === "source") openSource(openTile);
  else openComparison(viewableTiles(), openTile);
}

if (lightbox) {
  prepareLayer(lightbox);
  control = zoomable(part("stage"), {
    onView: showPercent,
    onSwipe: (direction) => ({ left: () => step(1), right: () => step(-1), down: () => lightbox.close() })[direction](),
  });
  new ResizeObserver(() => openTile && control.whole()).observe(part("stage"));
}

lightbox?.addEventListener("click", (event) => {
  const target = event.target.closest("button, a");
  const { step: offset, zoom, compares, stars, ticks, copiesPrompt, showsFacts, fullScreen, source } = target?.dataset ?? {};
  if (offset) step(Number(offset));
  else if (zoom) zoomByButton(control, zoom);
  else if (compares) compare(compares);
  else if (stars !== undefined) toggleStar(starOf(openTile));
  else if (ticks !== undefined) toggleTile(openTile);
  else if (copiesPrompt !== undefined) copyPrompt();
  else if (showsFacts !== undefined) toggleFacts();
  else if (fullScreen !== undefined) toggleFullScreen();
  else if (source !== undefined && openTile.dataset.kind === "image" && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    openSource(openTile, target);
  }
});

// Before app.js, which would send the form.
tagsPart?.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.stopPropagation();
  const tile = openTile;
  if ((await saveTags(event.target, tile)) && openTile === tile) showTagsOf(tile);
});

lightbox?.addEventListener("keydown", (event) => {
  if (event.target.closest("[data-tag-form] input")) {
    if (event.key !== "Escape") return;
    event.preventDefault(); // the lightbox stays open
    showTagsOf(openTile);
    part("stage").focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isVideo = event.target instanceof HTMLVideoElement; // there the arrows seek
  if (zoomByKey(control, event)) {
    event.preventDefault();
    return;
  }
  const action = {
    ArrowRight: isVideo ? null : () => step(1),
    ArrowLeft: isVideo ? null : () => step(-1),
    Home: () => goToEnd(false),
    End: () => goToEnd(true),
    s: () => toggleStar(starOf(openTile)),
    x: () => toggleTile(openTile),
    d: mayDownload ? () => part("file-link").click() : null,
    f: toggleFullScreen,
    i: toggleFacts,
    p: copyPrompt,
    t: editTags,
    c: () => compare("next"),
    b: () => !lightbox.querySelector('[data-compares="source"]').hidden && compare("source"),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

lightbox?.addEventListener("close", () => {
  part("stage").replaceChildren(); // stops a video
  if (document.fullscreenElement) document.exitFullscreen();
  const tile = openTile;
  openTile = null;
  if (tile?.isConnected) focusTile(tile);
  else if (tiles().length) focusTile(tiles()[0]);
});
