"""What an artefact computes after its input: answers from pixels, as one torch module that every format converts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.model.network_classifier import NetworkClassifier
from frostline.model.trust import Trust


class Answering(nn.Module):
    """Features (N, features) to probabilities (N, classes) and, if measured, distances (N,).

    The same as the classifier's head and its `Trust` compute, of whose arrays it keeps copies.
    """

    def __init__(self, classifier: NetworkClassifier) -> None:
        super().__init__()
        self._head = classifier.network.head
        self._scaling = classifier.trust.scaling
        training = classifier.trust.training
        directions = None if training is None else torch.from_numpy(training.directions.T.copy())
        self.register_buffer("_directions", directions)
        self.eval()

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        scaling, logits = self._scaling, self._head(features)
        centred = logits - logits.mean(1, keepdim=True)
        sizes = centred.abs().mean(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        own = scaling.temperature * (sizes / scaling.typical_size) ** scaling.power
        probabilities = (centred / own).softmax(1)
        directions = self._directions
        if directions is None:
            return (probabilities,)
        assert isinstance(directions, Tensor)
        cosines = F.normalize(features, dim=1) @ directions.float()
        return probabilities, 1 - cosines.amax(1)


class Whole(nn.Module):
    """Normalised pixels (N, 3, size, size) to what `Answering` gives."""

    def __init__(self, classifier: NetworkClassifier) -> None:
        super().__init__()
        self.backbone = classifier.network.backbone
        self.answering = Answering(classifier)
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        answers: tuple[Tensor, ...] = self.answering(self.backbone(pixels))
        return answers


def output_names(trust: Trust) -> list[str]:
    """The names of what `Answering` gives."""
    return ["probabilities"] if trust.training is None else ["probabilities", "distances"]
