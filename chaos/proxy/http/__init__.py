"""The HTTP API of the fault proxy, as Toxiproxy's is, byte for byte where clients can tell."""
