"""A recorded purchase, read: its requests, steps, forms, goods, and what is personal in it."""
