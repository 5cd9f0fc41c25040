"""Deterministic orchestration: what a session and the health check do, step by step."""
