"""Which provider is asked, what is known of it, and what an attempt at it costs: the decisions, all pure."""
