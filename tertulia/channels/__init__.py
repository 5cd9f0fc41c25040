"""Messengers: one file for each, with what it delivers and what it is sent. One attempt a call; Temporal retries."""
