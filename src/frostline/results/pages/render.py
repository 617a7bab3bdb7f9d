"""Self-contained HTML pages from the templates of the package."""

from functools import cache
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """The page that a template gives with these values; every text among them is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("frostline.results.pages"), autoescape=True, undefined=jinja2.StrictUndefined
    )
