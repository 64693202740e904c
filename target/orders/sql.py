"""The SQL of target/orders/orders.py: one statement for each step, each naming the state that it starts from."""

from __future__ import annotations

from typing import Final

_INSERT: Final = """
WITH made AS (
    INSERT INTO orders
        (order_id, event, fan, identity, hold_id, idempotency_key, card, amount_cents, state, unfinished, leased_until)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8::bigint, '{state}', {live}, now() + make_interval(secs => $9)
    WHERE $12::int = 0 OR $12::int >= cardinality($10::text[]) + (
        SELECT count(*) FROM orders JOIN order_seats USING (order_id)
        WHERE orders.event = $2 AND identity = $4 AND live AND order_id <> $1 AND seat <> ALL($10::text[]))
    ON CONFLICT (order_id) DO NOTHING RETURNING order_id, event)
INSERT INTO order_seats (order_id, event, seat, price_cents, live)
SELECT order_id, event, seat, price_cents, {live}
FROM made, unnest($10::text[], $11::bigint[]) AS asked (seat, price_cents) RETURNING order_id
"""
CREATE: Final = _INSERT.format(state="pending", live="true")
CREATE_EXPIRED: Final = _INSERT.format(state="expired", live="false")
LOCK_IDENTITY: Final = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))"

CONFIRM: Final = """
UPDATE orders SET state = 'confirmed', charge_id = $2, unfinished = false
WHERE order_id = $1 AND state = 'pending' RETURNING order_id
"""
_LET_SEATS_GO: Final = """
let_go AS (UPDATE order_seats SET live = false FROM moved WHERE order_seats.order_id = moved.order_id)
SELECT order_id FROM moved
"""
DECLINE: Final = f"""
WITH moved AS (
    UPDATE orders SET state = 'declined', charge_id = $2, decline_code = $3, unfinished = false
    WHERE order_id = $1 AND state = 'pending' RETURNING order_id),
{_LET_SEATS_GO}"""
EXPIRE: Final = f"""
WITH moved AS (
    UPDATE orders SET state = 'expired' WHERE order_id = $1 AND state = 'pending' RETURNING order_id),
{_LET_SEATS_GO}"""
RECLAIM: Final = """
WITH moved AS (
    UPDATE orders SET state = 'confirmed', charge_id = $2, unfinished = false
    WHERE order_id = $1 AND state = 'expired' AND NOT refund_due RETURNING order_id),
claimed AS (UPDATE order_seats SET live = true FROM moved WHERE order_seats.order_id = moved.order_id)
SELECT order_id FROM moved
"""
OWE_REFUND: Final = """
UPDATE orders SET refund_due = true, charge_id = $2, unfinished = true
WHERE order_id = $1 AND state = 'expired' RETURNING order_id
"""
REFUNDED: Final = """
UPDATE orders SET state = 'refunded', charge_id = $2, refund_due = false, unfinished = false
WHERE order_id = $1 AND state = 'expired' RETURNING order_id
"""
STOP_WATCHING: Final = """
UPDATE orders SET unfinished = false
WHERE order_id = $1 AND state = 'expired' AND NOT refund_due RETURNING order_id
"""
RELEASE_LEASES: Final = """
UPDATE orders SET leased_until = now() + make_interval(secs => $2)
WHERE order_id = ANY($1::text[]) AND unfinished
"""
RETRY_LATER: Final = """
UPDATE orders SET leased_until =
    now() + make_interval(secs => least($3, greatest($2, extract(epoch FROM now() - created_at)::float8 / 8)))
WHERE order_id = ANY($1::text[]) AND unfinished
"""
HINT: Final = """
WITH fresh AS (
    INSERT INTO webhook_events (event_id, order_id, type) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING order_id),
hinted AS (
    UPDATE orders SET unfinished = true, leased_until = least(leased_until, now() + make_interval(secs => $4))
    FROM fresh WHERE orders.order_id = fresh.order_id AND (unfinished OR state = 'expired'))
SELECT count(*) FROM fresh
"""
FORGET_HINTS: Final = "DELETE FROM webhook_events WHERE received_at < now() - make_interval(secs => $1)"

_ORDER_COLUMNS: Final = """
orders.order_id, orders.event, fan, identity, hold_id, idempotency_key, card, amount_cents, state, charge_id,
decline_code, refund_due,
extract(epoch FROM now() - created_at)::float8 AS age_s,
(SELECT array_agg(seat ORDER BY seat) FROM order_seats WHERE order_seats.order_id = orders.order_id) AS seats
"""
LEASE_UNFINISHED: Final = f"""
UPDATE orders SET leased_until = now() + make_interval(secs => $1)
WHERE order_id IN (
    SELECT order_id FROM orders
    WHERE event = $4 AND unfinished AND leased_until < now() AND created_at <= now() - make_interval(secs => $3)
    ORDER BY leased_until LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING {_ORDER_COLUMNS}
"""
FIND: Final = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE order_id = $1"
LIVE: Final = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE event = $1 AND state IN ('pending', 'confirmed')"
PENDING: Final = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE event = $1 AND unfinished AND state = 'pending'"
NOT_IN_INVENTORY: Final = f"""
SELECT {_ORDER_COLUMNS} FROM orders WHERE event = $2 AND state = 'confirmed' AND NOT in_inventory LIMIT $1
"""
MARK_IN_INVENTORY: Final = "UPDATE orders SET in_inventory = true WHERE order_id = ANY($1::text[])"
SEAT_STATES: Final = """
SELECT seat, state FROM order_seats JOIN orders USING (order_id) WHERE order_seats.event = $1 AND live
"""
EXPORT: Final = """
SELECT order_id, fan, seat, state, price_cents, idempotency_key
FROM orders JOIN order_seats USING (order_id) WHERE orders.event = $1 ORDER BY order_id, seat
"""
OWNED: Final = "SELECT EXISTS (SELECT FROM order_seats WHERE event = $1 AND seat = ANY($2::text[]) AND live)"
UNFINISHED_COUNT: Final = "SELECT count(*) FROM orders WHERE event = $1 AND unfinished"
