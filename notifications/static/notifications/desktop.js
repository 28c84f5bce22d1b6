// Messages of the system, such as "done", from a page in the background. The permission is asked for by a button.
//
//   data-asks-desktop    a button that turns the messages on; with data-off it also turns them off again
//   data-desktop-state   a paragraph for the state; data-granted, data-denied, data-missing: its texts

const SWITCH = "desktop-messages"; // in localStorage; "off": a person turned them off
const SHOWN = "desktop-shown"; // in localStorage: the keys of messages that were shown, for all tabs
const REMEMBERED = 50;

function isPossible() {
  return "Notification" in window && window.isSecureContext;
}

function isOn() {
  return isPossible() && Notification.permission === "granted" && localStorage.getItem(SWITCH) !== "off";
}

function shownKeys() {
  return JSON.parse(localStorage.getItem(SHOWN) ?? "[]");
}

/** Show a message once per key, however many tabs know of it. */
export function showOnce({ key, title, text, url }) {
  if (!isOn() || shownKeys().includes(key)) return;
  localStorage.setItem(SHOWN, JSON.stringify([...shownKeys(), key].slice(-REMEMBERED)));
  try {
    const message = new Notification(title, { body: text, tag: key });
    message.addEventListener("click", () => {
      window.focus();
      if (location.href !== url) location.assign(url);
      message.close();
    });
  } catch {
    // A browser of a telephone shows messages of service workers only.
  }
}

/** Let messages whose keys begin like this be shown again. */
export function forget(beginning) {
  const keys = shownKeys();
  const others = keys.filter((key) => !key.startsWith(beginning));
  if (others.length !== keys.length) localStorage.setItem(SHOWN, JSON.stringify(others));
}

const button = document.querySelector("[data-asks-desktop]");
if (button) {
  showState();
  button.addEventListener("click", async () => {
    if (isOn()) localStorage.setItem(SWITCH, "off");
    else {
      localStorage.removeItem(SWITCH);
      await Notification.requestPermission();
    }
    showState();
  });
}

function showState() {
  const permission = isPossible() ? Notification.permission : "missing";
  const isSwitch = "off" in button.dataset;
  button.hidden = permission === "missing" || permission === "denied" || (isOn() && !isSwitch);
  if (isSwitch) button.querySelector("[data-text]").textContent = isOn() ? button.dataset.off : button.dataset.on;
  const state = document.querySelector("[data-desktop-state]");
  if (state) state.textContent = permission === "granted" && !isOn() ? "" : (state.dataset[permission] ?? "");
}
