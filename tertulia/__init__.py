"""The product: conversations, providers, storage and the ways in. Knows nothing of Temporal workflows."""
