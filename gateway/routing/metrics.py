"""What routes count, for Prometheus; label sets are bounded by the settings."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.routing.route import Route


class RoutingMetrics(Collector):
    """Read from the routes at each scrape, so that counting costs a request nothing but an addition."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client for each scrape."""
        requests = CounterMetricFamily(
            "sluice_upstream_requests", "Attempts, by how they ended.", labels=("route", "upstream", "outcome")
        )
        is_open = GaugeMetricFamily(
            "sluice_upstream_open", "Whether the upstream's circuit is open (half-open: 0.5).", labels=("upstream",)
        )
        retries = CounterMetricFamily(
            "sluice_route_retries", "Retries within the route, and those its budget refused.", labels=("route", "taken")
        )
        fallbacks = CounterMetricFamily(
            "sluice_route_fallbacks", "Requests that went on to another route.", labels=("route", "reason", "to")
        )
        shadows = CounterMetricFamily(
            "sluice_route_shadows", "Copies for another route, and those left out.", labels=("route", "to", "sent")
        )
        breakers = {target.breaker for route in self._routes for target in route.targets if target.breaker is not None}
        for breaker in breakers:
            is_open.add_metric([breaker.upstream], {"closed": 0, "half_open": 0.5, "open": 1}[breaker.state])
        for route in self._routes:
            for target in route.targets:
                for outcome, count in target.outcomes.items():
                    if count:
                        requests.add_metric([route.name, target.name, outcome], count)
            if route.plan is None:
                continue
            if route.plan.retries is not None:
                retries.add_metric([route.name, "yes"], route.plan.retries.taken)
                retries.add_metric([route.name, "no"], route.plan.retries.refused)
            for (reason, to), count in list(route.plan.followed.items()):
                fallbacks.add_metric([route.name, reason, to], count)
            if (shadow := route.plan.shadow) is not None:
                shadows.add_metric([route.name, shadow.route.name, "yes"], shadow.sent)
                shadows.add_metric([route.name, shadow.route.name, "no"], shadow.left_out)
        yield from (requests, is_open, retries, fallbacks, shadows)
