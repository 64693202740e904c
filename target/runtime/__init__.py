"""What every process runs on: circuit breakers, caches, endless jobs, the server loop."""
