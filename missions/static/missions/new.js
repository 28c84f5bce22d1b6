// New mission: uploads of many images, dropping and pasting, the library, lines that errors lead to.
// All that is decided is decided by the server; this only fills in the form that works without it.

import { api, openDialog } from "../app/app.js";

const AT_ONCE = 4;
const PATIENCE = 4000; // milliseconds until a request is tried again that the server had no time for
const PREVIEW_PAUSE = 5000; // between two previews while images are being uploaded
const COUNT = /%n|%done|%all/g;

const form = () => document.getElementById("mission-form");
const words = (text, numbers) => text.replace(COUNT, (name) => numbers[name.slice(1)].toLocaleString("en"));

/** Ask for a new preview now; it keeps the draft as well. */
function changed() {
  document.getElementById("previewer")?.dispatchEvent(new CustomEvent("changed"));
}

// --- What is not to be previewed or posted twice ---

// These controls ask for more than a preview themselves.
document.addEventListener(
  "input",
  (event) => {
    if (event.target.matches?.("[data-redraws], [data-quiet]")) event.stopPropagation();
    else countLines(event.target);
  },
  true,
);

function countLines(area) {
  const shown = document.querySelector(`[data-lines="${area.id}"]`);
  if (!shown) return;
  const n = area.value.split(/\r\n|\r|\n/).filter((line) => line.trim()).length;
  shown.textContent = n === 1 ? shown.dataset.one : words(shown.dataset.many, { n });
}

// A text of megabytes is posted when it has changed; the draft has it otherwise.
const LONG = ["prompts", "image_prompts"];
let posted = {};

document.addEventListener("htmx:configRequest", (event) => {
  const { formData, parameters, elt } = event.detail;
  if (elt.id !== "previewer") return;
  const data = formData ?? parameters;
  elt.sending = {};
  for (const name of LONG) {
    const value = data.get(name);
    if (value === null) continue;
    if (posted[name] === value) data.delete(name);
    else elt.sending[name] = value;
  }
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, successful } = event.detail;
  if (elt.id === "previewer") {
    if (successful) posted = { ...posted, ...elt.sending };
    else lost();
  } else if (form()?.contains(elt)) posted = {};
});

function lost() {
  posted = {};
  const kept = document.querySelector(".preview-kept");
  if (kept) kept.textContent = kept.dataset.lost;
  setTimeout(changed, PATIENCE);
}

// --- Images ---

const queue = [];
let running = 0;
let done = 0;
let known = 0;
let previewed = 0;

function add(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  if (!queue.length) [done, known] = [0, 0];
  queue.push(...pictures.map((file) => ({ file, state: "waiting", reference: "" })));
  while (running < AT_ONCE && waiting()) work();
  show();
}

const waiting = () => queue.find((entry) => entry.state === "waiting");

async function work() {
  running += 1;
  for (let entry = waiting(); entry; entry = waiting()) {
    entry.state = "sending";
    await upload(entry);
    take();
    show();
    if (Date.now() > previewed + PREVIEW_PAUSE) {
      previewed = Date.now();
      changed();
    }
  }
  running -= 1;
  if (!running) finish();
}

async function upload(entry) {
  const body = new FormData();
  body.append("file", entry.file, entry.file.name || "pasted.png");
  for (;;) {
    try {
      entry.reference = (await api("POST", "/api/v1/media/upload", body)).reference;
      entry.state = "done";
      return;
    } catch (error) {
      if (error.status === 429 || error.status === 503) {
        await new Promise((go) => setTimeout(go, PATIENCE));
        continue;
      }
      entry.state = "failed";
      complain(entry, error.errors?.[0]?.message ?? error.message);
      return;
    }
  }
}

/** Put what has arrived into the list, in the order in which it was chosen. */
function take() {
  const area = document.getElementById("id_images");
  if (!area) return;
  const names = new Set(area.value.split(/[\n|]/).map((name) => name.trim()));
  const lines = [];
  while (queue.length && ["done", "failed"].includes(queue[0].state)) {
    const { reference } = queue.shift();
    done += 1;
    if (!reference) continue;
    if (names.has(reference)) known += 1;
    else lines.push(reference);
    names.add(reference);
  }
  append(area, lines);
}

function append(area, lines) {
  if (lines.length) area.value = [area.value.trim(), ...lines].filter(Boolean).join("\n");
}

