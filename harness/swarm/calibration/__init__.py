"""How much load one core can generate, and how many a load takes."""
