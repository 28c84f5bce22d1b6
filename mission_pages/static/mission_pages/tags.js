// Tags of results: shown and changed beside one result, and on the tiles of the selected ones. A tile has its tags in data-tags.

import { toast } from "../app/app.js";
import { csrfToken, sessionFetch } from "../app/session.js";
import { linkOf, tiles } from "./tiles.js";

const comparable = (tag) => tag.normalize("NFKC").toLowerCase();

const tagsOf = (tile) => (tile.dataset.tags ? tile.dataset.tags.split(", ") : []);

/** Show the tags of a tile in a part of the page like _tags.html. */
export function showTags(part, tile) {
  const links = part.querySelector("[data-tag-links]");
  links.replaceChildren(
    ...tagsOf(tile).map((tag) => {
      const [entry, link, text] = ["li", "a", "bdi"].map((name) => document.createElement(name));
      link.href = `${links.dataset.results}?tag=${encodeURIComponent(tag)}`;
      text.textContent = tag;
      link.append(text);
      entry.append(link);
      return entry;
    }),
  );
  const field = part.querySelector("[name=tags]");
  if (field) field.value = tagsOf(tile).join(", ");
}

/** Add tags to some tiles, or remove them, after the server has done so. */
export function changeTags(some, tags, isAdded) {
  const changed = new Set(tags.map(comparable));
  for (const tile of some) {
    const held = tagsOf(tile).map(comparable);
    const kept = isAdded ? [...tagsOf(tile), ...tags.filter((tag) => !held.includes(comparable(tag)))] : tagsOf(tile).filter((tag) => !changed.has(comparable(tag)));
    tile.dataset.tags = kept.join(", ");
  }
  if (isAdded) offer(tags);
}

/** Save the tags of a result that a form holds; the page stays. Return true if the server has them. */
export async function saveTags(form, tile) {
  const button = form.querySelector("button");
  const body = new FormData(form);
  body.set("csrfmiddlewaretoken", csrfToken());
  button.setAttribute("data-busy", "");
  try {
    const response = await sessionFetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const { tags, message } = await response.json();
    for (const other of [tile, ...tiles()]) if (linkOf(other).href === linkOf(tile).href) other.dataset.tags = tags.join(", ");
    offer(tags);
    toast("success", message);
    return true;
  } catch (error) {
    toast("error", error.answer?.message ?? document.body.dataset.failed);
    return false;
  } finally {
    button.removeAttribute("data-busy");
  }
}

// --- Known tags: offered for the last of the tags that a field holds ---

const list = document.getElementById("known-tags");
const known = new Set([...(list?.options ?? [])].map((option) => option.value));

function offer(tags) {
  for (const tag of tags) known.add(tag);
  showOffer("");
}

function showOffer(text) {
  const before = text.match(/^.*[,，、;；]\s*/)?.[0] ?? "";
  list?.replaceChildren(...[...known].map((tag) => Object.assign(document.createElement("option"), { value: before + tag })));
}

const menu = document.getElementById("tag-menu");
menu?.addEventListener("toggle", () => {
  if (menu.open) menu.querySelector("[name=tags]").focus({ preventScroll: true }); // the bar is in sight, wherever the page is
});

document.addEventListener("input", ({ target }) => {
  if (target.matches?.('input[list="known-tags"]')) showOffer(target.value);
});
