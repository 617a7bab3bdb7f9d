"""The service's description by OpenAPI 3.1."""

from collections.abc import Iterable, Sequence
from typing import Any

from frostline import __version__
from frostline.deploy.server import problems
from frostline.deploy.server.schemas import SCHEMAS
from frostline.deploy.server.settings import MOST_TOP_K, Settings

_BINARY = {"type": "string", "format": "binary"}

_PROBLEMS = {
    400: "The request has no body, or it is not a whole form.",
    401: "The token is missing, or is another.",
    404: "This classifier cannot be explained.",
    408: "The request took too long.",
    413: "The body is too large, or the pictures are too many or have too many pixels.",
    415: "The body is of a kind that holds no pictures.",
    422: "A parameter is wrong, or no picture can be read.",
    500: "The server failed on this request.",
    503: "Too much is asked of the server at this moment.",
}


def describe_service(class_names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The description of a service whose classifier knows these classes."""
    components: dict[str, Any] = {"schemas": SCHEMAS}
    if settings.token is not None:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "frostline",
            "version": __version__,
            "description": f"Classifies pictures as one of {len(class_names)} classes.",
        },
        "paths": {
            "/predict": {"post": _predict(settings)},
            "/explain": {"post": _explain(class_names, settings)},
            "/model": {"get": _told("describeModel", "What is served, and its limits.", _schema("Model"))},
            "/healthz": {"get": _told("checkHealth", "Whether the process lives.", _schema("Health"))},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _told("readMetrics", "What was counted, for Prometheus.", _kind("text/plain"))},
            "/openapi.json": {"get": _told("describeService", "This description.", _json({"type": "object"}))},
        },
        "components": components,
    }


def _predict(settings: Settings) -> dict[str, Any]:
    top_k = {"type": "integer", "minimum": 1, "maximum": MOST_TOP_K, "default": settings.top_k}
    described = "Classes in an answer, the most probable first; no more than there are."
    answer = {"description": "What each picture shows, in the order given.", "content": _schema("Predictions")}
    return {
        "operationId": "predict",
        "summary": "Classify pictures.",
        "description": "A picture that cannot be read is an entry with its error, as long as another one can.",
        "parameters": [_parameter("top_k", described, top_k)],
        "requestBody": _body(settings.max_pictures),
        "responses": {"200": answer, **_problems((400, 408, 413, 415, 422, 500, 503), settings)},
        **_security(settings),
    }


def _explain(class_names: Sequence[str], settings: Settings) -> dict[str, Any]:
    described = "The class to explain; by default the most probable one."
    answer = {"description": "The picture with heat on what speaks for the class.", "content": _kind("image/png")}
    return {
        "operationId": "explain",
        "summary": "Show what in a picture speaks for a class.",
        "parameters": [_parameter("class", described, {"type": "string", "enum": list(class_names)})],
        "requestBody": _body(1),
        "responses": {"200": answer, **_problems((400, 404, 408, 413, 415, 422, 500, 503), settings)},
        **_security(settings),
    }


def _readyz() -> dict[str, Any]:
    told = _told("checkReadiness", "Whether requests can be answered now.", _schema("Readiness"))
    told["responses"]["503"] = {"description": "It starts or stops.", "content": _schema("Readiness")}
    return told


def _told(identifier: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    """An operation without parameters."""
    return {
        "operationId": identifier,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **_problem(500)},
    }


def _body(pictures: int) -> dict[str, Any]:
    """One picture as it is, or up to so many files in a form."""
    form = {
        "type": "object",
        "description": f"Files, in fields of any name; at most {pictures}.",
        "properties": {"picture": {"type": "array", "items": _BINARY, "minItems": 1}},
        "required": ["picture"],
        "additionalProperties": False,
    }
    kinds = ("application/octet-stream", "image/*")
    return {
        "required": True,
        "content": {"multipart/form-data": {"schema": form}, **{kind: {"schema": _BINARY} for kind in kinds}},
    }


def _problems(statuses: Iterable[int], settings: Settings) -> dict[str, Any]:
    with_token = [*statuses, 401] if settings.token is not None else statuses
    return {name: answer for status in with_token for name, answer in _problem(status).items()}


def _problem(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
    if status == 503:
        answer["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return {str(status): answer}


def _security(settings: Settings) -> dict[str, Any]:
    return {} if settings.token is None else {"security": [{"token": []}]}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "required": False, "schema": schema}


def _schema(name: str) -> dict[str, Any]:
    return _json({"$ref": f"#/components/schemas/{name}"})


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _kind(media_type: str) -> dict[str, Any]:
    return {media_type: {}}
