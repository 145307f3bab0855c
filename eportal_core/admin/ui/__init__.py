"""The pages of the admin side: the shell they stand in, and one module for each."""
