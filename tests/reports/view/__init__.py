"""The view model, specified."""
