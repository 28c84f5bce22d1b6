// The number of favourites follows the stars.

const count = document.getElementById("pick-count");
const marked = new Map(); // by item, what this page showed last
const stars = () => document.querySelectorAll("#gallery .tile-star");

function remember() {
  for (const star of stars()) marked.set(star.value, star.getAttribute("aria-pressed") === "true");
}

document.addEventListener("gallery:added", remember);
document.addEventListener("gallery:starred", () => {
  let change = 0;
  for (const star of stars()) {
    const isOn = star.getAttribute("aria-pressed") === "true";
    if (isOn !== marked.get(star.value)) change += isOn ? 1 : -1;
    marked.set(star.value, isOn);
  }
  count.textContent = Number(count.textContent) + change;
});
remember();
