"""What an artefact computes after its input: answers from pixels, as one torch module that every format converts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.model.network import Network
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.trust import Trust


class Answering(nn.Module):
    """Features (N, features) and logits (N, classes) to probabilities (N, classes) and, if measured, distances (N,).

    The same as `Trust` computes, of whose arrays it keeps copies.
    """

    def __init__(self, trust: Trust) -> None:
        super().__init__()
        self._scaling = trust.scaling
        directions = None if trust.training is None else torch.from_numpy(trust.training.directions.T.copy())
        self.register_buffer("_directions", directions)

    def forward(self, features: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        scaling = self._scaling
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


class Scoring(nn.Module):
    """Normalised pixels (N, 3, size, size) to features (N, features) and logits (N, classes)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features: Tensor = self.network.backbone(pixels)
        return features, self.network.head(features)


class Whole(nn.Module):
    """Normalised pixels (N, 3, size, size) to what `Answering` gives."""

    def __init__(self, classifier: NetworkClassifier) -> None:
        super().__init__()
        self.scoring = Scoring(classifier.network)
        self.answering = Answering(classifier.trust)
        self.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        features, logits = self.scoring(pixels)
        answers: tuple[Tensor, ...] = self.answering(features, logits)
        return answers


def output_names(trust: Trust) -> list[str]:
    """The names of what `Answering` gives."""
    return ["probabilities"] if trust.training is None else ["probabilities", "distances"]
