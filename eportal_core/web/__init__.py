"""What the agent side and the admin side share in speaking HTTP."""
