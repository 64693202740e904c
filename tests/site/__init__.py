"""The documentation site: `python -m tests.site` builds it with Zensical, `python -m tests.site serve` shows it."""
