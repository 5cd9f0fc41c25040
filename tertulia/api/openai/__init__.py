"""The protocol of OpenAI's chat completions: whatever speaks it can talk through the engine's fallback."""
