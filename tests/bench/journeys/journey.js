// The journey of tests/bench/journeys for k6. It has no server-sent events, so a waiting fan asks once a second.
import http from "k6/http";
import crypto from "k6/crypto";
import { sleep } from "k6";
import { Counter, Trend } from "k6/metrics";

const base = `${__ENV.URL}/api/events/${__ENV.EVENT}`;
const t0_ms = Number(__ENV.T0) * 1000;
const bought = new Counter("bought");
const late_ms = new Trend("late_ms");

export const options = {
  scenarios: { fans: { executor: "per-vu-iterations", vus: Number(__ENV.FANS), iterations: 1, maxDuration: "120s" } },
  summaryTrendStats: ["p(50)", "p(99)"],
};

function solved(challenge, fan, bits) {
  for (let nonce = 0; ; nonce++) {
    const digest = new Uint8Array(crypto.sha256(`${challenge}|${fan}|${nonce}`, "binary"));
    let zeros = 0;
    for (const byte of digest) {
      zeros += byte ? Math.clz32(byte) - 24 : 8;
      if (byte) break;
    }
    if (zeros >= bits) return `${challenge}:${nonce}`;
  }
}

function chosen(layout, counts, states) {
  const open = layout.sections.filter((section) => counts[section.id] > 0);
  const section = open[Math.floor(Math.random() * open.length)];
  const shown = states[section.id];
  let place = Math.floor(Math.random() * shown.length);
  for (let tried = 0; tried < shown.length && shown[place] !== "0"; tried++) place = (place + 1) % shown.length;
  for (const row of section.rows) {
    if (place < row.seats) return `${section.id}-${row.id}-${place + 1}`;
    place -= row.seats;
  }
}

export default function () {
  const fan = `fan-${__VU}`;
  const json = { "Content-Type": "application/json", Device: fan };
  sleep(Math.max(0, (t0_ms - Date.now()) / 1000));
  late_ms.add(Date.now() - t0_ms);
  http.get(`${__ENV.URL}/queue/${__ENV.EVENT}`, { responseType: "none" });
  const asked = http.get(`${base}/challenge`).json();
  const proof = { Challenge: solved(asked.challenge, fan, asked.bits) };
  const place = http.post(`${base}/queue`, JSON.stringify({ fan, identity: fan }), { headers: { ...json, ...proof } });
  const ticket = { Authorization: `Queue ${place.json().ticket}`, Device: fan };
  let entered = http.post(`${base}/admission`, null, { headers: ticket });
  while (entered.status === 425) {
    sleep(1);
    entered = http.post(`${base}/admission`, null, { headers: ticket });
  }
  const pass = { ...json, Authorization: `Pass ${entered.json().pass}` };
  const layout = http.get(`${base}/venue`).json();
  let held;
  do {
    const counts = http.get(`${base}/sections`).json().counts;
    const states = http.get(`${base}/seats`).json().states;
    const seats = [chosen(layout, counts, states)];
    held = http.post(`${base}/holds`, JSON.stringify({ seats }), { headers: pass });
  } while (held.status === 409);
  const order = { hold_id: held.json().hold_id, card: "ok" };
  const paid = http.post(`${base}/orders`, JSON.stringify(order), { headers: { ...pass, "Idempotency-Key": fan } });
  if (paid.status === 201 || paid.status === 202) bought.add(1);
}

export function handleSummary(data) {
  const late = data.metrics.late_ms.values;
  const count = data.metrics.bought ? data.metrics.bought.values.count : 0;
  const requests = data.metrics.http_reqs.values.count;
  return { stdout: JSON.stringify({ bought: count, requests, late_ms_p50: late["p(50)"], late_ms_p99: late["p(99)"] }) + "\n" };
}
