// Uploads of images to the media library: the one uploader of all pages.  Without it, forms send their files themselves.
//
// Files wait in one queue and are sent a few at a time.  It pauses while there is no connection, the server is busy or the session
// has ended, and goes on by itself.  Repeating an upload is safe: the server stores the same bytes once.
//
//   data-uploader         an area with an id that shows the uploads begun in it, and takes files that are dropped on it
//   data-primary          the area for files that are dropped or pasted elsewhere on the page
//   data-fills            the id of a text control: references are added to it, in the order of the files
//   data-offers           the id of a list: each stored image is added to it and selected
//   data-single           the control holds one image
//   [data-picks]          a file input of the area
//
// Events on the document, with `area` (its id) in their detail:
//   uploads:received      files were chosen, dropped or pasted: `pictures`, `others`; cancel it to handle them
//   uploads:begun         files were queued
//   uploads:delivered     references were added to a control or a list
//   uploads:settled       nothing is left to send

import { iconOf, toast } from "../app/app.js";
import { checkSession, isSessionRefusal, parseAnswer, sessionHeaders, sessionProblem } from "../app/session.js";

const ADDRESS = "/api/v1/media/upload";
const PARALLEL = 3;
const LONGEST_PAUSE = 30; // seconds between two attempts, unless the server asks for more
const LONGEST_WISH = 300; // the most that the server can ask for
const MAX_FAILURES = 6; // errors of the server about one file
const STALL_LIMIT = 60000; // milliseconds without progress after which an upload is started again
const ANNOUNCE_PAUSE = 8000; // milliseconds between two announcements to screen readers
const LONGEST_PATH = 500; // characters that the server takes
const SHOWN_STORED = 5;
const SHOWN_REFUSED = 100;
const SHOWN_NAMES = 5;
const PICTURE_NAME = /\.(jpe?g|jfif|png|gif|webp|heic|heif|hif|avif|bmp|tiff?)$/i;
const SYSTEM_FILE = /^(\..*|thumbs\.db|desktop\.ini)$/i;

/** @type {{file: File, name: string, area: string, state: string, ...}[]} in the order in which the files were chosen */
let uploads = []; // state: queued, sending, stored, known, refused
const droppedPaths = new WeakMap(); // of files in folders that were dropped: browsers give none
const skipped = new Map(); // by area: the names of files that are not pictures
let pause = null; // { reason, timer } while nothing is sent
let failureCount = 0; // pauses in a row

const isOpen = (upload) => upload.state === "queued" || upload.state === "sending";
const isArrived = (upload) => upload.state === "stored" || upload.state === "known";
const ofArea = (area) => uploads.filter((upload) => upload.area === area);
const isPicture = (file) => file.type.startsWith("image/") || PICTURE_NAME.test(file.name);

/** Return true while files of the page, or of one area, are queued or under way. */
export function isUploading(area) {
  return uploads.some((upload) => isOpen(upload) && (area === undefined || upload.area === area));
}

/** Queue files for an area.  The counts start again if nothing is left of earlier ones. */
export function addFiles(area, pictures, others = []) {
  if (!isUploading(area)) clear(area);
  const limit = Number(document.querySelector("[data-uploader]")?.dataset.maxBytes ?? Infinity);
  skipped.set(area, [...(skipped.get(area) ?? []), ...others.map((file) => file.name)]);
  for (const file of pictures) {
    const path = file.webkitRelativePath || droppedPaths.get(file) || "";
    const upload = { file, path, name: file.name || "pasted.png", size: file.size, area, state: "queued", failures: 0, progress: 0 };
    if (file.size > limit) refuse(upload, { word: "tooBig" });
    uploads.push(upload);
  }
  if (isUploading(area)) dispatch("begun", area);
  fill();
  deliver(area);
  if (ofArea(area).length) finish(area);
  render();
}

// --- Sending ---

function fill() {
  if (pause || sessionProblem()) return;
  const sending = uploads.filter((upload) => upload.state === "sending").length;
  for (const upload of uploads.filter((each) => each.state === "queued").slice(0, Math.max(PARALLEL - sending, 0))) send(upload);
}

