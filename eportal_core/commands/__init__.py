"""The core's subcommands of ``kc.eportal``, one module each, and what commands share."""
