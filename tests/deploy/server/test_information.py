"""What the service tells of itself: headers, page, metrics, and a description that can be relied on."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.deploy.server.conftest import CLASSES, SIZE, Running, png

from frostline import __version__
from frostline.deploy.server.settings import allowed_formats

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self)",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def assert_guarded(answer: httpx.Response) -> None:
    """The answer must carry the security headers, each once, and not name the server's software."""
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/page.js", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/model", 200),
        ("GET", "/predict", 405),
        ("DELETE", "/model", 405),
        ("OPTIONS", "/predict", 405),
        ("POST", "/healthz", 405),
        ("GET", "/nothing", 404),
        ("GET", "/predict/", 404),
        ("GET", "/page/../app.py", 404),
        ("GET", "/%2e%2e/app.py", 404),
        ("POST", "/predict", 400),
        ("POST", "/explain", 400),
    ],
)
def test_every_answer_is_guarded(method: str, path: str, status: int, served: Running) -> None:
    answer = served.client.request(method, path)
    assert answer.status_code == status
    assert_guarded(answer)
    if status == 405:
        assert answer.headers["allow"] in ("POST", "GET, HEAD")
    if method == "HEAD":
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")],
)
def test_the_page_is_served_by_its_types(path: str, kind: str, served: Running) -> None:
    answer = served.client.get(path)
    assert answer.headers["content-type"].startswith(kind)
    assert answer.content


def test_the_page_asks_no_other_server(served: Running) -> None:
    page = served.client.get("/").text
    assert "http://" not in page
    assert "https://" not in page


def test_the_model_is_described(served: Running) -> None:
    assert served.client.get("/model").json() == {
        "classes": list(CLASSES),
        "input_size": SIZE,
        "unsure_below": None,
        "measures_distance": False,
        "can_explain": True,
        "top_k": 5,
        "limits": {"body_bytes": 200_000, "pixels": 100_000, "pictures": 8, "formats": list(allowed_formats())},
        "token_needed": False,
    }


def test_health_and_readiness(served: Running) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.client.get("/readyz").json() == {"status": "ready"}


def read_metrics(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Value by name and label values."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_metrics_count_what_happens(served: Running) -> None:
    before = read_metrics(served.client)
    files = [("a", ("a.png", png(70, 70))), ("a", ("b.txt", b"text"))]
    assert served.client.post("/predict", files=files).status_code == 200
    assert served.client.post("/predict", content=b"text").status_code == 422
    assert served.client.get("/no/such/path").status_code == 404
    after = read_metrics(served.client)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert grown("frostline_pictures_total") == 3
    assert grown("frostline_unreadable_pictures_total") == 2
    assert grown("frostline_batch_pictures_sum") == 1
    assert grown("frostline_requests_total", "/predict", "200") == 1
    assert grown("frostline_requests_total", "/predict", "422") == 1
    assert grown("frostline_requests_total", "none", "404") == 1
    assert grown("frostline_request_seconds_count", "/predict") == 2
    assert after[("frostline_requests_in_flight",)] == 0


def test_the_description_is_of_this_service(served: Running) -> None:
    described = served.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert described["info"]["version"] == __version__
    assert described["paths"]["/explain"]["post"]["parameters"][0]["schema"]["enum"] == list(CLASSES)
    assert "securitySchemes" not in described["components"]
