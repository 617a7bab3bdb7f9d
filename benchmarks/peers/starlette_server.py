"""A plain service of a trained network, as a user would write it: starlette, Pillow, torchvision, torch."""

import argparse
import io
from collections.abc import Callable

import torch
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from frostline.model.network_classifier import NetworkClassifier

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("classifier")
parser.add_argument("--port", type=int, required=True)
options = parser.parse_args()

classifier = NetworkClassifier.load(options.classifier)
model = classifier.network.eval()
expected = classifier.preprocessing


def make_transform() -> Callable[[Image.Image], torch.Tensor]:
    """What the network expects; torchvision is imported here, after frostline has made that possible."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize(expected.size, antialias=True),
            v2.CenterCrop(expected.size),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(expected.mean, expected.std),
        ]
    )


transform = make_transform()


@torch.inference_mode()
def predict(request: Request) -> JSONResponse:
    """Classify the picture that is the request's body."""
    picture = Image.open(io.BytesIO(request.state.body)).convert("RGB")
    probabilities = model(transform(picture)[None]).softmax(1)[0]
    best = probabilities.topk(min(5, len(probabilities)))
    names = [classifier.class_names[index] for index in best.indices.tolist()]
    return JSONResponse({"top": dict(zip(names, best.values.tolist(), strict=True))})


async def endpoint(request: Request) -> JSONResponse:
    """Read the body, then compute at once."""
    request.state.body = await request.body()
    return predict(request)


uvicorn.run(Starlette(routes=[Route("/predict", endpoint, methods=["POST"])]), port=options.port, log_level="warning")
