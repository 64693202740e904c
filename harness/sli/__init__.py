"""The record in, service level indicators out."""
