"""Adapters for the little shop (`python -m target.little_shop`): what an adapter for a shop of your own looks like."""
