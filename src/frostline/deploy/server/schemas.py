"""JSON schemas of the service's answers."""

from collections.abc import Sequence
from typing import Any

from frostline.deploy.server.problems import describe


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """An object of just these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


def _one_of(values: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}

_ANSWERED = _object(
    {
        "name": _TEXT,
        "answer": {"type": "string", "description": "The most probable class, or `unsure`."},
        "unsure": _FLAG,
        "far": {"type": "boolean", "description": "Whether the picture is unlike those that were trained on."},
        "top": _list(_object({"class": _TEXT, "probability": _SHARE}), 1),
    }
)
_REFUSED = _object({"name": _TEXT, "error": _TEXT})

SCHEMAS: dict[str, Any] = {
    "Predictions": _object({"predictions": _list({"oneOf": [_ANSWERED, _REFUSED]}, 1)}),
    "Model": _object(
        {
            "classes": _list(_TEXT, 1),
            "input_size": _COUNT,
            "unsure_below": {"type": ["number", "null"]},
            "measures_distance": _FLAG,
            "can_explain": _FLAG,
            "top_k": _COUNT,
            "limits": _object({"body_bytes": _COUNT, "pixels": _COUNT, "pictures": _COUNT, "formats": _list(_TEXT, 1)}),
            "token_needed": _FLAG,
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Readiness": _object({"status": _one_of(("ready", "starting", "stopping"))}),
    "Problem": _object({name: {"type": "integer"} if name == "status" else _TEXT for name in describe(400, "")}),
}
"""By name, for `#/components/schemas`."""
