// Stars of results. A star is shown at once, and taken back if the server refuses it.
// Event on the document: gallery:starred, with 1, -1 or 0: by how much the number of starred items has changed.

import { toast } from "../app/app.js";
import { csrfToken, sessionFetch } from "../app/session.js";

// Before app.js, which would send the form.
document.addEventListener(
  "submit",
  (event) => {
    if (!event.submitter?.classList.contains("tile-star")) return;
    event.preventDefault();
    toggleStar(event.submitter);
  },
  true,
);

/** Change the star of a tile's button on the page and on the server. */
export async function toggleStar(button) {
  if (button.disabled) return; // the person may not change this mission
  const isStarred = button.getAttribute("aria-pressed") !== "true";
  showStar(button, isStarred);
  const body = new FormData();
  body.set("starred", isStarred ? "1" : "0");
  body.set("item", button.value);
  body.set("csrfmiddlewaretoken", csrfToken());
  try {
    await sessionFetch(button.formAction, { method: "POST", body, headers: { Accept: "application/json" } });
  } catch {
    showStar(button, !isStarred);
    toast("error", document.body.dataset.failed);
  }
}

/** Show whether the item of a star button is starred. */
export function showStar(button, isStarred) {
  // A star belongs to an item: all its tiles show it, and the button may be of a copy that is not on the page.
  const wasStarred = button.getAttribute("aria-pressed") === "true";
  const same = `.tile-star[value="${button.value}"][formaction="${button.getAttribute("formaction")}"]`;
  for (const each of [button, ...document.querySelectorAll(same)]) {
    each.setAttribute("aria-pressed", `${isStarred}`);
    each.setAttribute("form", isStarred ? "unstar" : "star");
  }
  document.dispatchEvent(new CustomEvent("gallery:starred", { detail: isStarred - wasStarred }));
}
