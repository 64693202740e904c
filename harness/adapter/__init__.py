"""The kit: what an adapter for a platform of one's own is written with. Authors import it as `gatecrash.adapter`."""
