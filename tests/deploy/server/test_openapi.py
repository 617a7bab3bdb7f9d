"""The service keeps to its description, whatever is sent to it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.deploy.server.conftest import Running, png

for kind in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.sampled_from([png(20, 30), png(90, 40)]))


OPERATIONS = {
    **dict.fromkeys(("/predict", "/explain"), "post"),
    **dict.fromkeys(("/model", "/healthz", "/readyz", "/metrics", "/openapi.json"), "get"),
}
CASES = [
    *((path, GenerationMode.POSITIVE) for path in OPERATIONS),
    *((path, GenerationMode.NEGATIVE) for path in OPERATIONS if OPERATIONS[path] == "post"),
]
COUNTS = {"post": 15, "get": 3}


@pytest.fixture(scope="module")
def description(served: Running) -> Any:
    """The description of the service that listens, as schemathesis reads it."""
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json")


def test_the_description_is_valid_and_whole(description: Any) -> None:
    description.validate()
    described = description.raw_schema["paths"]
    assert {path: method for path, methods in described.items() for method in methods} == OPERATIONS


@pytest.mark.parametrize(("path", "mode"), CASES)
def test_every_answer_is_as_described(path: str, mode: GenerationMode, description: Any) -> None:
    method = OPERATIONS[path]
    operation = description[path][method.upper()]

    @settings(max_examples=COUNTS[method], deadline=None, database=None, derandomize=True)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # bytes that are no picture are refused

    check()
