"""The routes that tell about the service, and those of its page."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from frostline.deploy.server.engine import needs_torch
from frostline.deploy.server.openapi import describe_service
from frostline.deploy.server.service import Service

_PAGE = Path(__file__).parent / "page"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Endpoint = Callable[[Request], Awaitable[Response]]


def page_files() -> dict[str, Endpoint]:
    """What answers for each path of the page: `/` is its index.html, and its other files are at their names."""
    files = sorted(file for file in _PAGE.iterdir() if file.suffix in _KINDS)
    paths = ["/" if file.name == "index.html" else f"/{file.name}" for file in files]
    return {path: _constant(file.read_bytes(), _KINDS[file.suffix]) for path, file in zip(paths, files, strict=True)}


async def healthz(request: Request) -> Response:
    """Whether the process lives."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether it is of use to send requests."""
    status = _service(request).status
    return JSONResponse({"status": status}, 200 if status == "ready" else 503)


async def metrics(request: Request) -> Response:
    """What was counted, as Prometheus reads it."""
    return Response(_service(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def model(request: Request) -> Response:
    """What is served, and its limits."""
    return JSONResponse(describe_model(_service(request)))


async def openapi(request: Request) -> Response:
    """The service's description by OpenAPI 3.1."""
    service = _service(request)
    return JSONResponse(describe_service(service.classifier.class_names, service.settings))


def describe_model(service: Service) -> dict[str, Any]:
    """What `/model` answers."""
    classifier, settings = service.classifier, service.settings
    return {
        "classes": list(classifier.class_names),
        "input_size": classifier.preprocessing.size,
        "unsure_below": classifier.unsure_below,
        "measures_distance": classifier.far_beyond is not None,
        "can_explain": needs_torch(classifier),
        "top_k": settings.top_k,
        "limits": {
            "body_bytes": settings.max_body_bytes,
            "pixels": settings.max_pixels,
            "pictures": settings.max_pictures,
            "formats": list(service.decoder.formats),
        },
        "token_needed": settings.token is not None,
    }


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _constant(content: bytes, media_type: str) -> Endpoint:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer
