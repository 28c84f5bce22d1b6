// The new-mission page: uploads of many images, drag and drop, paste, the library, and jumps to lines with problems.
// The server decides everything; this script only fills in a form that also works without it.

import { api, openDialog } from "../app/app.js";

const PARALLEL_UPLOADS = 4;
const RETRY_PAUSE = 4000; // milliseconds before a failed request is repeated
const PREVIEW_PAUSE = 5000; // milliseconds between two previews during uploads
const PLACEHOLDER = /%n|%done|%all/g;

const form = () => document.getElementById("mission-form");
const fillIn = (text, numbers) => text.replace(PLACEHOLDER, (name) => numbers[name.slice(1)].toLocaleString("en"));

/** Request a new preview now; that also saves the draft. */
function requestPreview() {
  document.getElementById("previewer")?.dispatchEvent(new CustomEvent("changed"));
}

// --- Previews ---

// These controls send a request of their own.
document.addEventListener(
  "input",
  (event) => {
    if (event.target.matches?.("[data-redraws], [data-quiet]")) event.stopPropagation();
    else countLines(event.target);
  },
  true,
);

function countLines(area) {
  const counter = document.querySelector(`[data-lines="${area.id}"]`);
  if (!counter) return;
  const n = area.value.split(/\r\n|\r|\n/).filter((line) => line.trim()).length;
  counter.textContent = n === 1 ? counter.dataset.one : fillIn(counter.dataset.many, { n });
}

// A text of megabytes is posted only when it has changed; otherwise the draft has it.
const LONG_FIELDS = ["prompts", "image_prompts"];
let postedTexts = {};

document.addEventListener("htmx:configRequest", (event) => {
  const { formData, parameters, elt } = event.detail;
  if (elt.id !== "previewer") return;
  const data = formData ?? parameters;
  elt.pendingTexts = {};
  for (const name of LONG_FIELDS) {
    const value = data.get(name);
    if (value === null) continue;
    if (postedTexts[name] === value) data.delete(name);
    else elt.pendingTexts[name] = value;
  }
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, successful } = event.detail;
  if (elt.id === "previewer") {
    if (successful) postedTexts = { ...postedTexts, ...elt.pendingTexts };
    else showUnsaved(event.detail.xhr.status);
  } else if (form()?.contains(elt)) postedTexts = {};
});

function showUnsaved(httpStatus) {
  postedTexts = {};
  const status = document.querySelector(".preview-saved");
  const isSession = httpStatus === 401 || httpStatus === 409;
  if (status) status.textContent = isSession ? status.dataset.signedOut : status.dataset.unsaved;
  if (!isSession) setTimeout(requestPreview, RETRY_PAUSE);
}

document.addEventListener("session:resumed", requestPreview);

// --- Images ---

const queue = []; // uploads in the order in which the files were chosen
let workerCount = 0;
let doneCount = 0;
let duplicateCount = 0;
let previewedAt = 0;

const isOver = (upload) => upload.state === "done" || upload.state === "failed";
const nextUpload = () => queue.find((upload) => upload.state === "waiting");

function addFiles(files) {
  if (!files.length) return;
  if (!queue.length) [doneCount, duplicateCount] = [0, 0];
  queue.push(...[...files].map((file) => ({ file, state: "waiting", reference: "" })));
  while (workerCount < PARALLEL_UPLOADS && nextUpload()) runUploads();
  showProgress();
}

async function runUploads() {
  workerCount += 1;
  for (let upload = nextUpload(); upload; upload = nextUpload()) {
    upload.state = "sending";
    await send(upload);
    listUploads();
    showProgress();
    if (Date.now() > previewedAt + PREVIEW_PAUSE) {
      previewedAt = Date.now();
      requestPreview();
    }
  }
  workerCount -= 1;
  if (workerCount) return;
  listUploads();
  showProgress();
  requestPreview();
}

async function send(upload) {
  const body = new FormData();
  body.append("file", upload.file, upload.file.name || "pasted.png");
  for (;;) {
    try {
      upload.reference = (await api("POST", "/api/v1/media/upload", body)).reference;
      upload.state = "done";
      return;
    } catch (error) {
      if (error.status === 429 || error.status === 503) {
        await new Promise((resume) => setTimeout(resume, RETRY_PAUSE));
        continue;
      }
      upload.state = "failed";
      showError(upload, error.errors?.[0]?.message ?? error.message);
      return;
    }
  }
}

/** Append the finished uploads to the list of images, in the order in which they were chosen. */
function listUploads() {
  const area = document.getElementById("id_images");
  if (!area) return;
  const names = new Set(area.value.split(/[\n|]/).map((name) => name.trim()));
  const lines = [];
  while (queue.length && isOver(queue[0])) {
    const { reference } = queue.shift();
    doneCount += 1;
    if (!reference) continue;
    if (names.has(reference)) duplicateCount += 1;
    else lines.push(reference);
    names.add(reference);
  }
  appendLines(area, lines);
}

