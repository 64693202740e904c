// The seats of one section as a grid: one tab stop, arrow keys within, a name and a state for every seat.

import { $, el } from "./common.js";
import { FREE, HELD, accessibleAs } from "./venue.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class Grid {
  /** `toggle(seat id)` is called for a seat that is free or chosen; `refuse(name)` for one that is neither. */
  constructor(venue, toggle, refuse) {
    Object.assign(this, { venue, toggle, refuse, rows: [], section: null });
    $("grid").addEventListener("keydown", event => this.#key(event));
    $("grid").addEventListener("click", event => this.#press(event.target.closest("[role=gridcell]")));
    $("grid").addEventListener("focusin", event => this.#stopAt(event.target.closest("[role=gridcell]")));
  }

  /** Draws a section, its seats still without a state. */
  open(section) {
    this.section = section;
    this.rows = section.rows.map(row => Array.from({ length: row.seats }, (_, n) => this.#cell(section, row, n + 1)));
    const label = row => el("span", { role: "rowheader", class: "row-name" }, row.id);
    $("grid").setAttribute("aria-label", `Seats of section ${section.id}`);
    $("grid").replaceChildren(...this.rows.map((cells, n) => el("div", { role: "row", class: "row" },
      label(section.rows[n]), ...cells, el("span", { class: "row-name", "aria-hidden": "true" }, section.rows[n].id))));
    this.#stopAt(this.rows[0][Math.floor(this.rows[0].length / 2)]);
    requestAnimationFrame(() => {  // once it is laid out; a narrow screen begins with the middle
      const scroller = $("grid").parentElement;
      scroller.scrollLeft = (scroller.scrollWidth - scroller.clientWidth) / 2;
    });
    $("legend").replaceChildren(...this.venue.pricesOf(section).map(([name, cents]) =>
      el("li", { class: `tier${this.venue.tier(name)}` }, el("span", { class: "swatch" }), `${this.venue.spell(cents)} ${name}`)),
      ...section.rows.some(row => row.accessible) ? [el("li", {}, el("span", { class: "swatch accessible" }), "accessible")] : [],
      el("li", {}, el("span", { class: "swatch taken" }), "taken"), el("li", {}, el("span", { class: "swatch chosen" }, "✓"), "yours"));
  }

  /** Shows the states (one character per seat) and which seats are chosen. */
  update(states, chosen) {
    let index = 0;
    for (const cell of this.rows.flat()) {
      const state = states[index++], own = chosen.has(cell.dataset.seat);
      const known = `${state}${own}`;
      if (cell.dataset.known === known) continue;
      cell.dataset.known = known;
      const taken = state !== FREE && !own;
      cell.classList.toggle("taken", taken);
      cell.setAttribute("aria-selected", String(own));
      cell.setAttribute("aria-disabled", String(taken));
      const word = own ? "your choice" : state === FREE ? "free" : state === HELD ? "held by somebody" : "sold";
      cell.setAttribute("aria-label", `${cell.dataset.name}, ${word}`);
      cell.textContent = own ? "✓" : taken ? "" : cell.dataset.number;
    }
  }

  focus(seat) { this.rows.flat().find(cell => cell.dataset.seat === seat)?.focus(); }

  #cell(section, row, number) {
    const kept = accessibleAs(row, number);
    const name = `Row ${row.id}, seat ${number}, ${kept && `${kept}, `}${this.venue.spell(this.venue.cents(row.price))}`;
    const looks = `seat tier${this.venue.tier(row.price)}${kept && " accessible"}`;
    return el("button", { type: "button", role: "gridcell", tabindex: -1, class: looks,
      "data-seat": `${section.id}-${row.id}-${number}`, "data-name": name, "data-number": number });
  }

  #press(cell) {
    if (!cell) return;
    if (cell.getAttribute("aria-disabled") === "true") this.refuse(cell.getAttribute("aria-label"));
    else this.toggle(cell.dataset.seat);
  }

  #stopAt(cell) {
    if (!cell) return;
    for (const stop of $("grid").querySelectorAll("[tabindex='0']")) stop.tabIndex = -1;
    cell.tabIndex = 0;
  }

  #key(event) {
    const row = this.rows.findIndex(cells => cells.includes(event.target));
    if (row < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = this.#next(event.key, row, this.rows[row].indexOf(event.target));
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  #next(key, row, column) {
    const cells = this.rows[row];
    if (key === "Home") return cells[0];
    if (key === "End") return cells.at(-1);
    if (!(key in STEPS)) return null;
    const [down, right] = STEPS[key];
    const there = this.rows[Math.min(this.rows.length - 1, Math.max(0, row + down))];
    const shift = Math.round((there.length - cells.length) / 2);  // rows are centred on each other
    return there[Math.min(there.length - 1, Math.max(0, column + right + (down ? shift : 0)))];
  }
}
