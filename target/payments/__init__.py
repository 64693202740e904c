"""The payment provider: a third party with its own process and its own ledger, and our client for it."""
