"""The injectors: each breaks one kind of component and knows how to restore it."""
