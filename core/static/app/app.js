// Dialogs, messages, copy buttons, buttons that insert a text into a control, and forms that are sent once, on every page.
// Pages work without it.
// All listeners are on the document, so that they also serve what htmx swaps in.

import { checkSession, csrfToken, fillTokens, isPersonal, isSessionRefusal, parseAnswer } from "./session.js";

/** Show a toast, unless the same one is shown already.  `kind`: success, error, warning, info. */
export function toast(kind, text) {
  const shown = [...document.querySelectorAll("#messages .message p")];
  if (shown.some((words) => words.textContent === text)) return;
  const tones = { success: ["good", "check-circle"], error: ["bad", "x-circle"], warning: ["warn", "warning"] };
  const [tone, icon] = tones[kind] ?? ["busy", "info"];
  const message = document.createElement("div");
  message.className = `message tone-${tone}`;
  const words = document.createElement("p");
  words.textContent = text;
  message.append(iconOf(icon), words);
  document.getElementById("messages").append(message);
  dismissLater(message);
}

/** Make an icon of the sprite. */
export function iconOf(name, extra = "") {
  const names = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(names, "svg");
  svg.setAttribute("class", `icon ${extra}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(names, "use");
  use.setAttribute("href", `${new URL("icons.svg", import.meta.url).pathname}#${name}`);
  svg.append(use);
  return svg;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-inserts]");
  const control = button && document.getElementById(button.dataset.insertsIn);
  if (!control) return;
  control.focus();
  control.setRangeText(button.dataset.inserts, control.selectionStart, control.selectionEnd, "end");
  control.dispatchEvent(new Event("input", { bubbles: true }));
});

/** Open a dialog by its id. */
export function openDialog(id) {
  document.getElementById(id)?.showModal();
}

function dismissLater(message) {
  const isBad = message.classList.contains("tone-bad") || message.classList.contains("tone-warn");
  if (!isBad) setTimeout(() => dismiss(message), 6000);
}

function dismiss(message) {
  if (message.matches(":hover, :focus-within")) setTimeout(() => dismiss(message), 2000);
  else message.remove();
}

/** Prepare a new part of the page: show what needs scripts, and scroll tabs that are wider than the page to the current one. */
export function reveal(root) {
  for (const tab of root.querySelectorAll(".tabs [aria-current]")) {
    const list = tab.closest("ul");
    list.scrollLeft = tab.offsetLeft - list.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
  }
  for (const hidden of root.querySelectorAll("[data-copies][hidden], [data-dismisses][hidden], [data-scripted][hidden]")) {
    hidden.hidden = false;
  }
  for (const message of root.querySelectorAll(".message:not([data-seen])")) {
    message.dataset.seen = "";
    dismissLater(message);
  }
}

/** Copy a text and say so on the button. Return false without permission or HTTPS: the text can still be selected by hand. */
export async function copy(button, text = button.dataset.copies) {
  const words = button.querySelector("span");
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return false;
  }
  words.textContent = button.dataset.done;
  setTimeout(() => (words.textContent = before), 2000);
  return true;
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(except)) menu.open = false;
  }
}

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-dialog], [data-closes], [data-dismisses], [data-copies]");
  closeMenus(event.target);
  if (!target) {
    if (event.target instanceof HTMLDialogElement) event.target.close(); // a click on the backdrop
    return;
  }
  if ("dialog" in target.dataset) {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    closeMenus();
    openDialog(target.dataset.dialog);
  } else if ("closes" in target.dataset) {
    target.closest("dialog")?.close(); // such a link may also stand on a page
  } else if ("dismisses" in target.dataset) {
    target.closest(".message").remove();
  } else {
    copy(target);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest?.("details.menu[open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});

// A form is sent once: a second click before the response does nothing.  It is sent when the session is known to be that of the
// page's person, with a valid CSRF token; otherwise the page stays as it is, with everything that was typed.
let cleared = null; // the form that may be sent now

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (form.method !== "post" || event.defaultPrevented) return;
  if ("sent" in form.dataset) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "";
  submitter?.setAttribute("data-busy", "");
  if (!isPersonal) {
    fillTokens(csrfToken());
    return;
  }
  event.preventDefault();
  const state = await checkSession();
  if (state === "ok" && form.isConnected && (!submitter || submitter.form === form)) {
    cleared = form;
    form.requestSubmit(submitter);
    cleared = null;
    return;
  }
  delete form.dataset.sent;
  submitter?.removeAttribute("data-busy");
  if (state === "unreachable") toast("error", document.body.dataset.unsent);
  if (state === "ok") toast("error", document.body.dataset.changed);
});

// Nobody else hears of the second submission: all listeners have decided about the first one.
addEventListener("submit", (event) => event.target === cleared && event.stopImmediatePropagation(), true);

// After going back, the form may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[data-busy]")) button.removeAttribute("data-busy");
});

// The server shows times in the browser's zone, unless the profile names another (accounts/preferences.py).
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, () => toast("error", document.body.dataset.failed));
}

document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  const answer = parseAnswer(xhr.responseText);
  if (isSessionRefusal(xhr.status, answer.error)) checkSession();
  else toast("error", answer.message ?? document.body.dataset.failed);
});

// Some pages redirect to a sign-in page, which must not be swapped in.  A form that is about to be sent stays.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  const isSignIn = new URL(xhr.responseURL).pathname.endsWith("/login/");
  const isSending = target.closest("form[data-sent]") ?? target.querySelector("form[data-sent]");
  if (isSignIn) checkSession();
  if (isSignIn || isSending) event.detail.shouldSwap = false;
});

document.addEventListener("htmx:afterSettle", (event) => {
  reveal(document);
  delete event.target.dataset?.sent;
});
reveal(document);
