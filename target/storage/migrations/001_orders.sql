-- The truth about orders. A row of order_seats with live = true owns its seat: the unique index decides, whatever
-- Redis remembers. Pending and confirmed orders are live; declined, refunded and expired ones are not.

CREATE TABLE orders (
    order_id        text PRIMARY KEY,          -- derived from event, fan and idempotency key
    event           text NOT NULL,
    fan             text NOT NULL,
    identity        text NOT NULL,             -- whom the purchase limit counts
    hold_id         text NOT NULL,
    idempotency_key text NOT NULL,
    card            text NOT NULL,
    amount_cents    bigint NOT NULL CHECK (amount_cents > 0),
    state           text NOT NULL CHECK (state IN ('pending', 'confirmed', 'declined', 'refunded', 'expired')),
    charge_id       text,
    unfinished      boolean NOT NULL,          -- a charge may still have to be made, found or given back
    leased_until    timestamptz NOT NULL,      -- nobody else takes the next step before
    in_inventory    boolean NOT NULL DEFAULT false,  -- Redis knows that its seats are sold
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_unfinished ON orders (leased_until) WHERE unfinished;
CREATE INDEX orders_not_in_inventory ON orders (order_id) WHERE state = 'confirmed' AND NOT in_inventory;

CREATE TABLE order_seats (
    order_id    text NOT NULL REFERENCES orders,
    event       text NOT NULL,
    seat        text NOT NULL,
    price_cents bigint NOT NULL,
    live        boolean NOT NULL,
    PRIMARY KEY (order_id, seat)
);

CREATE UNIQUE INDEX one_live_order_per_seat ON order_seats (event, seat) WHERE live;
