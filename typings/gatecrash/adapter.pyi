from harness.adapter.kit import *  # noqa: F403
