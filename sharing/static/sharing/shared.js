// The number of starred results follows the stars.

const count = document.getElementById("pick-count");

document.addEventListener("gallery:starred", ({ detail: change }) => {
  count.textContent = Number(count.textContent) + change;
});
