"""Tests of the little shop, over HTTP."""
