"""The reference booking system: a ticketing platform that stands alone and is spoken to over the wire only."""
