-- What the saga must not forget between two steps, and the webhooks that were taken.

ALTER TABLE orders
    ADD COLUMN decline_code text NOT NULL DEFAULT '',           -- the provider's word for why
    ADD COLUMN refund_due   boolean NOT NULL DEFAULT false;     -- decided: its seats can no longer be claimed again

CREATE TABLE webhook_events (
    event_id    text PRIMARY KEY,              -- as the provider names it: a repeat is recognised by it
    order_id    text NOT NULL,
    type        text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX webhook_events_received ON webhook_events (received_at);
