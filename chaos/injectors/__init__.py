"""The hands that break things: each reaches one kind of component and knows how to put it back."""
