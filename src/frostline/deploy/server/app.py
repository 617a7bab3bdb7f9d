"""The service as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from frostline.deploy.server import answers, information
from frostline.deploy.server.admission import Admission
from frostline.deploy.server.boundary import Boundary
from frostline.deploy.server.problems import ProblemError, answer_http_exception, answer_problem
from frostline.deploy.server.service import Service
from frostline.deploy.server.settings import Settings
from frostline.model.classifier import ImageClassifier


def make_app(classifier: ImageClassifier, settings: Settings) -> Starlette:
    """The application that serves a classifier; its `Service` is `app.state.service`."""
    service = Service(classifier, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await service.close()

    guarded = [Middleware(Admission, service=service)]
    told = (information.healthz, information.readyz, information.metrics, information.model)
    app = Starlette(
        routes=[
            Route("/predict", answers.predict, methods=["POST"], middleware=guarded),
            Route("/explain", answers.explain, methods=["POST"], middleware=guarded),
            *(Route(f"/{endpoint.__name__}", endpoint) for endpoint in told),
            Route("/openapi.json", information.openapi),
            *(Route(path, endpoint) for path, endpoint in information.page_files().items()),
        ],
        middleware=[Middleware(Boundary, service=service)],
        exception_handlers={ProblemError: answer_problem, HTTPException: answer_http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app
