"""A plain PyTorch loop in the manner of torchvision's reference: DataLoader, transforms v2, frozen lower layers."""

import time

STARTED = time.perf_counter()

from functools import partial  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from backbone import make_backbone  # noqa: E402
from common import Timeline, arguments, load_arrays  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VARIED = (
    v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, interpolation=v2.InterpolationMode.BILINEAR),
    v2.RandomHorizontalFlip(),
)


class Pictures(Dataset):
    """Arrays as a dataset of the network's inputs."""

    def __init__(self, pictures: np.ndarray, targets: np.ndarray, size: int, varied: bool = False) -> None:
        self.pictures, self.targets = pictures, targets
        to_input = (v2.Resize(size), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD))
        self.transform = v2.Compose([*(VARIED if varied else ()), *to_input])

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(torch.from_numpy(self.pictures[index]).permute(2, 0, 1)), int(self.targets[index])


def make_model(backbone: nn.Module, classes: int) -> tuple[nn.Module, list[nn.Module]]:
    """The backbone with a head of 256, and the parts that train: the backbone's last 20 layers and the head."""
    backbone.requires_grad_(False)
    head = nn.Sequential(
        nn.Linear(1280, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, classes)
    )
    trained = [*backbone.blocks[5][2:], *backbone.blocks[6], backbone.conv_head, backbone.bn2, head]
    for module in trained:
        module.requires_grad_(True)
    return nn.Sequential(backbone, head).to(memory_format=torch.channels_last), trained


def train_mode(model: nn.Module, trained: list[nn.Module]) -> None:
    """Let batch norm and dropout train above the frost line only: what is frozen keeps its statistics."""
    model.eval()
    for module in trained:
        module.train()


@torch.inference_mode()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    """Part of the pictures that are classified correctly."""
    model.eval()
    right = 0
    for pictures, targets in loader:
        logits = model(pictures.contiguous(memory_format=torch.channels_last))
        right += int((logits.argmax(1) == targets).sum())
    return right / len(loader.dataset)


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    torch.manual_seed(options.seed)
    data = load_arrays(options.data)
    load = partial(DataLoader, num_workers=2, persistent_workers=True)
    varied = Pictures(data.train, data.train_targets, options.size, varied=True)
    train = load(varied, options.batch_size, shuffle=True, drop_last=True)
    val = load(Pictures(data.val, data.val_targets, options.size), 256)
    test = DataLoader(Pictures(data.test, data.test_targets, options.size), 256, num_workers=2)
    model, trained = make_model(make_backbone(options.weights), data.classes)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-4)
    loss_function = nn.CrossEntropyLoss()
    timeline.note("ready")
    for epoch in range(options.epochs):
        train_mode(model, trained)
        for pictures, targets in train:
            loss = loss_function(model(pictures.contiguous(memory_format=torch.channels_last)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        timeline.note("epoch", epoch=epoch + 1, val_accuracy=accuracy(model, val))
    timeline.note("tested", test_accuracy=accuracy(model, test))


if __name__ == "__main__":
    main()
