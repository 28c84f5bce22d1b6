// The new-mission page: previews, tables that are dropped, images of the library, and jumps to lines with problems.
// The server decides everything; this script only fills in a form that also works without it.  uploader.js uploads images.

import { openDialog, toast } from "../app/app.js";
import { isSessionRefusal, parseAnswer } from "../app/session.js";
import { addFiles, isUploading } from "../media/uploader.js";

const RETRY_PAUSE = 4000; // milliseconds before a failed request is repeated
const PREVIEW_PAUSE = 5000; // milliseconds between two previews during uploads

const form = () => document.getElementById("mission-form");

let isPreviewDue = false; // requested, but not sent: a redraw of the form under way takes its sender away

/** Request a new preview now; that also saves the draft. */
function requestPreview() {
  isPreviewDue = true;
  noteChange();
  document.getElementById("previewer")?.dispatchEvent(new CustomEvent("changed"));
}

// --- Previews ---

// The first two send a request of their own; the others change nothing that the preview counts.
document.addEventListener(
  "input",
  (event) => {
    const { target } = event;
    if (target.matches?.("[data-redraws], [data-quiet]")) event.stopPropagation();
    else countLines(target);
    if (form()?.contains(target) && !target.matches("[data-quiet], #id_name, #id_description")) noteChange();
  },
  true,
);

// The server refuses to submit what the preview does not show; and the preview shows no figures of what has changed since.
let changes = 0;
let counted = 0; // the changes that the last request knows

function noteChange() {
  changes += 1;
  showCounting();
}

document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
  if (!form()?.contains(elt)) return;
  counted = changes;
  if (elt.id !== "previewer") showCounting(); // a button that changes the form
});

function showCounting() {
  const preview = document.getElementById("preview");
  if (!preview || "old" in preview.dataset) return;
  preview.dataset.old = "";
  for (const figure of preview.querySelectorAll(".preview-figures dd")) figure.textContent = "…";
  const button = document.getElementById("submit-mission");
  if (button) button.disabled = true;
  const text = preview.querySelector(".button-wide");
  if (text) text.textContent = form().dataset.counting;
}

function countLines(area) {
  const counter = document.querySelector(`[data-lines="${area.id}"]`);
  if (!counter) return;
  const n = area.value.split(/\r\n|\r|\n/).filter((line) => line.trim()).length;
  counter.textContent = n === 1 ? counter.dataset.one : counter.dataset.many.replace("%n", n.toLocaleString("en"));
}

// A text of megabytes is posted only when it has changed; otherwise the draft has it.
const LONG_FIELDS = ["prompts", "image_prompts"];
let postedTexts = {};

document.addEventListener("htmx:configRequest", (event) => {
  const { formData, parameters, elt } = event.detail;
  if (elt.id !== "previewer") return;
  isPreviewDue = false;
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
    else showUnsaved(event.detail.xhr);
  } else if (form()?.contains(elt)) {
    postedTexts = {};
    if (!successful) setTimeout(previewIfOld, RETRY_PAUSE);
  }
});

function previewIfOld() {
  if (document.querySelector("#preview[data-old]")) requestPreview();
}

function showUnsaved(xhr) {
  postedTexts = {};
  const status = document.querySelector(".preview-saved");
  const isSession = isSessionRefusal(xhr.status, parseAnswer(xhr.responseText).error);
  if (status) status.textContent = isSession ? status.dataset.signedOut : status.dataset.unsaved;
  if (!isSession) setTimeout(requestPreview, RETRY_PAUSE);
}

document.addEventListener("session:resumed", requestPreview);

// --- Images, and tables that are dropped ---

const SHOWN_NAMES = 5;
const SHEET = /\.(xlsx|xlsm|xls|ods|csv|tsv|jsonl|ndjson)$/i;
let previewedAt = 0;

/** A table goes into the import, pictures beside it into the library, where its rows find them by name. */
document.addEventListener("uploads:received", (event) => {
  const { pictures, others, area } = event.detail;
  const isText = (file) => file.name.toLowerCase().endsWith(".txt") && others.length === 1 && !pictures.length; // not captions
  const sheets = others.filter((file) => SHEET.test(file.name) || isText(file));
  const rest = others.filter((file) => !sheets.includes(file));
  const imageSource = document.getElementById("id_source_images"); // absent for types without images
  if (!sheets.length && area) return;
  event.preventDefault();
  if (sheets.length) importFile(sheets[0]);
  if (sheets.length > 1) warn("oneSheet", sheets.slice(1));
  if (!pictures.length && rest.length) warn("unusable", rest);
  if (!pictures.length) return;
  if (!imageSource) warn("noImages", pictures);
  else if (sheets.length) addFiles("photo-uploader", pictures, rest);
  else {
    imageSource.click(); // the redrawn form takes what has arrived
    addFiles("image-uploader", pictures, rest);
  }
});

