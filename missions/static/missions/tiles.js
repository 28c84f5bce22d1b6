// The tiles of a gallery. A page has one gallery; its tiles may be of several missions, so each has its own addresses:
//
//   id              of its result, unique on every page
//   data-index      the number of its item in the mission
//   data-kind       image, video, text, file; none without a stored file
//   data-status     of its result
//   data-file, data-poster    the addresses of the result and of its small picture
//   a[data-opens]             leads to the page of its item
//   [form=selection]          the box that selects its item; the value is its key on this page
//   .tile-star                sends the star of its item to its formaction
//   template                  the facts that the lightbox shows

export const gallery = document.getElementById("gallery") ?? document.createElement("ul"); // absent without results

export const tiles = () => [...gallery.querySelectorAll(".tile[data-index]")];

/** Return the tiles that the lightbox can show, in the order of the page. */
export const viewableTiles = () => tiles().filter((tile) => tile.dataset.kind !== "none");

export const linkOf = (tile) => tile.querySelector("a[data-opens]");

export const boxOf = (tile) => tile.querySelector('input[form="selection"]');

export const starOf = (tile) => tile.querySelector(".tile-star");
