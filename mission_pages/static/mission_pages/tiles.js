// The tiles of a gallery. A page has one gallery; its tiles may be of several missions, so each has its own addresses:
//
//   id              of its result, unique on every page
//   data-index      the number of its item in the mission
//   data-row        the mission and the number of the row; all versions of a row share it
//   data-place      the place of its item in the gallery: a number, or for the newest first "microseconds-id"
//   data-kind       image, video, text, file; none without a stored file
//   data-status     of its result
//   data-file, data-poster    the addresses of the result and of its small picture
//   data-width, data-height   of the result, in pixels
//   data-label      its name in a comparison, instead of the number
//   data-across     the page that compares the versions and models of its row, if there are any
//   data-tags       of its item, with ", " between them (tags.js)
//   a[data-opens]             leads to the page of its item
//   [form=selection]          the box that selects its item, if the page selects; the value is the number of the item, or its id among all missions
//   .tile-star                sends the star of its item to its formaction; it may stand beside the tile, in the same [data-side]
//   template                  the facts that the lightbox shows
//
// Event on the document: gallery:added, with the tiles that are new on the page.

export const gallery = document.getElementById("gallery") ?? document.createElement("ul"); // absent without results

/** False in a shared gallery whose files are not offered for download. */
export const mayDownload = !("noDownload" in gallery.dataset);

export const tiles = () => [...gallery.querySelectorAll(":scope > .tile")];

/** Return the tiles that the lightbox can show, in the order of the page. */
export const viewableTiles = () => tiles().filter(isViewable);

export const isViewable = (tile) => tile.dataset.kind !== "none";

export const linkOf = (tile) => tile.querySelector("a[data-opens]");

export const boxOf = (tile) => tile.querySelector('input[form="selection"]');

export const starOf = (tile) => tile.querySelector(".tile-star") ?? tile.closest("[data-side]")?.querySelector(".tile-star") ?? null;

/** Return the number that the page shows for a tile. */
export const numberOf = (tile) => tile.dataset.row.split("-")[1];

/** Return a copy of the facts that stand beside a result. */
export const factsOf = (tile) => tile.querySelector("template").content.cloneNode(true);

/** Return a negative number if the place `a` comes before `b` in this gallery. */
export function comparePlaces(a, b) {
  const [x, y] = [a, b].map((place) => place.split("-").map(Number));
  return x.length === 1 ? x[0] - y[0] : y[0] - x[0] || y[1] - x[1]; // moments: the newest first
}

/** Announce tiles that are new on the page. */
export function announce(added) {
  document.dispatchEvent(new CustomEvent("gallery:added", { detail: added }));
}
