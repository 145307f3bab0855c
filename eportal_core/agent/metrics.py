"""``/metrics``: what the admin side tells, and what this process knows of check-ins.

Who may ask is decided by the admin side.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eportal_core.agent.forward import ForwardAdmin
from eportal_core.agent.writer import Writer

#: Where the admin side tells its part.
ADMIN_PATH = "/admin/metrics"


def metrics_route(admin: ForwardAdmin, writer: Writer) -> Route:
    """The route of the agent side."""
    registry = CollectorRegistry()
    registry.register(_Checkins(writer))

    async def metrics(request: Request) -> Response:
        answer = await admin.ask(request, ADMIN_PATH)
        if answer.status_code == 200:
            own = generate_latest(registry)
            return Response(bytes(answer.body) + own, media_type=CONTENT_TYPE_PLAIN_0_0_4)
        return answer

    return Route("/metrics", metrics)


class _Checkins(Collector):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        writer = self._writer
        yield CounterMetricFamily(
            "eportal_checkins", "Check-ins that were stored.", value=writer.stored
        )
        yield CounterMetricFamily(
            "eportal_checkins_refused",
            "Check-ins that CHECKIN_QUEUE_LIMIT left no place for.",
            value=writer.refused,
        )
        yield GaugeMetricFamily(
            "eportal_checkin_queue", "Check-ins that wait to be stored.", value=writer.depth
        )
