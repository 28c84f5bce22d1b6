// Keeps an open page up to date: requests it again when something has happened, and swaps the zones that changed.
//
//   data-live     the URL to request; data-seconds: the interval without events (absent: nothing is running)
//   data-events   a stream of Server-Sent Events that says when to refresh; data-after: the last event the page knows
//   data-item     the index of the only item whose events matter to the page
//   data-zone     an element with an id that may be swapped, unless somebody is using it
//   data-live-text   the index of an item whose text is being written: the stream brings its next pieces
//   data-shows-progress   the provider reports progress: it is read now and then, because no event tells of it
//
// While the tab is hidden there is no stream, and refreshes are rare: the title keeps counting, and a notification of the
// operating system tells of the outcome (notifications/desktop.js).

import { reveal } from "../app/app.js";
import "./clock.js";
import { sessionFetch, sessionProblem } from "../app/session.js";
import { forget, showOnce } from "../notifications/desktop.js";

const EVENT_PAUSE = 1000; // milliseconds between two refreshes, however many events arrive
const TAB_PAUSE = 2500;
const ANNOUNCE_PAUSE = 15000; // between two announcements to screen readers
const STREAM_PAUSE = 15000; // while the stream is open; a proxy may hold it back, so refreshes do not stop
const PROGRESS_PAUSE = 3000; // the same, where items report progress
const HIDDEN_PAUSE = 15000;

document.documentElement.classList.add("scripted");

const liveRoot = document.querySelector("[data-live]");
if (liveRoot) keepFresh(liveRoot);

function keepFresh(root) {
  let stream = null;
  let lastEventId = root.dataset.after;
  let timer = 0;
  let dueAt = Infinity;
  let isRefreshing = false;
  let hasNews = false;

  /** Refresh after so many milliseconds, unless a refresh is due sooner. */
  function schedule(milliseconds) {
    if (Date.now() + milliseconds >= dueAt) return;
    clearTimeout(timer);
    dueAt = Date.now() + milliseconds;
    timer = setTimeout(refreshNow, milliseconds);
  }

  function unschedule() {
    clearTimeout(timer);
    dueAt = Infinity;
  }

  async function refreshNow() {
    unschedule();
    if (sessionProblem()) return;
    if (isRefreshing) {
      hasNews = true;
      return;
    }
    isRefreshing = true;
    hasNews = false;
    await refresh(root.dataset.live).catch(() => {}); // no connection: the next refresh is scheduled below
    isRefreshing = false;
    if (hasNews) schedule(EVENT_PAUSE);
    else if (isRunning()) schedule(pause());
  }

  function onNews() {
    if (hasNews) return;
    hasNews = true;
    schedule(EVENT_PAUSE);
  }

  function openStream() {
    if (!root.dataset.events || stream || !window.EventSource || !isRunning()) return;
    stream = new EventSource(`${root.dataset.events}?after=${lastEventId}`);
    const handlers = {
      mission: onNews,
      item: ({ item }) => {
        if (!root.dataset.item || item === Number(root.dataset.item)) onNews();
      },
      text: (piece) => receivePiece(Number(lastEventId), piece),
      end: () => {
        closeStream();
        schedule(0);
      },
    };
    for (const [kind, handle] of Object.entries(handlers)) {
      stream.addEventListener(kind, (event) => {
        if (event.lastEventId) lastEventId = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) closeStream(); // otherwise the browser reconnects
      schedule(pause());
    });
  }

  function closeStream() {
    stream?.close();
    stream = null;
  }

  function pause() {
    if (document.hidden) return HIDDEN_PAUSE;
    if (stream?.readyState !== EventSource.OPEN) return Number(root.dataset.seconds ?? 4) * 1000;
    return "showsProgress" in root.dataset ? PROGRESS_PAUSE : STREAM_PAUSE;
  }

  function isRunning() {
    const summary = document.getElementById("mission-summary");
    return summary ? summary.dataset.liveNow === "1" : "seconds" in root.dataset;
  }

  document.addEventListener("visibilitychange", () => {
    unschedule();
    if (document.hidden) {
      closeStream();
      if (isRunning()) schedule(pause());
    } else if (isRunning()) {
      schedule(0);
      openStream();
    }
  });
  document.addEventListener("session:resumed", () => {
    if (!isRunning()) return;
    schedule(0);
    if (!document.hidden) openStream();
  });
  addEventListener("pagehide", closeStream);
  if (isRunning()) {
    if (!document.hidden) openStream();
    schedule(pause());
  }
}

async function refresh(url) {
  swapZones(await fetchPage(url));
  announceSummary();
  refreshTab();
  document.dispatchEvent(new CustomEvent("missions:refreshed"));
}

