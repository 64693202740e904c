"""The seat feed: WebSocket nodes that tell spectators every change of a seat, and the score."""