function send(upload) {
  const request = new XMLHttpRequest();
  const body = new FormData();
  body.append("file", upload.file, upload.name);
  if (upload.path) body.append("path", upload.path.slice(-LONGEST_PATH)); // rows of a table may name a file with its folders
  let stall = setTimeout(() => request.abort(), STALL_LIMIT);
  Object.assign(upload, { state: "sending", progress: 0, request });
  request.upload.onprogress = (event) => {
    clearTimeout(stall);
    stall = setTimeout(() => request.abort(), STALL_LIMIT);
    if (event.lengthComputable) upload.progress = event.loaded / event.total;
    render();
  };
  request.onloadend = () => {
    clearTimeout(stall);
    if (upload.request === request) settle(upload, request); // otherwise it was stopped
  };
  request.open("POST", ADDRESS);
  for (const [name, value] of Object.entries({ ...sessionHeaders(), Accept: "application/json" })) request.setRequestHeader(name, value);
  request.send(body);
}

async function settle(upload, request) {
  Object.assign(upload, { request: null, progress: 0 });
  const { status } = request;
  const answer = parseAnswer(request.responseText);
  if (status === 200 || status === 201) {
    failureCount = 0;
    Object.assign(upload, { state: status === 200 ? "known" : "stored", result: answer.data, file: null });
  } else if (isSessionRefusal(status, answer.error)) {
    const state = await checkSession();
    upload.state = "queued"; // the server did nothing
    if (!sessionProblem()) pauseFor(state === "unreachable" ? "offline" : "busy");
  } else if (status === 0 && (await canBeRead(upload.file))) {
    upload.state = "queued";
    pauseFor("offline");
  } else if (status === 0) {
    refuse(upload, { word: "unreadable" });
  } else if (status === 429 || status === 503) {
    upload.state = "queued";
    pauseFor("busy", Number(request.getResponseHeader("Retry-After")));
  } else if (status >= 500 && upload.failures < MAX_FAILURES) {
    upload.failures += 1;
    upload.state = "queued";
    pauseFor("busy");
  } else {
    refuse(upload, { message: answer.errors?.[0]?.message ?? answer.message, word: "failed", mayRepeat: status >= 500 });
  }
  fill();
  deliver(upload.area);
  finish(upload.area);
  render();
}

function refuse(upload, problem) {
  Object.assign(upload, { state: "refused", problem, file: problem.mayRepeat ? upload.file : null });
}

/** A file that was changed or removed since it was chosen fails like a lost connection. */
async function canBeRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Send nothing for some seconds; without a number, longer each time. */
function pauseFor(reason, seconds = 0) {
  if (pause) return; // several requests fail at once
  failureCount += 1;
  const wait = Math.min(seconds || 0, LONGEST_WISH) || Math.min(2 ** (failureCount - 1), LONGEST_PAUSE);
  pause = { reason, timer: setTimeout(goOn, wait * 1000) };
  render();
}

function goOn() {
  clearTimeout(pause?.timer);
  pause = null;
  fill();
  render();
}

addEventListener("online", () => pause?.reason === "offline" && goOn());
document.addEventListener("session:resumed", goOn);
document.addEventListener("session:ended", () => render());

// --- Results ---

/** Hand over finished uploads in the order in which their files were chosen.  They wait for a control that is being redrawn. */
function deliver(area) {
  const region = document.getElementById(area);
  const { fills, offers } = region?.dataset ?? {};
  const control = document.getElementById(fills);
  const list = document.getElementById(offers);
  if (!region || (fills && !control) || (offers && !list)) return;
  const references = [];
  for (const upload of ofArea(area)) {
    if (isOpen(upload)) break;
    if (upload.result && !upload.isDelivered) references.push(upload.result);
    upload.isDelivered = true;
  }
  if (!references.length) return;
  for (const image of references) {
    if (list) offer(list, image, region);
    else if (control) addReference(control, image.reference, "single" in region.dataset);
  }
  dispatch("delivered", area);
}

function addReference(control, reference, isSingle) {
  const lines = control.value.split(/[\n|]/).map((line) => line.trim()).filter(Boolean);
  if (!isSingle && lines.includes(reference)) return;
  control.value = isSingle ? reference : [control.value.trim(), reference].filter(Boolean).join("\n");
}

function offer(list, image, region) {
  let input = [...list.querySelectorAll("input")].find((other) => other.value === image.reference);
  if (!input) {
    const entry = region.querySelector("[data-choice]").content.firstElementChild.cloneNode(true);
    input = entry.querySelector("input");
    input.value = image.reference;
    input.setAttribute("aria-label", image.name);
    entry.querySelector("label").title = image.name;
    entry.querySelector("img").src = image.preview_url;
    list.prepend(entry);
    list.hidden = false;
  }
  input.checked = true;
}

