// The media page: the grid shows what was uploaded, wherever in it the person is.

import "./uploader.js";

document.addEventListener("uploads:settled", (event) => {
  if (event.detail.stored) window.htmx.ajax("GET", location.href, { target: "#library", select: "#library", swap: "outerHTML" });
});
