// All sections: a drawing of the arena for the eye and the pointer, and a list that says the same for everyone.

import { $, el, sentence } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000, HEIGHT = 680, FLOOR_RATIO = 0.36, GAP_RAD = 0.012;

export class Arena {
  constructor(venue) {
    this.venue = venue;
    this.links = new Map();  // section id → {shape, item}
    this.#draw();
    this.#list();
  }

  /** Shows how many seats are free in each section. */
  update(counts) {
    const free = Object.values(counts).reduce((sum, count) => sum + count, 0);
    $("arena-free").textContent = `${free.toLocaleString("en")} of ${this.venue.capacity.toLocaleString("en")} seats are free.`;
    for (const [id, { shape, item, seats }] of this.links) {
      const count = counts[id] ?? 0;
      shape.style.setProperty("--free", (count / seats).toFixed(2));
      for (const link of [shape, item]) link.classList.toggle("full", count === 0);
      item.querySelector(".free").textContent = count ? `${count} free` : "sold out";
    }
  }

  #draw() {
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, focusable: "false" });
    svg.append(make("rect", { class: "court", x: 405, y: 282, width: 190, height: 116, rx: 8 }),
      make("text", { x: 500, y: 348 }, "Floor"));
    const rings = [...this.venue.rings.values()];
    const depth = (1 - FLOOR_RATIO) / rings.length;
    rings.forEach((sections, ring) => {
      const inner = FLOOR_RATIO + ring * depth + 0.012, outer = FLOOR_RATIO + (ring + 1) * depth - 0.012;
      sections.forEach((section, n) => svg.append(this.#shape(section, n / sections.length, 1 / sections.length, inner, outer)));
    });
    $("arena-map").replaceChildren(svg);
  }

  #shape(section, from, share, inner, outer) {
    const turn = 2 * Math.PI, start = from * turn - turn / 4 + GAP_RAD, end = start + share * turn - 2 * GAP_RAD;
    const points = [...arc(inner, start, end), ...arc(outer, end, start)].map(point => point.join(",")).join(" ");
    const [x, y] = at((inner + outer) / 2, (start + end) / 2);
    const link = make("a", { href: `#${section.id}`, tabindex: -1, class: "block" });
    link.append(make("polygon", { points }), make("text", { x, y: y + 8 }, section.id));
    this.links.set(section.id, { shape: link, seats: seatsOf(section) });
    return link;
  }

  #list() {
    for (const [ring, sections] of this.venue.rings) {
      const items = sections.map(section => el("li", {}, this.#item(section)));
      $("arena-list").append(el("h2", {}, `${sentence(ring).slice(0, -1)} ring`), el("ul", {}, ...items));
    }
  }

  #item(section) {
    const cheapest = this.venue.pricesOf(section).at(-1)[1];
    const item = el("a", { href: `#${section.id}`, class: "item" },
      el("strong", {}, el("span", { class: "unseen" }, "Section "), section.id), " ",
      el("span", { class: "free" }, "…"), " ", el("span", { class: "soft" }, `from ${this.venue.spell(cheapest)}`));
    this.links.get(section.id).item = item;
    return item;
  }
}

const seatsOf = section => section.rows.reduce((sum, row) => sum + row.seats, 0);
const at = (ratio, angle) =>
  [WIDTH / 2 + ratio * (WIDTH / 2) * Math.cos(angle), HEIGHT / 2 + ratio * (HEIGHT / 2) * Math.sin(angle)];
const arc = (ratio, from, to) => Array.from({ length: 7 }, (_, n) => at(ratio, from + ((to - from) * n) / 6)
  .map(value => value.toFixed(1)));

function make(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}
