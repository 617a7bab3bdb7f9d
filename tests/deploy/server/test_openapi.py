"""The service keeps to its description, whatever is sent to it."""

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from tests.deploy.server.conftest import Running, png, running

from frostline.deploy.server.settings import Settings
from frostline.model.network_classifier import NetworkClassifier

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
COUNTS, MANY = {"post": 15, "get": 3}, 200


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
    send_cases(description, path, mode, COUNTS[OPERATIONS[path]])


@pytest.mark.full
@pytest.mark.parametrize(("path", "mode"), CASES)
def test_hundreds_of_answers_are_as_described(path: str, mode: GenerationMode, description: Any) -> None:
    send_cases(description, path, mode, MANY)


@pytest.mark.full
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer right"])
def test_hundreds_of_answers_are_as_described_where_a_token_is_needed(
    authorization: str | None, classifier: NetworkClassifier
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    with running(classifier, Settings(max_body_bytes=200_000, max_pixels=100_000, token="right")) as served:
        description = schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json")
        for path, mode in CASES:
            send_cases(description, path, mode, MANY, headers)
        counted = served.service.metrics.text().decode()
    assert ('route="/predict",status="200"' in counted) == (authorization == "Bearer right")


def is_sent_whole(case: Case[Any]) -> bool:
    """Whether each property of a form becomes a part of it: an empty list becomes none, and then nothing is wrong."""
    return not isinstance(case.body, dict) or [] not in case.body.values()


def send_cases(
    description: Any, path: str, mode: GenerationMode, count: int, headers: dict[str, str] | None = None
) -> None:
    """Send what the description allows, or what it does not, and see whether the answers are as it says."""
    operation = description[path][OPERATIONS[path].upper()]
    excluded: list[CheckFunction] = [positive_data_acceptance]  # bytes that are no picture are refused
    if headers:
        excluded.append(negative_data_rejection)  # the token given here may be all that a case was made to lack

    @hypothesis.settings(max_examples=count, deadline=None, database=None, derandomize=True)
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        hypothesis.assume(is_sent_whole(case))
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    check()
