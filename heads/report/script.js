"use strict";

/* Sorting: a click on a heading sorts by it, numbers from high to low first; empty cells always stay last. */
function sortRows(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const column = heading.cellIndex;
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const descending = before === "none" ? numeric : before === "ascending";
  for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const direction = descending ? -1 : 1;
  const keyed = Array.from(body.rows, (row) => ({ row, value: row.cells[column].dataset.value }));
  keyed.sort((one, other) => {
    if (one.value === "" || other.value === "") return (one.value === "") - (other.value === "");
    const order = numeric ? Number(one.value) - Number(other.value) : one.value.localeCompare(other.value);
    return direction * order;
  });
  body.append(...keyed.map(({ row }) => row));
}

/* Filtering: a row stays if it holds every word that was typed, and what was chosen. */
function filterRows(key) {
  const table = document.getElementById(key);
  const words = (table.querySelector("input[data-filter]")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const select = table.querySelector("select[data-chooses]");
  const rows = table.querySelectorAll("tbody tr");
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const chosen = !select?.value || row.cells[select.dataset.column].textContent === select.value;
    row.hidden = !chosen || !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  const note = document.querySelector(`[data-count="${key}"]`);
  note.textContent = words.length || select?.value ? `${shown} of ${rows.length} rows` : "";
  markMore(table.querySelector(".scroll"));
}

/* What scrolls sideways fades out where there is more of it. */
function markMore(region) {
  region.classList.toggle("more", region.scrollWidth - region.clientWidth - region.scrollLeft > 4);
}

for (const region of document.querySelectorAll(".scroll, figure")) {
  region.addEventListener("scroll", () => markMore(region), { passive: true });
  new ResizeObserver(() => markMore(region)).observe(region);
  markMore(region);
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sortRows(button.closest("th")));
}
for (const input of document.querySelectorAll("input[data-filter]")) {
  input.addEventListener("input", () => filterRows(input.dataset.filter));
}
for (const select of document.querySelectorAll("select[data-chooses]")) {
  select.addEventListener("change", () => filterRows(select.dataset.chooses));
  filterRows(select.dataset.chooses);
}
