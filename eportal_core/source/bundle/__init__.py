"""Bundles: a patch source in a folder that is carried to a portal without a network.

A bundle is a source as ``layout`` has it, with the archives that the other side lacks, the files
of products that are not made of archives, and ``bundle.json``. It may be split: each part has all
the metadata and some of the rest.
"""
