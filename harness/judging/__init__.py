"""Makes the verdict from measured indicators and audited invariants: findings, grade, exit code."""