function warn(word, files) {
  const { comma, andMore, ...words } = form().dataset;
  const names = files.slice(0, SHOWN_NAMES).map((file) => file.name).join(comma);
  const more = files.length > SHOWN_NAMES ? andMore.replace("%(n)s", files.length - SHOWN_NAMES) : "";
  toast("warning", words[word].replace("%(names)s", names + more));
}

function importFile(file) {
  const source = form();
  window.htmx.ajax("POST", source.getAttribute("action"), { source, target: source, swap: "outerHTML", values: { action: "import", file } });
}

document.addEventListener("uploads:begun", disableSubmit);

document.addEventListener("uploads:delivered", () => {
  if (Date.now() < previewedAt + PREVIEW_PAUSE) return;
  previewedAt = Date.now();
  requestPreview();
});

document.addEventListener("uploads:settled", requestPreview);

/** Block the submit button while images upload. The preview after the last one brings a new button. */
function disableSubmit() {
  const button = document.getElementById("submit-mission");
  if (button && isUploading()) Object.assign(button, { disabled: true, title: form().dataset.uploading });
}

// --- A prompt under each image: the same texts as the lines below, one field for each ---

const promptFields = () => document.querySelectorAll("#tiles [data-prompt-of]");

/** Keep the lines and the fields in step; what is being typed is left alone. */
function syncPrompts(source) {
  const lines = document.getElementById("id_image_prompts");
  if (!lines) return;
  const texts = lines.value.split("\n");
  if (source.dataset?.promptOf) {
    const number = Number(source.dataset.promptOf);
    while (texts.length < number) texts.push("");
    texts[number - 1] = source.value.replace(/\s*\n\s*/g, " ");
    lines.value = texts.join("\n");
  }
  for (const field of promptFields()) {
    const text = texts[field.dataset.promptOf - 1] ?? "";
    if (field !== source && field.value !== text) field.value = text;
  }
}

document.addEventListener("input", (event) => {
  if (event.target.id === "id_image_prompts" || event.target.dataset?.promptOf) syncPrompts(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing || !event.target.dataset?.promptOf) return;
  event.preventDefault(); // a prompt is one line: go on with the next image
  const fields = [...promptFields()];
  fields[fields.indexOf(event.target) + 1]?.focus();
});

// A preview brings the tiles again. They stay while their images do, so that a field keeps its cursor.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (target?.id !== "tiles" || !target.querySelector("[data-prompt-of]")) return;
  if (fragment.querySelector("#tiles")?.dataset.key === target.dataset.key) event.detail.shouldSwap = false;
});

// Ctrl+Enter presses the button with the price. While that is counted again, the button is disabled and nothing happens.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || event.repeat) return;
  if (!form()?.contains(event.target) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const button = document.getElementById("submit-mission");
  if (button) button.click();
  else document.querySelector("#preview .notice")?.scrollIntoView({ block: "center" }); // the problems that keep it away
});

// --- Library, lines with problems, folded panels ---

const selected = new Set(); // references of the library's images

document.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-opens-library], [data-adds-selected], [data-goes-to-line], [data-goes-to-prompt], [data-toggles]");
  if (!target) return;
  if ("opensLibrary" in target.dataset) {
    selected.clear();
    openDialog("library-dialog");
    document.getElementById("library-choice").dispatchEvent(new CustomEvent("opened"));
  } else if ("addsSelected" in target.dataset) {
    const area = document.getElementById("id_images");
    area.value = [area.value.trim(), ...selected].filter(Boolean).join("\n");
    target.closest("dialog").close();
    requestPreview();
  } else if ("goesToLine" in target.dataset) {
    goToLine(document.getElementById(target.dataset.goesIn), Number(target.dataset.goesToLine));
  } else if ("goesToPrompt" in target.dataset) {
    const number = Number(target.dataset.goesToPrompt);
    const field = document.querySelector(`#tiles [data-prompt-of="${number}"]`);
    if (field) field.focus();
    else goToLine(document.getElementById("id_image_prompts"), number); // beyond the images that are shown
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
  const name = document.getElementById("id_name");
  if (name) name.placeholder = document.getElementById("preview").dataset.defaultName;
  for (const area of form()?.querySelectorAll("[data-typed]") ?? []) {
    const text = typedTexts.get(area.id);
    if (text !== undefined && text !== area.value) {
      area.value = text;
      isPreviewDue = true;
    }
  }
  if (changes !== counted) {
    showCounting();
    isPreviewDue = true;
  }
  typedTexts.clear();
  disableSubmit();
});

document.addEventListener("htmx:afterSettle", () => {
  if (isPreviewDue) requestPreview(); // only now does the new form answer events
});
