"""Stands in for Jaeger where no registry can be reached: takes spans over OTLP/HTTP and says whose it has.

POST :4318/v1/traces, GET :16686/api/services and GET :13133/status, as Jaeger has them; nothing is kept but the names.
"""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SERVICES: set[str] = set()


class Answer(BaseHTTPRequestHandler):
    """One request on any of the three ports."""

    def do_POST(self) -> None:
        """Spans of one process."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            if any(scope.spans for scope in of_process.scope_spans):
                attributes = of_process.resource.attributes
                SERVICES.update(each.value.string_value for each in attributes if each.key == "service.name")
        self._say("application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

    def do_GET(self) -> None:
        """Whose spans there are; or just that we are well."""
        self._say("application/json", json.dumps({"data": sorted(SERVICES)}).encode())

    def _say(self, media: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


servers = [ThreadingHTTPServer(("0.0.0.0", port), Answer) for port in (4318, 13133, 16686)]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
