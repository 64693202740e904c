"""From measured indicators and audited invariants to the verdict: findings, grade, exit code."""
