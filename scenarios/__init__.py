"""Who comes to the on-sale and what they do there."""
