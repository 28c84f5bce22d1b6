// Full-screen dialogs that the browser's Back closes: each has an entry in the history while it is open.

/** Open a dialog. */
export function openLayer(dialog) {
  if (dialog.open) return;
  dialog.showModal();
  history.pushState({ ...history.state, layer: dialog.id }, "");
}

/** Let Back close a dialog, and take its entry out of the history when it is closed in another way. */
export function prepareLayer(dialog) {
  dialog.addEventListener("close", () => {
    if (history.state?.layer === dialog.id) history.back();
  });
}

addEventListener("popstate", () => {
  const layers = [...document.querySelectorAll("dialog.layer[open]")];
  const top = layers.at(-1);
  if (top && history.state?.layer !== top.id) top.close();
});

// The page was loaded again: nothing is open.
if (history.state?.layer) history.replaceState({ ...history.state, layer: undefined }, "");
