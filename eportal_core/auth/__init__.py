"""Who somebody is: passwords, directories, sessions, API keys. It knows nothing of HTTP."""
