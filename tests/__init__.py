"""Specifications of gatecrash, laid out as its source tree is."""
