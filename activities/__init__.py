"""One attempt at one side effect each. Ports arrive in the constructor; Temporal owns every retry."""