function finish(area) {
  if (!isUploading(area)) dispatch("settled", area, { stored: ofArea(area).filter(isArrived).length });
}

const dispatch = (word, area, more) => document.dispatchEvent(new CustomEvent(`uploads:${word}`, { detail: { area, ...more } }));

function clear(area) {
  const rest = ofArea(area).filter((upload) => isOpen(upload) || (upload.result && !upload.isDelivered));
  uploads = uploads.filter((upload) => upload.area !== area || rest.includes(upload));
  skipped.delete(area);
}

// --- What people see and hear ---

let frame = 0;

function render() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    for (const region of document.querySelectorAll("[data-uploader]")) show(region);
  });
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} MB`;
const withNumbers = (text, numbers) => text.replace(/%\((\w+)\)s/g, (whole, name) => numbers[name] ?? whole);

function show(region) {
  const words = region.dataset;
  const own = ofArea(region.id);
  const names = skipped.get(region.id) ?? [];
  const part = (name) => region.querySelector(`[data-part="${name}"]`);
  const count = (state) => own.filter((upload) => upload.state === state).length;
  const refused = count("refused");
  const arrived = own.filter(isArrived).length;
  part("state").hidden = !own.length && !names.length;

  const counts = own.length ? [withNumbers(words.counts, { done: arrived, all: own.length })] : [];
  if (count("known")) counts.push(withNumbers(words.knownCount, { n: count("known") }));
  if (refused) counts.push(withNumbers(words.refusedCount, { n: refused }));
  part("counts").textContent = counts.join(words.comma);
  part("progress").hidden = !own.length;
  part("progress").max = Math.max(own.length, 1);
  part("progress").value = own.reduce((sum, upload) => sum + (isOpen(upload) ? upload.progress : 1), 0);

  const isActive = own.some(isOpen);
  const reason = isActive ? (words[sessionProblem()] ?? words[pause?.reason] ?? "") : "";
  const more = names.length > SHOWN_NAMES ? words.skippedMany : words.skipped;
  const list = names.slice(0, SHOWN_NAMES).join(words.comma);
  const notes = [reason, names.length ? withNumbers(more, { names: list, n: names.length - SHOWN_NAMES }) : ""].filter(Boolean);
  part("notes").replaceChildren(...notes.map((text) => Object.assign(document.createElement("p"), { textContent: text })));

  part("stop").hidden = !isActive;
  part("again").hidden = isActive || !own.some((upload) => upload.problem?.mayRepeat);
  part("close").hidden = isActive;
  const shown = [
    ...own.filter((upload) => upload.state === "sending"),
    ...own.filter((upload) => upload.state === "refused").slice(0, SHOWN_REFUSED),
    ...own.filter((upload) => isArrived(upload)).slice(-SHOWN_STORED).reverse(),
    ...own.filter((upload) => isArrived(upload) && upload.result.warnings?.length).slice(0, SHOWN_REFUSED),
  ];
  part("lines").replaceChildren(...[...new Set(shown)].map((upload) => lineOf(upload, region)));
  announce(region, [part("counts").textContent, ...notes].join(". "), reason || (isActive ? "" : `${own.length} ${names.length}`));
}

function lineOf(upload, region) {
  const words = region.dataset;
  const line = (upload.line ??= region.querySelector("[data-line]").content.firstElementChild.cloneNode(true));
  const [name, text, progress] = line.children;
  line.dataset.state = upload.state;
  name.textContent = upload.name;
  name.title = upload.path || upload.name;
  const { message, word } = upload.problem ?? {};
  const notes = upload.result?.warnings ?? [];
  text.textContent = upload.state === "refused" ? (message ?? withNumbers(words[word], { size: megabytes(upload.size) })) : [words[upload.state], ...notes].filter(Boolean).join(" ");
  progress.hidden = upload.state !== "sending";
  progress.value = upload.progress;
  progress.setAttribute("aria-label", upload.name);
  return line;
}

const announced = new Map(); // by area: { at, turn }

/** Speak now and then, and whenever the uploads begin to wait, go on or end (`turn`). */
function announce(region, text, turn) {
  const last = announced.get(region.id) ?? { at: 0, turn: null };
  if (turn === last.turn && (turn || Date.now() < last.at + ANNOUNCE_PAUSE)) return;
  announced.set(region.id, { at: Date.now(), turn });
  if (ofArea(region.id).length || skipped.get(region.id)?.length) region.querySelector('[data-part="announcement"]').textContent = text;
}

document.addEventListener("click", (event) => {
  const part = event.target.closest?.("[data-uploader] [data-part]");
  const area = part?.closest("[data-uploader]").id;
  if (part?.dataset.part === "stop") {
    for (const upload of ofArea(area).filter(isOpen)) {
      const { request } = upload;
      upload.request = null;
      request?.abort();
    }
    uploads = uploads.filter((upload) => upload.area !== area || !isOpen(upload));
    deliver(area);
    finish(area);
  } else if (part?.dataset.part === "again") {
    const again = (upload) => upload.area === area && upload.problem?.mayRepeat;
    for (const upload of uploads.filter(again)) Object.assign(upload, { state: "queued", problem: null, failures: 0, isDelivered: false });
    fill();
  } else if (part?.dataset.part === "close") clear(area);
  else return;
  render();
});

// A region that was swapped in shows the uploads of the one before, and takes what has arrived meanwhile.
document.addEventListener("htmx:afterSwap", () => {
  for (const region of document.querySelectorAll("[data-uploader]")) deliver(region.id);
  render();
});

// --- Leaving ---

addEventListener("beforeunload", (event) => {
  if (isUploading()) event.preventDefault();
});

// A form is not sent while images for it are under way: they would be missing.
addEventListener(
  "submit",
  (event) => {
    const region = [...event.target.querySelectorAll("[data-uploader]")].find((each) => isUploading(each.id));
    if (!region) return;
    event.preventDefault();
    event.stopPropagation();
    toast("warning", region.dataset.leaving);
  },
  true,
);

// --- Choosing, dropping and pasting ---

function receive(target, files) {
  const useful = files.filter((file) => !SYSTEM_FILE.test(file.name));
  const region = target?.closest?.("[data-uploader]") ?? document.querySelector("[data-uploader][data-primary]");
  const pictures = useful.filter(isPicture);
  const others = useful.filter((file) => !isPicture(file));
  const detail = { area: region?.id ?? "", pictures, others };
  const isOurs = document.dispatchEvent(new CustomEvent("uploads:received", { detail, cancelable: true }));
  if (isOurs && region && useful.length) addFiles(region.id, pictures, others);
}

document.addEventListener("change", (event) => {
  const input = event.target;
  if (!input.matches?.("[data-picks]")) return;
  event.stopPropagation();
  const files = [...input.files];
  if (files.some((file) => file.webkitRelativePath)) sortByPath(files, (file) => file.webkitRelativePath);
  receive(input, files);
  input.value = "";
});

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

function showVeil(isShown) {
  const region = document.querySelector("[data-uploader][data-primary]");
  let veil = document.querySelector(".drop-veil");
  if (!veil && region) {
    const words = document.createElement("p");
    words.append(iconOf("upload", "icon-large"), region.dataset.drop);
    veil = Object.assign(document.createElement("div"), { className: "drop-veil" });
    veil.setAttribute("aria-hidden", "true");
    veil.append(words);
    document.body.append(veil);
  }
  if (veil) veil.hidden = !isShown;
}

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  showVeil(true);
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) showVeil(false);
});

document.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  showVeil(false);
  receive(event.target, await filesIn(event.dataTransfer));
});

// Cells that were copied in a spreadsheet come with a picture of themselves: in a text field, the text is meant.
document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData ?? {};
  const isText = event.target.matches?.("input, textarea") && types?.includes("text/plain");
  if (!files?.length || isText) return;
  event.preventDefault();
  receive(event.target, [...files]);
});

/** Return all files that were dropped, those in folders included, each folder sorted by name. */
async function filesIn(transfer) {
  const loose = [...transfer.files]; // it is emptied after this event
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return loose;
  const found = [];
  for (const entry of entries) found.push(...(await filesOf(entry)));
  return found;
}

async function filesOf(entry) {
  try {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      droppedPaths.set(file, entry.fullPath.slice(1));
      return [file];
    }
    const reader = entry.createReader();
    const entries = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      entries.push(...some);
    }
    sortByPath(entries, (each) => each.name);
    const found = [];
    for (const each of entries) found.push(...(await filesOf(each)));
    return found;
  } catch {
    return [new File([], entry.name, { type: "unreadable" })]; // counted among the skipped ones
  }
}

function sortByPath(list, pathOf) {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  list.sort((one, other) => compare(pathOf(one), pathOf(other)));
}
