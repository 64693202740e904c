"""What the parent, the master and the workers say to each other, and over which channel."""
