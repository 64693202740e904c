"""The platform on Docker Compose: raised, reached through its ports, and removed when its owner is gone."""
