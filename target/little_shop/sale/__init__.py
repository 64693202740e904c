"""What the little shop sells and keeps: baskets, orders, charges, the waiting line."""
