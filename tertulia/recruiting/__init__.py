"""Recruiting besides turns: taking in résumés, and what providers are asked about jobs and résumés."""
