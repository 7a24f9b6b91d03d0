"""The metrics of vLLM's routers, joined to the gateway's: fetched when somebody scrapes, told apart by `model`.

They keep the names that the router gives them. Its labels are bounded here, since not all of them are there: a path
that is none of the gateway's endpoints becomes `other`, and of pods, which come and go, counts are added up and
gauges left out. A router that does not answer in time, or with something else, has no lines; `sluice_router_up` is 0.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from gateway.endpoints import ENDPOINTS
from gateway.upstream import Upstream, open_upstream
from sluice.errors import SluiceError
from sluice.models.router import replica_urls
from sluice.settings import Settings, UpstreamSettings

FETCH_SECONDS = 2
LIMITS = UpstreamSettings(
    connect_seconds=1, first_byte_seconds=1, idle_seconds=1, connections=8, response_bytes=256 * 1024
)
PREFIX = "vllm_"
BOUNDED = frozenset(
    ("le", "attempt", "policy", "stage", "outcome", "result", "transport", "from", "to", "error_type", "reason")
)
"""Labels with few values, all of them written in the router's source."""
ROUTES = frozenset((*ENDPOINTS, "/tokenize"))

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by the sample's name and its labels."""


@dataclass(frozen=True)
class Family:
    """One metric of one router."""

    name: str
    type: str
    series: Series


@dataclass(frozen=True)
class _Source:
    """Where a router's metrics are, and the replicas it may name."""

    upstream: Upstream
    workers: frozenset[str]


class RouterMetrics(Collector):
    """What the routers of a deployment counted, as of the last `fetch`."""

    def __init__(self, settings: Settings) -> None:
        """Nothing connects before the first fetch."""
        self._sources = {
            name: _Source(
                open_upstream(f"http://127.0.0.1:{model.router_metrics_port}", LIMITS), frozenset(replica_urls(model))
            )
            for name, model in settings.models.items()
            if model.is_routed
        }
        self._found: Mapping[str, list[Family] | None] = {}

    async def fetch(self) -> None:
        """Ask all routers at once, for two seconds at most."""
        families = await asyncio.gather(*map(_fetch, self._sources.values()))
        self._found = dict(zip(self._sources, families, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client for each scrape."""
        if not self._sources:
            return
        up = GaugeMetricFamily("sluice_router_up", "Whether the router told its metrics.", labels=("model",))
        for name in self._sources:
            up.add_metric((name,), self._found.get(name) is not None)
        yield up
        found = [(family, name) for name, families in self._found.items() for family in families or ()]
        found.sort(key=lambda pair: pair[0].name)
        for name, group in groupby(found, key=lambda pair: pair[0].name):
            members = list(group)
            metric = Metric(name, "As vllm-router counts it.", members[0][0].type)
            for family, model in members:
                for (sample, labels), value in family.series.items():
                    metric.add_sample(sample, {"model": model, **dict(labels)}, value)
            yield metric

    async def close(self) -> None:
        """Close the connections."""
        for source in self._sources.values():
            await source.upstream.close()


async def _fetch(source: _Source) -> list[Family] | None:
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            response = await source.upstream.request("GET", "/metrics")
            try:
                text = (await response.read()).decode()
            finally:
                response.close()
        if response.status != 200:
            return None
        return await asyncio.to_thread(read_families, text, source.workers)  # may be long, and is none of the loop's
    except (SluiceError, TimeoutError, ValueError):  # down, silent, or no metrics
        return None


def read_families(text: str, workers: frozenset[str]) -> list[Family]:
    """The router's metrics with bounded labels; samples that these make equal are added up.

    Raises:
        ValueError: this is not Prometheus' format.
    """
    families: list[Family] = []
    for metric in sorted(text_string_to_metric_families(text), key=attrgetter("name")):
        if not metric.name.startswith(PREFIX):
            continue
        series: Series = {}
        for sample in metric.samples:
            labels = _bounded(sample.labels, workers)
            if metric.type == "gauge" and len(labels) < len(sample.labels):
                continue
            key = (sample.name, tuple(sorted(labels.items())))
            series[key] = series.get(key, 0) + sample.value
        if series:
            families.append(Family(metric.name, metric.type, series))
    return families


def _bounded(labels: Mapping[str, str], workers: frozenset[str]) -> dict[str, str]:
    bounded = {name: value for name, value in labels.items() if name in BOUNDED}
    if "route" in labels:
        bounded["route"] = labels["route"] if labels["route"] in ROUTES else "other"
    if labels.get("worker") in workers:
        bounded["worker"] = labels["worker"]
    return bounded
