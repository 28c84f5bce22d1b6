// Keeps an open page true: asks for it again when something happened, and swaps the zones that changed.
//
//   data-live     the address to ask; data-seconds: how often, without news (absent: nothing is going on)
//   data-events   a stream of Server-Sent Events that tells when to ask; data-after: the last event that the page knows
//   data-zone     a piece, with an id, that may be swapped.  One that is being used is left alone until it is not.
//
// Nothing is asked while the tab is hidden.

const EVENTS_PAUSE = 1000; // between two questions, however much happens
const TAB_PAUSE = 2500;
const ANNOUNCE_PAUSE = 15000; // between two announcements to screen readers

document.documentElement.classList.add("scripted");

const page = document.querySelector("[data-live]");
if (page) watch(page);

function watch(root) {
  let stream = null;
  let after = root.dataset.after;
  let timer = 0;
  let due = Infinity;
  let asking = false;
  let wanted = false;

  // The soonest plan counts.
  function plan(milliseconds) {
    if (Date.now() + milliseconds >= due) return;
    clearTimeout(timer);
    due = Date.now() + milliseconds;
    timer = setTimeout(ask, milliseconds);
  }

  function rest() {
    clearTimeout(timer);
    due = Infinity;
  }

  async function ask() {
    rest();
    if (document.hidden) return;
    if (asking) {
      wanted = true;
      return;
    }
    asking = true;
    wanted = false;
    try {
      await refresh(root.dataset.live);
    } catch {
      // The connection is away: the next question comes by itself.
    }
    asking = false;
    if (wanted) plan(EVENTS_PAUSE);
    else if (isGoingOn()) plan(pause());
  }

  function news(event) {
    if (event.lastEventId) after = event.lastEventId;
    if (!wanted) {
      wanted = true;
      plan(EVENTS_PAUSE);
    }
  }

  function listen() {
    if (!root.dataset.events || stream || !window.EventSource || !isGoingOn()) return;
    stream = new EventSource(`${root.dataset.events}?after=${after}`);
    for (const name of ["item", "mission"]) stream.addEventListener(name, news);
    stream.addEventListener("end", () => {
      close();
      plan(0);
    });
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) close(); // for good; else it comes back by itself
      plan(pause());
    });
  }

  function close() {
    stream?.close();
    stream = null;
  }

  // How long to wait without news.  A stream that is heard makes questions rare, not needless: a proxy may hold it back.
  function pause() {
    return stream?.readyState === EventSource.OPEN ? 15000 : Number(root.dataset.seconds ?? 4) * 1000;
  }

  function isGoingOn() {
    const summary = document.getElementById("mission-summary");
    return summary ? summary.dataset.liveNow === "1" : "seconds" in root.dataset;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      rest();
    } else if (isGoingOn()) {
      plan(0);
      listen();
    }
  });
  addEventListener("pagehide", close);
  if (!document.hidden && isGoingOn()) {
    listen();
    plan(pause());
  }
}

/** Ask for a page and swap the zones of this one that look different there.  Returns the page that came. */
async function refresh(address) {
  const fresh = await fetchPage(address);
  swap(fresh);
  summarize();
  followTab();
  document.dispatchEvent(new CustomEvent("missions:refreshed"));
  return fresh;
}

export async function fetchPage(address) {
  const response = await fetch(address, { headers: { "X-Requested-With": "live" }, redirect: "error" });
  if (!response.ok) throw new Error(`${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

export function swap(fresh) {
  for (const zone of document.querySelectorAll("[data-zone]")) {
    const other = fresh.getElementById(zone.id);
    if (!other || isInUse(zone) || looksLike(zone) === looksLike(other)) continue;
    zone.replaceWith(document.adoptNode(other));
  }
}

// What a person writes, is being told about, or is about to press must not change under the hand.
const IN_USE = "details[open], [aria-invalid=true], [data-costs]:hover";

function isInUse(zone) {
  const isWriting = [...zone.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue);
  return isWriting || zone.contains(document.activeElement) || zone.querySelector(IN_USE) !== null;
}

// Tokens are new each time, and mean the same.
function looksLike(zone) {
  return zone.outerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1").replace(/ data-(seen|sent)="[^"]*"/g, "");
}

let announced = 0;
let said = document.getElementById("mission-summary")?.textContent;

function summarize() {
  const summary = document.getElementById("mission-summary");
  if (!summary) return;
  const live = document.querySelector("[data-live]");
  if (live.dataset.titleSuffix) document.title = summary.dataset.title + live.dataset.titleSuffix;
  const isOver = summary.dataset.liveNow !== "1";
  if (summary.textContent === said || (!isOver && Date.now() - announced < ANNOUNCE_PAUSE)) return;
  said = summary.textContent;
  announced = Date.now();
  document.getElementById("mission-announcement").textContent = said;
}

let tabAsked = 0;
let tabTimer = 0;

// What stands below the tabs (a table of items, the failures) is a page of its own: it is asked for more seldom than the head,
// and once more after the last news.
function followTab() {
  const tab = document.querySelector("[data-refreshes]");
  if (!tab) return;
  clearTimeout(tabTimer);
  tabTimer = setTimeout(async () => {
    tabAsked = Date.now();
    await fetchPage(tab.dataset.refreshes).then(swap, () => {}); // no connection: the next news asks again
  }, Math.max(tabAsked + TAB_PAUSE - Date.now(), 0));
}

// --- Questions that are asked in a dialog where there is a script, and on a page where there is none ---

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[data-asks]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const fresh = await fetchPage(link.href);
    show(fresh.querySelector("h1").textContent, fresh.querySelector("[data-question]"));
  } catch {
    location.assign(link.href);
  }
});

function show(title, question) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  const body = document.createElement("div");
  body.className = "dialog-body";
  const heading = document.createElement("h2");
  heading.id = "question-title";
  heading.textContent = title;
  dialog.setAttribute("aria-labelledby", heading.id);
  body.append(heading, document.adoptNode(question));
  dialog.append(body);
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-closes]");
    if (closer) event.preventDefault();
  });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

// --- Filters that apply themselves ---

for (const form of document.querySelectorAll("form[data-submits-itself]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}
