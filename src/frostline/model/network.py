"""The whole network of a classifier: a backbone with a head on it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frostline.model.backbone import Backbone, load_backbone
from frostline.model.depths import Features, with_features
from frostline.model.head import Activation, make_head


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a network is built from, besides its weights."""

    backbone: str
    head_width: int
    head_activation: Activation
    dropout: float
    features: Features = "last"
    """What the head sees of the backbone; see `frostline.model.depths`."""

    def add_head(self, backbone: Backbone, classes: int) -> "Network":
        """Put a new head on a backbone with these features; its weights come from torch's global random state."""
        head = make_head(
            backbone.features, classes, width=self.head_width, activation=self.head_activation, dropout=self.dropout
        )
        return Network(backbone.module, head)


class Network(nn.Module):
    """Normalised pixels (N, 3, size, size) to logits (N, classes)."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head(self.backbone(pixels))
        return logits


class WithFeatures(nn.Module):
    """A network that gives the features that its head sees, too: (N, features + classes), the logits last."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        features: Tensor = self.network.backbone(pixels)
        return torch.cat((features, self.network.head(features)), 1)


def build_network(architecture: Architecture, size: int, classes: int) -> Network:
    """A network with random weights for pictures of `size` pixels, ready to be filled."""
    backbone = load_backbone(architecture.backbone, weights="none", size=size)
    return architecture.add_head(with_features(backbone, architecture.features), classes)
