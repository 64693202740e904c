"""An embedded Toxiproxy-compatible server: HTTP API, links, toxics. Runs as its own process."""
