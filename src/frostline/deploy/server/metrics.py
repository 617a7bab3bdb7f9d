"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "frostline_requests", "Requests that were answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "frostline_request_seconds",
            "Time from a request's start to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("frostline_requests_in_flight", "Requests that are worked on.", registry=registry)
        self.pictures = Counter("frostline_pictures", "Pictures that came.", registry=registry)
        self.unreadable = Counter(
            "frostline_unreadable_pictures", "Pictures that could not be read.", registry=registry
        )
        self.batches = Histogram(
            "frostline_batch_pictures", "Pictures that were computed at once.", buckets=_PICTURES, registry=registry
        )

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._registry)
