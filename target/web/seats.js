// The page of the seats: which view is shown, the live states, the choice and the hold.

import { Arena } from "./arena.js";
import { Checkout, forget, line, pass, showTickets } from "./checkout.js";
import { $, api, ask, complain, el, jitter, page, pause, recall, remember, sentence, show, speak } from "./common.js";
import { Grid } from "./grid.js";
import { FREE, bestTogether, readVenue } from "./venue.js";

const REFRESH_MS = 2000, RETRY_MS_MAX = 15_000;
const seatsMax = Number(page.seatsMax);
const chosen = new Set();
let venue, arena, grid, checkout;
let states = {};  // section → one character per seat, of the newest map
let woken = () => {};

// --- views: the address names a section; a hold comes before everything

function route() {
  const name = decodeURIComponent(location.hash.slice(1));
  const section = venue.section(name);
  showTickets(venue);
  document.title = `Seats – ${page.title}`;
  const choosing = Boolean(recall().pass) && !recall().hold && name !== "tickets";
  $("choosing").hidden = !choosing;
  if (recall().hold) checkout.open();
  else if (name === "tickets" && recall().orders?.length) openTickets();
  else if (!choosing) show("gate");
  else if (section) openSection(section);
  else show("arena");
  woken();
}

function openSection(section) {
  $("section-title").textContent = `Section ${section.id}`;
  if (grid.section !== section) grid.open(section);
  draw();
  show("section");
}

function openTickets() {
  document.title = `Your tickets – ${page.title}`;
  complain();
  show("tickets");
}

// --- the live map

async function keepFresh() {
  for (let failures = 0; ;) {
    const shown = !$("choosing").hidden && !document.hidden;
    try {
      if (shown) await refresh();
      failures = 0;
    } catch (problem) {
      failures++;
      warn(`The seat map cannot be refreshed. ${problem.text}`);
    }
    const wait_ms = Math.min(RETRY_MS_MAX, REFRESH_MS * 2 ** failures);
    await Promise.race([pause(jitter(wait_ms)), new Promise(done => { woken = done; })]);
  }
}

async function refresh() {
  if (!$("arena-list").closest("[data-view]").hidden) {
    const { body } = await ask("GET", `${api}/sections`);
    arena.update(body.counts);
    warn(body.stale ? "The numbers may be out of date." : "");
  }
  if (chosen.size || !$("grid").closest("[data-view]").hidden) {
    const { body } = await ask("GET", `${api}/seats`);
    states = body.states;
    dropTaken();
    draw();
    warn(body.stale ? "The seat map may be out of date: what is shown as free may be taken." : "");
  }
}

function warn(text) {
  $("stale").hidden = !text;
  if ($("stale").textContent !== text) $("stale").textContent = text;
}

function stateOf(id) {
  const { section, row, number } = venue.seat(id);
  let index = Number(number) - 1;
  for (const each of venue.section(section).rows) {
    if (each.id === row) break;
    index += each.seats;
  }
  return states[section]?.[index] ?? FREE;
}

function dropTaken(known = []) {
  const lost = [...chosen].filter(id => known.includes(id) || stateOf(id) !== FREE);
  if (!lost.length) return;
  for (const id of lost) chosen.delete(id);
  const names = lost.map(id => venue.seat(id).name).join("; ");
  complain(`Somebody else was faster: ${names}. Please choose another seat.`);
}

// --- the choice

function draw() {
  const ids = [...chosen];
  $("basket").replaceChildren(...ids.map(id => line(venue, id, removeButton(id))));
  $("basket-empty").textContent = ids.length ? `${ids.length} of at most ${seatsMax}.`
    : `Nothing yet. You may choose up to ${seatsMax} seats.`;
  $("basket-total").hidden = !ids.length;
  $("basket-total").textContent = `Total ${venue.spell(venue.total(ids))}`;
  $("hold").disabled = !ids.length;
  const section = grid.section;
  if (!section || !states[section.id]) return;
  grid.update(states[section.id], chosen);
  const free = [...states[section.id]].filter(state => state === FREE).length;
  $("section-free").textContent = `${free} of ${states[section.id].length} seats are free.`;
}

function removeButton(id) {
  const remove = () => {
    toggle(id);
    ($("basket").querySelector("button") ?? document.querySelector("[data-view]:not([hidden]) h1")).focus();
  };
  return el("button", { type: "button", class: "remove", "aria-label": `Remove ${venue.seat(id).name}`, click: remove }, "×");
}

function toggle(id) {
  complain();
  if (chosen.delete(id)) speak(`Removed. ${chosen.size} chosen.`);
  else if (chosen.size >= seatsMax) return complain(`You may choose up to ${seatsMax} seats.`);
  else { chosen.add(id); speak(`Chosen. ${chosen.size} of ${seatsMax}.`); }
  draw();
  return undefined;
}

function pickBest(event) {
  event.preventDefault();
  const count = Number($("best-count").value);
  const seats = bestTogether(grid.section, states[grid.section.id] ?? "", count);
  if (!seats.length) return complain(`There are no ${count} free seats side by side in this section.`);
  complain();
  chosen.clear();
  for (const id of seats) chosen.add(id);
  draw();
  speak(`Chosen: ${seats.map(id => venue.seat(id).name).join("; ")}.`);
  $("hold").focus();
  return undefined;
}

async function hold() {
  $("hold").disabled = true;
  complain();
  try {
    const { body } = await ask("POST", `${api}/holds`, { headers: pass(), body: { seats: [...chosen] } });
    const until_ms = Date.now() + body.ttl_s * 1000;
    remember({ hold: { hold_id: body.hold_id, seats: body.seats, until_ms } });
    chosen.clear();
    route();
  } catch (problem) {
    await refuseHold(problem);
  } finally {
    draw();
  }
}

async function refuseHold(problem) {
  if (problem.status === 401) {
    forget();
    route();
    complain("Your time in the shop is over. Please queue again.");
  } else if (problem.status === 409 && problem.document.seats_taken) {
    await refresh().catch(() => {});
    dropTaken(problem.document.seats_taken);
  } else {
    complain(problem.passing ? `${problem.text} Your choice is kept: please try again in a moment.` : problem.text);
  }
}

async function start() {
  for (let failures = 1; !venue; failures++) {
    try {
      venue = await readVenue();
    } catch (problem) {
      complain(`${problem.text} Trying again.`);
      await pause(jitter(Math.min(RETRY_MS_MAX, 500 * 2 ** failures)));
    }
  }
  complain();
  arena = new Arena(venue);
  grid = new Grid(venue, toggle, name => speak(`${sentence(name)} It cannot be chosen.`));
  checkout = new Checkout(venue, route);
  $("best-count").append(...Array.from({ length: seatsMax }, (_, n) => el("option", { value: n + 1 }, n + 1)));
  $("best-count").value = Math.min(2, seatsMax);
  $("best").addEventListener("submit", pickBest);
  $("hold").addEventListener("click", hold);
  $("print").addEventListener("click", () => window.print());
  addEventListener("hashchange", () => { complain(); route(); });
  addEventListener("storage", () => { if (!checkout.paying) route(); });  // another tab held, paid or gave back
  document.addEventListener("visibilitychange", () => woken());
  draw();
  route();
  keepFresh();
}

start();
