// A table that is wider than its place says so.
const tell = () => {
  for (const box of document.querySelectorAll(".wrap")) {
    box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
  }
};
addEventListener("load", tell);
addEventListener("resize", tell);
// Tables sort by a click, or Enter or Space, on a column's head. Without this script they are plain tables.
for (const table of document.querySelectorAll("table")) {
  if (!table.tHead) continue;
  const body = table.tBodies[0];
  const key = (row, i) => {
    const cell = row.cells[i];
    const text = cell.textContent.trim();
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    if (text === "" || text === "–") return null;
    const plain = text.replace(/,(?=\d{3})/g, "").replace("−", "-");
    return /^-?[\d.]/.test(plain) ? parseFloat(plain) : NaN;
  };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => ({ row, text: row.cells[i].textContent.trim(), value: key(row, i) }));
      const numeric = rows.every((r) => r.value === null || !Number.isNaN(r.value));
      rows.sort((a, b) => {
        if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
        const order = numeric ? a.value - b.value : a.text.localeCompare(b.text, "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows.map((r) => r.row));
    });
  });
}
