"""The patch source: a TUF repository of patchsets, made here and read here."""
