"""The pages of the little shop: for customers, in the queue, for the operator."""
