"""Servers for one machine: PostgreSQL, Temporal, and a simulator of the providers."""
