"""The pages for people: waiting room and seats, and the styles and scripts they load.

The pages are the same for everyone, so a cache in front may keep them; a fan's own data stays in the browser. Scripts
and styles come from this server alone (no inline script or style is allowed), under a digest of all of them: caches may
keep them for ever, and a page never loads scripts of another version.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from target.http.messages import ProblemError
from target.http.operations import Success, operation
from target.seats import SEATS_MAX
from target.settings import Settings

WEB: Final = Path(__file__).parent
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PAGE_CACHE: Final = "public, max-age=60"
ASSET_CACHE: Final = "public, max-age=31536000, immutable"
PAGE_HEADERS: Final = {
    "cache-control": PAGE_CACHE,
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class WebRoutes:
    """Handlers of the pages of all events, and of their scripts and styles. `events`: the settings and the title of
    each.
    """

    def __init__(self, events: Iterable[tuple[Settings, str]]) -> None:
        self._assets = {path.name: path.read_bytes() for path in sorted(WEB.iterdir()) if path.suffix in TYPES}
        self.digest = _digest(self._assets)
        self._pages = {
            f"/{page}/{settings.event}": self._fill((WEB / f"{page}.html").read_text(), settings, title)
            for settings, title in events
            for page in ("queue", "seats")
        }

    def routes(self) -> list[Route]:
        """The routes that people type, and those that the pages name."""
        return [
            *(Route(path, self.page) for path in self._pages),
            Route("/assets/{digest}/{name}", self.asset),
        ]

    @operation("pages", {200: Success("The page.", media="text/html")})
    async def page(self, request: Request) -> Response:
        """A page of one event."""
        return Response(self._pages[request.url.path], headers=PAGE_HEADERS, media_type="text/html")

    @operation(
        "pages",
        {
            200: Success("The file, for ever.", media="*/*"),
            307: Success("To the present version.", headers=("location",)),
            404: "no such file",
        },
    )
    async def asset(self, request: Request) -> Response:
        """A script or style. A request of a page of another version is redirected to the present one."""
        name = request.path_params["name"]
        if name not in self._assets:
            raise ProblemError(404, "no such file")
        if request.path_params["digest"] != self.digest:
            return RedirectResponse(f"/assets/{self.digest}/{name}", 307, {"cache-control": "no-store"})
        headers = {"cache-control": ASSET_CACHE, "x-content-type-options": "nosniff"}
        return Response(self._assets[name], headers=headers, media_type=TYPES[Path(name).suffix])

    def _fill(self, template: str, settings: Settings, title: str) -> bytes:
        values = {
            "event": settings.event,
            "title": title,
            "assets": f"/assets/{self.digest}",
            "opens_at": settings.opens_at_s,
            "policy": settings.queue_policy,
            "turn_valid_s": settings.admission_valid_s,
            "accessible": "yes" if settings.accessible_pairs else "",
            "seats_max": min(settings.purchase_limit or SEATS_MAX, SEATS_MAX),
        }
        for name, value in values.items():
            template = template.replace(f"{{{{{name}}}}}", html.escape(str(value)))
        return template.encode()


def _digest(assets: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in assets.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
