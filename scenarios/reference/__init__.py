"""The adapter for the reference booking system."""
