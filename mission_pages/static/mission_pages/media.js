// Pictures, videos and texts of results as elements for a stage: the lightbox and the comparison.

import { factsOf, linkOf } from "./tiles.js";

/** Make the element that shows a tile's result. */
export function mediaOf(tile) {
  const label = linkOf(tile).getAttribute("aria-label");
  const { kind, file, poster, width, height } = tile.dataset;
  if (kind === "image") return pictureOf({ file, poster, width, height, label });
  if (kind === "video") {
    const video = Object.assign(document.createElement("video"), { controls: true, loop: true, playsInline: true, src: file });
    if (poster) video.poster = poster;
    video.setAttribute("aria-label", label);
    return sized(video, width, height);
  }
  const text = factsOf(tile).querySelector("[data-full-text]") ?? tile.querySelector(".tile-text");
  return Object.assign(document.createElement("p"), { textContent: text.textContent, tabIndex: 0 });
}

/** Make a picture that shows its small version until the file is there. Sizes are in pixels of the file. */
export function pictureOf({ file, poster, width, height, label }) {
  const image = Object.assign(new Image(), { src: file, alt: label, draggable: false });
  if (poster) image.style.backgroundImage = `url("${poster}")`;
  image.addEventListener("load", () => {
    image.style.backgroundImage = ""; // it may be transparent
    sized(image, image.naturalWidth, image.naturalHeight);
  });
  return sized(image, width, height);
}

function sized(element, width, height) {
  if (width && height) {
    element.style.setProperty("--ratio", width / height);
    element.style.setProperty("--width", `${width}px`);
    element.dataset.width = width;
  }
  return element;
}

/** Return the link to the first source picture among the facts of a result, or null. */
export const sourceIn = (facts) => facts.querySelector("a[data-source]");

/** Make the element that shows a source picture. */
export function sourcePictureOf(link) {
  const small = link.querySelector("img");
  const { width, height } = link.dataset;
  return pictureOf({ file: link.href, poster: small?.currentSrc || small?.src, width, height, label: link.title });
}