/** Return the document at a URL. Throws without a connection and for an error page. */
export async function fetchPage(url) {
  const response = await sessionFetch(url, { headers: { "X-Requested-With": "live" }, redirect: "error" });
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function swapZones(fresh) {
  for (const zone of document.querySelectorAll("[data-zone]")) {
    const replacement = fresh.getElementById(zone.id);
    if (!replacement || isInUse(zone) || comparable(zone) === comparable(replacement)) continue;
    for (const paragraph of replacement.querySelectorAll("[data-live-text]")) showPieces(paragraph);
    zone.replaceWith(document.adoptNode(replacement));
    reveal(replacement);
  }
}

// --- Texts that are being written ---

const pieces = new Map(); // by item: the pieces since the page was opened, in order
const writtenTexts = new WeakMap(); // by element: its text as the server sent it

function receivePiece(id, { item, attempt, text }) {
  if (pieces.get(item)?.at(-1).attempt !== attempt) pieces.set(item, []);
  const ofItem = pieces.get(item);
  if (ofItem.length && ofItem.at(-1).id >= id) return;
  ofItem.push({ id, attempt, text });
  for (const paragraph of document.querySelectorAll(`[data-live-text="${item}"]`)) showPieces(paragraph);
}

/** Show the text that the server sent, and the pieces that have arrived since. */
function showPieces(paragraph) {
  if (!writtenTexts.has(paragraph)) writtenTexts.set(paragraph, paragraph.textContent);
  const { liveText, attempt, after } = paragraph.dataset;
  const later = (pieces.get(Number(liveText)) ?? []).filter((piece) => piece.id > Number(after) && piece.attempt === Number(attempt));
  paragraph.textContent = writtenTexts.get(paragraph) + later.map((piece) => piece.text).join("");
  paragraph.hidden = !paragraph.textContent;
  paragraph.scrollTop = paragraph.scrollHeight;
}

/** Return true if somebody types in the zone, has the focus in it, or is about to press a button that costs money. */
function isInUse(zone) {
  const fields = [...zone.querySelectorAll("input:not([type=hidden]), textarea")];
  const inUse = "details[open], [aria-invalid=true], [data-costs]:hover, form[data-sent]";
  return (
    fields.some((field) => field.value !== field.defaultValue) ||
    zone.contains(document.activeElement) ||
    zone.querySelector(inUse) !== null
  );
}

/** Return the HTML of a zone without what differs in every response. */
function comparable(zone) {
  return zone.outerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1").replace(/ data-(seen|sent)="[^"]*"/g, "");
}

let announcedAt = 0;
let announcedText = document.getElementById("mission-summary")?.textContent;

let outcome = document.getElementById("mission-summary")?.dataset.outcome;
let mark = ""; // before the title, until somebody looks

function showTitle() {
  const summary = document.getElementById("mission-summary");
  if (summary && liveRoot.dataset.titleSuffix) document.title = mark + summary.dataset.title + liveRoot.dataset.titleSuffix;
}

/** Tell of an outcome while nobody looks, such as the end of the mission: in the title, and by a notification of the system. */
function tellOutcome(summary) {
  if (summary.dataset.outcome === undefined) return; // the page of an item
  const before = outcome;
  outcome = summary.dataset.outcome;
  const key = `${location.pathname.match(/^.*?missions\/\d+/)?.[0]}:`;
  if (!outcome) forget(key);
  if (outcome === before || !outcome || (!document.hidden && document.hasFocus())) return;
  mark = ["done", "first"].includes(outcome) ? "✓ " : "⚠ ";
  showOnce({ key: summary.dataset.outcomeKey || key + outcome, title: summary.dataset.outcomeTitle, text: summary.textContent, url: location.href });
}

for (const event of ["focus", "visibilitychange"]) {
  addEventListener(event, () => {
    if (!mark || document.hidden) return;
    mark = "";
    showTitle();
  }, true);
}

function announceSummary() {
  const summary = document.getElementById("mission-summary");
  if (!summary) return;
  tellOutcome(summary);
  showTitle();
  const hasEnded = summary.dataset.liveNow !== "1";
  const isTooSoon = !hasEnded && Date.now() - announcedAt < ANNOUNCE_PAUSE;
  if (summary.textContent === announcedText || isTooSoon) return;
  announcedText = summary.textContent;
  announcedAt = Date.now();
  document.getElementById("mission-announcement").textContent = announcedText;
}

let tabRefreshedAt = 0;
let tabTimer = 0;

/** Refresh the page below the tabs, such as the table of items. It has a URL of its own and changes less often. */
function refreshTab() {
  const tab = document.querySelector("[data-refreshes]");
  if (!tab || document.hidden) return;
  clearTimeout(tabTimer);
  tabTimer = setTimeout(async () => {
    tabRefreshedAt = Date.now();
    await fetchPage(tab.dataset.refreshes).then(swapZones, () => {}); // no connection: the next event tries again
  }, Math.max(tabRefreshedAt + TAB_PAUSE - Date.now(), 0));
}

// --- Confirmations: a dialog with this script, a page without it ---

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[data-confirms]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const fresh = await fetchPage(link.href);
    showDialog(fresh.querySelector("h1").textContent, fresh.querySelector("[data-confirmation]"));
  } catch {
    location.assign(link.href);
  }
});

function showDialog(title, content) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  const body = document.createElement("div");
  body.className = "dialog-body";
  const heading = document.createElement("h2");
  heading.id = "confirmation-title";
  heading.textContent = title;
  dialog.setAttribute("aria-labelledby", heading.id);
  body.append(heading, document.adoptNode(content));
  dialog.append(body);
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-closes]")) event.preventDefault();
  });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

// --- Filters that submit themselves ---

for (const form of document.querySelectorAll("form[data-submits-itself]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
  form.addEventListener("input", ({ target: { list, value } }) => {
    if ([...(list?.options ?? [])].some((option) => option.value === value)) form.requestSubmit();
  });
}

// Going back, a browser fills forms as they were when the page was left, but the page shows what its address says.
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted && performance.getEntriesByType("navigation")[0]?.type !== "back_forward") return;
  for (const form of document.querySelectorAll("form[role=search]")) form.reset();
});
