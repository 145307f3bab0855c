"""What administrators talk to: the HTTP API and the pages below ``/admin``."""
