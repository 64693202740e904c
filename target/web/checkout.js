// From held seats to tickets: the countdown, the payment, the wait for a pending order. A payment keeps its
// Idempotency-Key until it has an end, so a reload, a lost connection or a second press never pays twice.

import { $, api, ask, clock, complain, el, forget, jitter, newId, page, pause, recall, remember, sentence, show, speak }
  from "./common.js";

const CARDS = [["ok", "Test card that is accepted"], ["declined", "Test card that is declined"],
  ["insufficient_funds", "Test card without funds"], ["expired", "Test card that has expired"],
  ["slow", "Test card of a slow bank"]];
const DECLINES = { insufficient_funds: "There is not enough money on the card", expired_card: "The card has expired" };
const WARN_AT_S = [60, 30, 10];
const pass = () => ({ authorization: `Pass ${recall().pass}` });

export class Checkout {
  /** `leave()` is called when the seats are not held any more. */
  constructor(venue, leave) {
    Object.assign(this, { venue, leave, paying: false, warned: new Set() });
    $("cards").append(...CARDS.map(([value, text], n) => {
      const input = el("input", { type: "radio", name: "card", value, id: `card-${value}` });
      input.checked = n === 0;
      return el("label", { class: "card-choice", for: `card-${value}` }, input, text);
    }));
    $("pay").addEventListener("submit", event => { event.preventDefault(); this.#begin(); });
    $("release").addEventListener("click", () => this.#release());
    setInterval(() => this.#count(), 250);
  }

  /** Shows the hold that the browser remembers; goes on with a payment that had begun. */
  open() {
    const { hold, payment } = recall();
    $("held").replaceChildren(...hold.seats.map(id => line(this.venue, id)));
    $("held-total").textContent = `Total ${this.venue.spell(this.venue.total(hold.seats))}`;
    $("pay-now").textContent = `Pay ${this.venue.spell(this.venue.total(hold.seats))}`;
    this.warned.clear();
    this.#count();
    if (payment) this.#pay();
    else show("checkout");
  }

  #begin() {
    if (this.paying) return;
    const begun = recall().payment;  // perhaps in another tab
    remember({ payment: begun ?? { key: newId(), card: new FormData($("pay")).get("card") } });
    this.#pay();
  }

  async #pay() {
    this.paying = true;
    complain();
    const { hold, payment } = recall();
    const headers = { ...pass(), "idempotency-key": payment.key };
    const body = { hold_id: hold.hold_id, card: payment.card };
    show("pending");
    $("pending-note").textContent = "Paying…";
    try {
      let order = await insist(() => ask("POST", `${api}/orders`, { headers, body }));
      if (order.body.state === "pending") $("pending-note").textContent = "Confirming… this can take a little while.";
      while (order.body.state === "pending") {
        await pause(jitter(1000));
        order = await insist(() => find(order.body.order_id, () => ask("POST", `${api}/orders`, { headers, body })));
      }
      if (order.body.state === "confirmed") this.#confirm(order.body);
      else this.#fail(order.body.state, undefined, DECLINES[order.body.decline_code]);
    } catch (problem) {
      this.#fail(problem.document.state ?? (problem.status === 410 ? "over" : ""), problem);
    } finally {
      this.paying = false;
    }
  }

  #confirm(order) {
    const orders = [...(recall().orders ?? []).filter(each => each.order_id !== order.order_id),
      { order_id: order.order_id, seats: order.seats, amount_cents: order.amount_cents }];
    remember({ orders, hold: undefined, payment: undefined });
    location.hash = "#tickets";
  }

  #fail(state, problem, why = "The card was declined") {
    remember({ payment: undefined });
    if (problem?.status === 401) return this.#gone(problem.text);
    if (state === "declined") {
      show("checkout");
      return complain(`${why}; nothing was paid. Your seats are still held: try another card.`);
    }
    const ends = { expired: "The order was not paid in time, and its seats are free again. Nothing was paid.",
      refunded: "The payment came too late. It is being refunded in full.", over: "The seats are not held any more. Nothing was paid." };
    if (ends[state]) return this.#gone(ends[state]);
    show("checkout");
    return complain(problem?.text ?? sentence(`the order is ${state}`));
  }

  async #release() {
    $("release").disabled = true;
    try {
      await ask("DELETE", `${api}/holds/${recall().hold.hold_id}`, { headers: pass() });
      this.#gone();
    } catch (problem) {
      if ([401, 404, 410].includes(problem.status)) this.#gone();
      else complain(problem.text);
    } finally {
      $("release").disabled = false;
    }
  }

  #gone(text = "") {
    remember({ hold: undefined, payment: undefined });
    this.leave();
    complain(text);
  }

  #count() {
    const { hold } = recall();
    if (!hold) return;
    const left_s = (hold.until_ms - Date.now()) / 1000;
    $("left").textContent = clock(left_s);
    if (this.paying || $("held").closest("[data-view]").hidden) return;
    if (left_s <= 0) return this.#gone("Your time for these seats ran out: they are free again.");
    for (const mark of WARN_AT_S) {
      if (left_s > mark || left_s < mark - 2 || this.warned.has(mark)) continue;
      this.warned.add(mark);
      speak(`${mark} seconds left to pay.`);
    }
  }
}

/** Asks until there is an answer that waiting does not change: the request may be repeated safely. */
async function insist(request) {
  for (;;) {
    try {
      return await request();
    } catch (problem) {
      if (problem.status === 402) return { status: 402, body: { ...problem.document, state: "declined" } };
      if (!problem.passing) throw problem;
      $("pending-note").textContent = "Still trying… the connection or the service is away for a moment.";
      await pause(jitter(1000 * problem.retryAfterS));
    }
  }
}

/** The order's present state. One that is not found was not begun: `again` begins it, under the same key. */
async function find(orderId, again) {
  try {
    return await ask("GET", `/api/orders/${orderId}`, { headers: pass() });
  } catch (problem) {
    if (problem.status === 404) return again();
    throw problem;
  }
}

export function line(venue, id, ...more) {
  const seat = venue.seat(id);
  return el("li", {}, el("span", {}, seat.name), el("strong", {}, venue.spell(seat.cents)), ...more);
}

/** Every ticket that was bought in this browser. */
export function showTickets(venue) {
  const orders = recall().orders ?? [];
  $("tickets").replaceChildren(...orders.toReversed().flatMap(order => order.seats.map(id => ticket(venue, order, id))));
  $("my-tickets").hidden = !orders.length;
}

function ticket(venue, order, id) {
  const { section, row, number, cents } = venue.seat(id);
  const field = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el("article", { class: "ticket", "aria-label": `Ticket: section ${section}, row ${row}, seat ${number}` },
    el("div", { class: "stub" }, el("strong", {}, page.title), el("span", {}, page.event)),
    el("dl", {}, field("Section", section), field("Row", row), field("Seat", number), field("Price", venue.spell(cents))),
    el("p", { class: "hint" }, "Order ", el("code", {}, order.order_id)));
}

export { forget, pass };