function show() {
  const zone = document.querySelector("[data-dropzone]");
  const progress = zone?.querySelector("[data-progress]");
  if (!progress) return;
  const ended = done + queue.filter((entry) => ["done", "failed"].includes(entry.state)).length;
  const all = done + queue.length;
  progress.hidden = !all;
  waitToSubmit(zone.dataset.leaving);
  progress.querySelector("progress").value = all ? ended / all : 0;
  progress.querySelector("p").textContent = [
    words(zone.dataset.uploading, { done: ended, all }),
    known ? words(zone.dataset.known, { n: known }) : "",
  ].filter(Boolean).join(" · ");
}

/** Half of the images must not become a mission by a hasty click.  The preview after the last one brings another button. */
function waitToSubmit(reason) {
  const button = document.getElementById("submit-mission");
  if (button && queue.length) Object.assign(button, { disabled: true, title: reason });
}

function finish() {
  take();
  show();
  changed();
}

function complain(entry, message) {
  const list = document.querySelector("[data-upload-errors]");
  if (!list) return;
  const line = document.createElement("li");
  const name = Object.assign(document.createElement("strong"), { textContent: entry.file.name });
  const text = Object.assign(document.createElement("span"), { textContent: message });
  const again = Object.assign(document.createElement("button"), { type: "button", className: "link-button" });
  again.textContent = document.querySelector("[data-dropzone]").dataset.retry;
  again.addEventListener("click", () => {
    line.remove();
    add([entry.file]);
  });
  line.append(name, text, again);
  list.append(line);
}

document.addEventListener("change", (event) => {
  if (event.target.id !== "id_image_files") return;
  add(event.target.files);
  event.target.value = "";
});

const isDropping = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  const zone = document.querySelector("[data-dropzone]");
  if (!zone || !isDropping(event)) return;
  event.preventDefault();
  zone.dataset.over = "";
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete document.querySelector("[data-dropzone]")?.dataset.over;
});

document.addEventListener("drop", (event) => {
  const zone = document.querySelector("[data-dropzone]");
  if (!zone || !isDropping(event)) return;
  event.preventDefault();
  delete zone.dataset.over;
  add(event.dataTransfer.files);
});

document.addEventListener("paste", (event) => {
  if (!document.querySelector("[data-dropzone]") || !event.clipboardData?.files.length) return;
  event.preventDefault();
  add(event.clipboardData.files);
});

addEventListener("beforeunload", (event) => {
  if (queue.length) event.preventDefault();
});

// --- The library, lines, folds ---

const chosen = new Set();

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-opens-library], [data-adds-chosen], [data-goes-to-line], [data-toggles]");
  if (!target) return;
  if ("opensLibrary" in target.dataset) {
    chosen.clear();
    openDialog("library-dialog");
    document.getElementById("library-choice").dispatchEvent(new CustomEvent("opened"));
  } else if ("addsChosen" in target.dataset) {
    append(document.getElementById("id_images"), [...chosen]);
    target.closest("dialog").close();
    changed();
  } else if ("goesToLine" in target.dataset) {
    goToLine(document.getElementById(target.dataset.goesIn), Number(target.dataset.goesToLine));
  } else {
    fold(target);
  }
});

document.addEventListener("change", (event) => {
  if (!("chooses" in event.target.dataset)) return;
  if (event.target.checked) chosen.add(event.target.value);
  else chosen.delete(event.target.value);
});

function fold(button) {
  const folded = document.getElementById(button.dataset.toggles);
  const isOpen = folded.toggleAttribute("data-folded") === false;
  button.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) folded.querySelector("input")?.focus();
}

/** Mark a line of a text area, and bring it into view. */
function goToLine(area, number) {
  if (!area) return;
  const lines = area.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  area.scrollTop = (area.scrollHeight / lines.length) * Math.max(number - 3, 0);
}

// --- When the form is drawn anew ---

// What was typed while the answer was on its way stays, and an upload goes on where it was.
const typed = new Map();

document.addEventListener("htmx:beforeSwap", (event) => {
  typed.clear();
  if (event.detail.target !== form()) return;
  for (const area of form().querySelectorAll("input[type=text], textarea")) typed.set(area.id, area.value);
});

document.addEventListener("htmx:afterSwap", () => {
  for (const area of form()?.querySelectorAll("[data-typed]") ?? []) {
    const value = typed.get(area.id);
    if (value !== undefined && value !== area.value) {
      area.value = value;
      setTimeout(changed);
    }
  }
  typed.clear();
  if (queue.length) show();
});
