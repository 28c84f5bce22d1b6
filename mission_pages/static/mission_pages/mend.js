// Prompts of failed items, corrected one after another: Ctrl+Enter saves one and goes to the next. Saving sends nothing.

import { toast } from "../app/app.js";
import { csrfToken, sessionFetch } from "../app/session.js";

const form = document.getElementById("mend");
const retry = document.getElementById("retry-edited");
const fields = () => [...form.querySelectorAll("textarea")];
const stateOf = (field) => field.closest(".mend-row").querySelector("[data-state]");

form?.addEventListener("input", ({ target }) => {
  if (target.matches("textarea")) stateOf(target).textContent = target.value === target.defaultValue ? "" : form.dataset.unsaved;
});

form?.addEventListener("keydown", async (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.matches("textarea")) return;
  event.preventDefault();
  const field = event.target;
  const all = fields();
  const next = all[all.indexOf(field) + 1] ?? form.querySelector("button[value=save]");
  if (!(await save(field))) return;
  next.focus();
  next.select?.();
});

/** Save one prompt; return false if it was refused. */
async function save(field) {
  if (field.value === field.defaultValue) return true;
  const body = new FormData();
  body.set("csrfmiddlewaretoken", csrfToken());
  body.set("action", "save");
  body.set("error_code", form.elements.error_code.value);
  body.set(field.name, field.value);
  const text = field.value;
  try {
    const response = await sessionFetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const answer = await response.json();
    if (answer.kind !== "success") {
      toast(answer.kind, answer.text);
      return false;
    }
    field.defaultValue = text;
    stateOf(field).textContent = form.dataset.saved;
    retry.hidden = !answer.edited;
    retry.elements.at_most.value = answer.edited;
    retry.querySelector("[data-label]").textContent = answer.label;
    return true;
  } catch {
    toast("error", document.body.dataset.unsent);
    return false;
  }
}

// What was typed and not saved is not lost by leaving the page.
addEventListener("beforeunload", (event) => {
  if (form && !("sent" in form.dataset) && fields().some((field) => field.value !== field.defaultValue)) event.preventDefault();
});
