"""What agents talk to: registration, check-in, patch files."""
