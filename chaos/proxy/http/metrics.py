"""The Prometheus page of the server: what Toxiproxy counts under Toxiproxy's names, the rest under our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from chaos.proxy.http.messages import STREAMS
from chaos.proxy.proxy import Proxy

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BYTES_LABELS: Final = ("direction", "proxy", "listener", "upstream")


def metrics_page(proxies: Sequence[Proxy]) -> bytes:
    """The page as it is now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(proxies))
    return generate_latest(registry)


class _Page(Collector):
    """Computed when it is asked for: nothing is counted twice."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self._proxies = proxies

    def collect(self) -> Iterable[Metric]:
        yield from _bytes(self._proxies)
        yield from _gauges(self._proxies)
        yield from _counters(self._proxies)


def _bytes(proxies: Sequence[Proxy]) -> Iterator[Metric]:
    received = CounterMetricFamily("toxiproxy_proxy_received_bytes", "Bytes read from a socket", labels=_BYTES_LABELS)
    sent = CounterMetricFamily("toxiproxy_proxy_sent_bytes", "Bytes handed to a socket", labels=_BYTES_LABELS)
    for proxy in proxies:
        for stream in STREAMS:
            labels = (stream, proxy.name, proxy.listen, proxy.upstream)
            traffic = proxy.traffic(stream)
            received.add_metric(labels, traffic.received_bytes)
            sent.add_metric(labels, traffic.sent_bytes)
    yield from (received, sent)


def _gauges(proxies: Sequence[Proxy]) -> Iterator[Metric]:
    values: dict[str, tuple[str, Callable[[Proxy], int]]] = {
        "enabled": ("Whether the proxy listens", lambda proxy: proxy.enabled),
        "toxics": ("Toxics in force", lambda proxy: len(proxy.toxics())),
        "connections": ("Connections that are open now", lambda proxy: proxy.connections_open),
        "connections_stalled": ("Of these, how many a drop stalled", lambda proxy: proxy.connections_stalled),
    }
    for name, (text, value) in values.items():
        gauge = GaugeMetricFamily(f"gatecrash_proxy_{name}", text, labels=("proxy",))
        for proxy in proxies:
            gauge.add_metric((proxy.name,), value(proxy))
        yield gauge


def _counters(proxies: Sequence[Proxy]) -> Iterator[Metric]:
    accepted = CounterMetricFamily("gatecrash_proxy_connections_accepted", "Connections accepted", labels=("proxy",))
    expired = CounterMetricFamily("gatecrash_proxy_leases_expired", "Toxics whose lease ran out", labels=("proxy",))
    dropped = CounterMetricFamily(
        "gatecrash_proxy_connections_dropped", "Connections dropped", labels=("proxy", "mode")
    )
    for proxy in proxies:
        accepted.add_metric((proxy.name,), proxy.connections_total)
        expired.add_metric((proxy.name,), proxy.leases_expired)
        for mode, count in sorted(proxy.dropped.items()):
            dropped.add_metric((proxy.name, mode), count)
    yield from (accepted, expired, dropped)
