"""Tests of the booking system; they mirror target/."""
