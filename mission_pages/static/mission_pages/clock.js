// Clocks that go on between two refreshes of a page.
//
//   data-clock     the seconds that have elapsed when the element appeared
//   data-formats   how the server writes seconds, minutes, hours and days: "%(n)s s|%(minutes)d min %(seconds)d s|…"

const starts = new WeakMap(); // by element: the moment, in milliseconds of this page, at which it began

function tick() {
  for (const clock of document.querySelectorAll("[data-clock]")) {
    if (!starts.has(clock)) starts.set(clock, performance.now() - Number(clock.dataset.clock) * 1000);
    clock.textContent = format(Math.floor((performance.now() - starts.get(clock)) / 1000), clock.dataset.formats.split("|"));
  }
}

function format(n, formats) {
  const [days, hours, minutes, seconds] = [Math.floor(n / 86400), Math.floor(n / 3600) % 24, Math.floor(n / 60) % 60, n % 60];
  const [short, inMinutes, inHours, inDays] = formats;
  const pattern = days ? inDays : hours ? inHours : minutes ? inMinutes : short;
  const values = { n, days, hours, minutes, seconds };
  return pattern.replaceAll(/%\((\w+)\)[sd]/g, (_whole, name) => values[name]);
}

setInterval(tick, 1000);
