// The session of an open page: its person, its CSRF token, and what happens when somebody signs out or in elsewhere.
//
// Each sign-in changes the CSRF token, so scripts read it from its cookie when they send something.  They also name the person
// that the page was rendered for; the server refuses the request if nobody or somebody else is signed in (accounts/middleware.py).
// Events on the document: session:ended, and session:resumed when the person is signed in again.

const CHECK_PAUSE = 4000; // milliseconds between two checks while the session has ended
const CHECK_LIMIT = 10000; // milliseconds for one check

const body = document.body;
const person = body.dataset.person; // "" on pages that anybody may see
export const isPersonal = person !== "";
let problem = ""; // "signedOut", "otherPerson", or "" while all is well
let timer = 0;

/** Return a CSRF token that is valid now, for a form field or the header X-CSRFToken. */
export function csrfToken() {
  const cookie = document.cookie.split("; ").find((entry) => entry.startsWith("csrftoken="));
  return cookie ? cookie.slice("csrftoken=".length) : JSON.parse(body.getAttribute("hx-headers"))["X-CSRFToken"];
}

/** Return the headers of every request of a script to this site. */
export function sessionHeaders() {
  return { "X-CSRFToken": csrfToken(), ...(isPersonal ? { "X-Signed-In-As": person } : {}) };
}

/** Return why requests of this page are refused: "signedOut", "otherPerson", or "" while they are not. */
export const sessionProblem = () => problem;

/**
 * Return true if a response was refused because of the session.  `error` is the API's word.
 * The server did nothing for such a request, so it may be sent again after session:resumed.
 */
export function isSessionRefusal(status, error) {
  return status === 401 || error === "other_person" || error === "csrf_failed";
}

/** Return the API's answer in a response's text; an empty one for a page of the server or of a proxy. */
export function parseAnswer(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/**
 * Send a request and return its response.  Throw without a connection or for a refusal, and check the session if that is the reason.
 * The error of a refusal has its `answer`, perhaps with a `message` for people.
 */
export async function sessionFetch(url, { headers, ...options } = {}) {
  const response = await fetch(url, { ...options, headers: { ...sessionHeaders(), ...headers } });
  if (response.ok) return response;
  const answer = parseAnswer(await response.text());
  if (isSessionRefusal(response.status, answer.error)) checkSession();
  throw Object.assign(new Error(`${response.status}`), { answer });
}

/**
 * Ask who is signed in and give all forms a valid CSRF token.  Return "ok", "signedOut", "otherPerson" or "unreachable".
 * A notice stays on the page until the person is signed in again.
 */
export async function checkSession() {
  let session;
  try {
    const response = await fetch(body.dataset.session, { cache: "no-store", signal: AbortSignal.timeout(CHECK_LIMIT) });
    if (!response.ok) throw new Error(`${response.status}`);
    session = await response.json();
  } catch {
    return "unreachable";
  }
  if (isPersonal && !session.person) return end("signedOut", body.dataset.signedOut);
  if (isPersonal && session.person !== person) return end("otherPerson", body.dataset.otherPerson.replace("%(name)s", session.name));
  fillTokens(session.csrf_token);
  if (problem) resume();
  return "ok";
}

/** Give all forms of the page a CSRF token. */
export function fillTokens(token) {
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
}

function end(kind, text) {
  clearTimeout(timer);
  timer = setTimeout(checkAgain, CHECK_PAUSE);
  if (problem !== kind) {
    problem = kind;
    document.getElementById("session-notice")?.remove();
    const notice = document.getElementById("session-notice-template").content.firstElementChild.cloneNode(true);
    notice.querySelector("p").textContent = text;
    document.getElementById("messages").append(notice);
    document.dispatchEvent(new CustomEvent("session:ended"));
  }
  return kind;
}

function resume() {
  clearTimeout(timer);
  problem = "";
  document.getElementById("session-notice").remove();
  document.dispatchEvent(new CustomEvent("session:resumed"));
}

async function checkAgain() {
  if (!problem || document.hidden) return;
  if ((await checkSession()) !== "unreachable") return;
  clearTimeout(timer);
  timer = setTimeout(checkAgain, CHECK_PAUSE);
}

document.addEventListener("visibilitychange", checkAgain);
addEventListener("focus", checkAgain);

document.addEventListener("htmx:configRequest", (event) => {
  const { headers, formData } = event.detail;
  Object.assign(headers, sessionHeaders());
  if (formData.has("csrfmiddlewaretoken")) formData.set("csrfmiddlewaretoken", csrfToken()); // Django prefers it to the header
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-reloads]")) location.reload();
});
