// The draw of the places, checked in the browser: the seed must have the hash that was published before the opening,
// and a fan's number follows from the seed and the fan alone. See GET …/draw.

import { $, api, ask, page, pause, recall, remember } from "./common.js";

const ASK_AGAIN_MS = 6_000;  // the answer may be cached for 5 s
const NUMBER_DIGITS = 13;

/** Shows what is published of the draw, and goes on until the seed is; without a draw it does nothing. */
export async function tellDraw() {
  if (page.policy !== "shuffle" || !Number(page.opensAt) || !crypto.subtle) return;
  for (;;) {
    const { body } = await ask("GET", `${api}/draw`).catch(() => ({ body: {} }));
    if (body.commitment) {
      if (!recall().commitment) remember({ commitment: body.commitment });
      $("draw").hidden = false;
      $("commitment").textContent = body.commitment;
    }
    if (body.seed) return check(body.seed);
    await pause(ASK_AGAIN_MS);
  }
}

async function check(seed) {
  const { commitment, fan } = recall();
  const kept = (await sha256(seed)) === commitment;
  $("seed").textContent = seed;
  $("revealed").hidden = false;
  $("draw-check").textContent = kept
    ? "This browser has checked it: the seed has the fingerprint that was published first."
    : "Warning: the seed does not have the fingerprint that this browser saw first.";
  if (!fan) return;
  const entry = await sha256(fan);
  const number = parseInt((await sha256(`${seed}:${entry}`)).slice(0, NUMBER_DIGITS), 16);
  $("lot").textContent = `Your entry ${entry} draws the number ${number}; the smallest number is first.`;
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, "0")).join("");
}
