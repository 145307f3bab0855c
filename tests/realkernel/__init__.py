"""The proof on a real kernel: see README.md beside this file."""
