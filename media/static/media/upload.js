// Uploading to the media library: many files, a few at a time, each with its own progress and its own error.
// Without this script the form sends them all at once.

import { csrfToken } from "../app/session.js";

const AT_ONCE = 3;
const SHOWN_DONE = 20; // lines of finished files that stay; those of failed ones all do
const LONGEST_WAIT = 30;

const uploader = document.getElementById("uploader");
const words = uploader.dataset;
const lines = document.getElementById("uploads");
const part = (name) => document.getElementById(`upload-${name}`);

let queue = [];
let failed = [];
let running = new Map(); // upload → its request
let done = 0;
let total = 0;
let isWaiting = false;

function add(files) {
  for (const file of files) {
    total += 1;
    const problem = problemOf(file);
    const upload = { file, tries: 0, line: null };
    if (problem) fail(upload, problem, false);
    else queue.push(upload);
  }
  part("state").hidden = false;
  show();
  fill();
}

/** What can be told without sending it. */
function problemOf(file) {
  if (file.size > Number(words.maxBytes)) return words.tooBig;
  if (file.type && !words.accepted.split(",").includes(file.type)) return words.wrongKind;
  return "";
}

function fill() {
  while (running.size < AT_ONCE && queue.length && !isWaiting) send(queue.shift());
  if (!running.size && !queue.length) finish();
}

function send(upload) {
  upload.line ??= draw(upload.file.name);
  upload.tries += 1;
  const request = new XMLHttpRequest();
  const body = new FormData();
  body.append("file", upload.file, upload.file.name);
  running.set(upload, request);
  request.upload.onprogress = (event) => {
    if (event.lengthComputable) upload.line.querySelector("progress").value = event.loaded / event.total;
  };
  request.onload = () => settle(upload, request);
  request.onerror = () => waitAndRepeat(upload, 2 ** upload.tries);
  request.open("POST", words.address);
  request.setRequestHeader("X-CSRFToken", csrfToken());
  request.setRequestHeader("Accept", "application/json");
  request.send(body);
}

function settle(upload, request) {
  const answer = parse(request.responseText);
  if (request.status === 200 || request.status === 201) {
    running.delete(upload);
    done += 1;
    say(upload, "done", request.status === 200 ? words.known : words.done);
    forgetOldLines();
  } else if (request.status === 429 || request.status === 503) {
    waitAndRepeat(upload, Number(request.getResponseHeader("Retry-After")) || 5);
    return;
  } else {
    running.delete(upload);
    fail(upload, answer.errors?.[0]?.message ?? answer.message ?? document.body.dataset.failed, request.status >= 500);
  }
  show();
  fill();
}

/** The server is busy or the connection is lost: nobody has to do anything, it goes on later. */
function waitAndRepeat(upload, seconds) {
  running.delete(upload);
  queue.unshift(upload);
  isWaiting = true;
  show();
  const goOn = () => {
    clearTimeout(timer);
    removeEventListener("online", goOn);
    isWaiting = false;
    show();
    fill();
  };
  const timer = setTimeout(goOn, Math.min(seconds, LONGEST_WAIT) * 1000);
  addEventListener("online", goOn);
}

function fail(upload, message, mayHelpAgain) {
  upload.line ??= draw(upload.file.name);
  failed.push({ upload, mayHelpAgain });
  say(upload, "failed", message);
}

function draw(name) {
  const line = document.getElementById("upload-line").content.firstElementChild.cloneNode(true);
  const shown = line.querySelector(".upload-name");
  shown.textContent = name;
  shown.title = name;
  line.querySelector("progress").setAttribute("aria-label", name);
  lines.prepend(line);
  return line;
}

function say(upload, state, message) {
  upload.line.dataset.state = state;
  upload.line.querySelector(".upload-word").textContent = message;
  upload.line.querySelector("progress").value = 1;
}

function forgetOldLines() {
  for (const line of [...lines.querySelectorAll('[data-state="done"]')].slice(SHOWN_DONE)) line.remove();
}

function show() {
  const counts = [words.counts.replace("%(done)s", done).replace("%(total)s", total)];
  if (failed.length) counts.push(words.failures.replace("%(count)s", failed.length));
  if (isWaiting) counts.push(words.waiting);
  part("counts").textContent = counts.join(" · ");
  part("progress").max = total;
  part("progress").value = done + failed.length;
  part("stop").hidden = !(running.size || queue.length);
}

function finish() {
  part("again").hidden = !failed.some((failure) => failure.mayHelpAgain);
  part("close").hidden = false;
  show();
  if (done) refresh();
}

/** Show what is new in the grid, wherever in it the person is. */
function refresh() {
  window.htmx.ajax("GET", location.href, { target: "#library", select: "#library", swap: "outerHTML" });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

part("again").addEventListener("click", () => {
  const again = failed.filter((failure) => failure.mayHelpAgain);
  failed = failed.filter((failure) => !failure.mayHelpAgain);
  for (const { upload } of again) {
    upload.line.remove();
    upload.line = null;
    queue.push(upload);
  }
  part("again").hidden = true;
  show();
  fill();
});

part("stop").addEventListener("click", () => {
  total -= queue.length + running.size;
  queue = [];
  for (const [upload, request] of running) {
    request.abort();
    upload.line.remove();
  }
  running = new Map();
  finish();
});

part("close").addEventListener("click", () => {
  lines.replaceChildren();
  failed = [];
  done = 0;
  total = 0;
  part("state").hidden = true;
});

document.getElementById("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});

// --- Dropping and pasting, anywhere on the page ---

const veil = document.getElementById("drop-veil");
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  veil.hidden = false;
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) veil.hidden = true;
});

document.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  veil.hidden = true;
  add(await filesIn(event.dataTransfer));
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
});

/** All files that were dropped, those in folders included. */
async function filesIn(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...dropped.files];
  const found = await Promise.all(entries.map(filesOf));
  return found.flat().filter((file) => !file.name.startsWith("."));
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(filesOf))).flat();
}

addEventListener("beforeunload", (event) => {
  if (running.size || queue.length) event.preventDefault();
});
