"""How worker machines join a swarm: the master's server and the worker's request."""
