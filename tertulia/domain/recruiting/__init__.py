"""Jobs, the applications for them, and the people who apply."""
