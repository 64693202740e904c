"""The reference platform on this machine: its databases, its settings, its workspace."""
