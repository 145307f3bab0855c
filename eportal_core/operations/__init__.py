"""What can be done to a portal. Command line, HTTP, pages and jobs all call these functions.

Each checks its arguments, calls the hooks, writes rows and the change log in one transaction, and
announces the event after the commit.
"""
