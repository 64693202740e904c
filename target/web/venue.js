// The venue as both the map and the basket need it: seats by id and by place, prices, colours.

import { api, ask } from "./common.js";

export const FREE = "0", HELD = "1", SOLD = "2";

/** Reads the venue. Seat ids are `<section>-<row>-<number>`; the states of a section are one character per seat. */
export async function readVenue() {
  const { body } = await ask("GET", `${api}/venue`);
  return new Venue(body);
}

class Venue {
  constructor(document) {
    Object.assign(this, { capacity: document.capacity, sections: document.sections });
    this.rings = Map.groupBy ? Map.groupBy(this.sections, section => section.ring) : byRing(this.sections);
    this.prices = Object.entries(document.prices_cents).sort((a, b) => b[1] - a[1]);
    this.money = new Intl.NumberFormat("en", { style: "currency", currency: document.currency, minimumFractionDigits: 0 });
  }
  section(id) { return this.sections.find(section => section.id === id); }
  /** Which of the prices, from the dearest: the number of its colour. */
  tier(price) { return this.prices.findIndex(([name]) => name === price); }
  cents(price) { return this.prices[this.tier(price)][1]; }
  spell(cents) { return this.money.format(cents / 100); }
  /** The prices of one section, dearest first. */
  pricesOf(section) { return this.prices.filter(([name]) => section.rows.some(row => row.price === name)); }
  seat(id) {
    const [section, row, number] = id.split("-");
    const price = this.section(section).rows.find(each => each.id === row).price;
    return { id, section, row, number, price, cents: this.cents(price),
             name: `Section ${section}, row ${row}, seat ${number}` };
  }
  total(ids) { return ids.reduce((sum, id) => sum + this.seat(id).cents, 0); }
}

/** What an accessible seat of a row is, "" for another seat. */
export function accessibleAs(row, number) {
  const pair = row.accessible?.find(seats => seats.includes(number));
  return pair ? number === pair[0] ? "wheelchair place" : "companion seat" : "";
}

function byRing(sections) {
  const rings = new Map();
  for (const section of sections) rings.set(section.ring, [...(rings.get(section.ring) ?? []), section]);
  return rings;
}

/** The best `count` free seats side by side, none of them accessible: the row nearest the floor, then nearest its middle.
    None: []. */
export function bestTogether(section, states, count) {
  let at = 0;
  for (const row of section.rows) {
    const free = [...states.slice(at, at + row.seats)].map((state, n) => accessibleAs(row, n + 1) ? HELD : state).join("");
    at += row.seats;
    const firsts = [];
    for (let first = 0; first + count <= row.seats; first++) {
      if (free.slice(first, first + count) === FREE.repeat(count)) firsts.push(first);
    }
    if (!firsts.length) continue;
    const off = first => Math.abs(first + count / 2 - row.seats / 2);
    const best = firsts.reduce((a, b) => (off(b) < off(a) ? b : a));
    return Array.from({ length: count }, (_, n) => `${section.id}-${row.id}-${best + n + 1}`);
  }
  return [];
}