function appendLines(area, lines) {
  if (lines.length) area.value = [area.value.trim(), ...lines].filter(Boolean).join("\n");
}

function showProgress() {
  const zone = document.querySelector("[data-dropzone]");
  const progress = zone?.querySelector("[data-progress]");
  if (!progress) return;
  const done = doneCount + queue.filter(isOver).length;
  const all = doneCount + queue.length;
  progress.hidden = !all;
  disableSubmit(zone.dataset.leaving);
  progress.querySelector("progress").value = all ? done / all : 0;
  progress.querySelector("p").textContent = [
    fillIn(zone.dataset.uploading, { done, all }),
    duplicateCount ? fillIn(zone.dataset.duplicates, { n: duplicateCount }) : "",
  ].filter(Boolean).join(" · ");
}

/** Block the submit button while images upload. The preview after the last one brings a new button. */
function disableSubmit(reason) {
  const button = document.getElementById("submit-mission");
  if (button && queue.length) Object.assign(button, { disabled: true, title: reason });
}

function showError(upload, message) {
  const list = document.querySelector("[data-upload-errors]");
  if (!list) return;
  const line = document.createElement("li");
  const name = Object.assign(document.createElement("strong"), { textContent: upload.file.name });
  const text = Object.assign(document.createElement("span"), { textContent: message });
  const retry = Object.assign(document.createElement("button"), { type: "button", className: "link-button" });
  retry.textContent = document.querySelector("[data-dropzone]").dataset.retry;
  retry.addEventListener("click", () => {
    line.remove();
    addFiles([upload.file]);
  });
  line.append(name, text, retry);
  list.append(line);
}

document.addEventListener("change", (event) => {
  if (event.target.id !== "id_image_files") return;
  addFiles(event.target.files);
  event.target.value = "";
});

/** Return the drop zone if the event carries files and the page has one. */
function dropzoneFor(event) {
  return event.dataTransfer?.types.includes("Files") ? document.querySelector("[data-dropzone]") : null;
}

document.addEventListener("dragover", (event) => {
  const zone = dropzoneFor(event);
  if (!zone) return;
  event.preventDefault();
  zone.dataset.over = "";
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete document.querySelector("[data-dropzone]")?.dataset.over;
});

document.addEventListener("drop", (event) => {
  const zone = dropzoneFor(event);
  if (!zone) return;
  event.preventDefault();
  delete zone.dataset.over;
  addFiles(event.dataTransfer.files);
});

document.addEventListener("paste", (event) => {
  if (!document.querySelector("[data-dropzone]") || !event.clipboardData?.files.length) return;
  event.preventDefault();
  addFiles(event.clipboardData.files);
});

addEventListener("beforeunload", (event) => {
  if (queue.length) event.preventDefault();
});

// --- Library, lines with problems, folded panels ---

const selected = new Set(); // references of the library's images

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-opens-library], [data-adds-selected], [data-goes-to-line], [data-toggles]");
  if (!target) return;
  if ("opensLibrary" in target.dataset) {
    selected.clear();
    openDialog("library-dialog");
    document.getElementById("library-choice").dispatchEvent(new CustomEvent("opened"));
  } else if ("addsSelected" in target.dataset) {
    appendLines(document.getElementById("id_images"), [...selected]);
    target.closest("dialog").close();
    requestPreview();
  } else if ("goesToLine" in target.dataset) {
    goToLine(document.getElementById(target.dataset.goesIn), Number(target.dataset.goesToLine));
  } else {
    togglePanel(target);
  }
});

document.addEventListener("change", (event) => {
  if (!("selects" in event.target.dataset)) return;
  if (event.target.checked) selected.add(event.target.value);
  else selected.delete(event.target.value);
});

function togglePanel(button) {
  const panel = document.getElementById(button.dataset.toggles);
  const isOpen = panel.toggleAttribute("data-folded") === false;
  button.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) panel.querySelector("input")?.focus();
}

/** Select a line of a text area and scroll to it. */
function goToLine(area, number) {
  if (!area) return;
  const lines = area.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  area.scrollTop = (area.scrollHeight / lines.length) * Math.max(number - 3, 0);
}

// --- Redraws of the form ---

// Text that was typed while the request was under way stays, and so does the progress of uploads.
const typedTexts = new Map();

document.addEventListener("htmx:beforeSwap", (event) => {
  typedTexts.clear();
  if (event.detail.target !== form()) return;
  for (const area of form().querySelectorAll("input[type=text], textarea")) typedTexts.set(area.id, area.value);
});

document.addEventListener("htmx:afterSwap", () => {
  for (const area of form()?.querySelectorAll("[data-typed]") ?? []) {
    const text = typedTexts.get(area.id);
    if (text !== undefined && text !== area.value) {
      area.value = text;
      setTimeout(requestPreview);
    }
  }
  typedTexts.clear();
  if (queue.length) showProgress();
});
