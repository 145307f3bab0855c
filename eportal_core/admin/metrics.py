"""``/metrics``: what Prometheus is told. Whoever has METRICS_TOKEN may ask, and every user.

Many servers are counted once a minute at most: a scrape costs the same however many there are.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.admin.access import require_user
from eportal_core.data_age import data_age
from eportal_core.fleet_totals import Fleet
from eportal_core.models import JobRun
from eportal_core.models.base import to_microseconds
from eportal_core.portal import Portal
from eportal_core.queries.states import STATES

#: Where the agent side asks for it, to add what it knows itself.
PATH = "/admin/metrics"


def metrics_routes(portal: Portal, fleet: Fleet) -> list[Route]:
    """The route of the admin side."""
    registry = CollectorRegistry()
    registry.register(_Portal(portal, fleet))

    def metrics(request: Request) -> Response:
        if not _has_token(portal, request):
            require_user(portal, request)
        with db.connection():
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [Route(PATH, metrics)]


class _Portal(Collector):
    """Everything that is told, as it is now."""

    def __init__(self, portal: Portal, fleet: Fleet) -> None:
        self._portal = portal
        self._fleet = fleet

    def describe(self) -> list[Metric]:
        """Nothing: that is asked at start, when nobody has counted yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("eportal", "The portal.", value={"version": version("eportal")})
        yield from self._servers()
        yield from self._jobs()
        age = data_age(self._portal)
        if age is not None:
            yield GaugeMetricFamily(
                "eportal_source_age_seconds",
                "Time since the patch source was last read and all of it was good.",
                value=age.total_seconds(),
            )

    def _servers(self) -> Iterator[Metric]:
        totals = self._fleet.totals()
        servers = GaugeMetricFamily(
            "eportal_servers",
            f"Registered servers by feed and state: {', '.join(STATES)}.",
            labels=["feed", "state"],
        )
        for (feed, state), number in sorted(totals.states.items()):
            servers.add_metric([feed, state], number)
        behind = GaugeMetricFamily(
            "eportal_servers_behind",
            "Active servers that are behind, by feed and how many levels.",
            labels=["feed", "levels"],
        )
        for (feed, levels), number in sorted(totals.behind.items()):
            behind.add_metric([feed, str(levels)], number)
        products = GaugeMetricFamily(
            "eportal_product_servers", "Servers whose key has the product.", labels=["product"]
        )
        for product in self._portal.products:
            products.add_metric([product], totals.products[product])
        yield from (servers, behind, products)
        yield GaugeMetricFamily(
            "eportal_servers_counted_timestamp_seconds",
            "When the servers were counted.",
            value=totals.time,
        )

    def _jobs(self) -> Iterator[Metric]:
        ok = GaugeMetricFamily(
            "eportal_job_ok", "Whether the last run of a job went well.", labels=["job"]
        )
        ended = GaugeMetricFamily(
            "eportal_job_ended_timestamp_seconds", "End of the last run of a job.", labels=["job"]
        )
        for run in JobRun.select().where(JobRun.ended.is_null(False)):
            ok.add_metric([run.name], bool(run.ok))
            ended.add_metric([run.name], to_microseconds(run.ended) / 1e6)
        yield from (ok, ended)


def _has_token(portal: Portal, request: Request) -> bool:
    token = portal.config["METRICS_TOKEN"]
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return (
        token is not None
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(), token.encode())
    )
