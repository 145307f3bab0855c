"""The HTTP API below ``/admin/api``: each call an ``Operation``, which says who may make it."""
