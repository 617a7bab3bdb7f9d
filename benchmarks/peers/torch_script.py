"""A plain PyTorch loop in the manner of torchvision's reference: DataLoader, transforms v2, frozen lower layers."""

import time

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from common import Timeline, arguments, load_arrays  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from frostline._torchvision import ensure_importable  # noqa: E402

ensure_importable()  # torchvision's operators are missing beside a CPU build of torch

import timm  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pictures(Dataset):
    """Arrays as a dataset."""

    def __init__(self, pictures: np.ndarray, targets: np.ndarray, transform: v2.Transform) -> None:
        self.pictures, self.targets, self.transform = pictures, targets, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(torch.from_numpy(self.pictures[index]).permute(2, 0, 1)), int(self.targets[index])


@torch.inference_mode()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    """Part of the pictures that are classified correctly."""
    model.eval()
    right = sum(int((model(pictures).argmax(1) == targets).sum()) for pictures, targets in loader)
    return right / len(loader.dataset)


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    torch.manual_seed(options.seed)
    data = load_arrays(options.data)
    to_input = [v2.Resize(options.size), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    plain = v2.Compose(to_input)
    varied = v2.Compose(
        [
            v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
            *to_input,
        ]
    )
    workers = {"num_workers": 2, "persistent_workers": True}
    train = DataLoader(
        Pictures(data.train, data.train_targets, varied), options.batch_size, shuffle=True, drop_last=True, **workers
    )
    val = DataLoader(Pictures(data.val, data.val_targets, plain), 256, **workers)
    test = DataLoader(Pictures(data.test, data.test_targets, plain), 256, num_workers=2)
    backbone = timm.create_model("mobilenetv2_100", num_classes=0)
    backbone.load_state_dict(load_file(options.weights), strict=False)
    backbone.requires_grad_(False)
    trained = [*backbone.blocks[5][2:], *backbone.blocks[6], backbone.conv_head, backbone.bn2]
    for module in trained:
        module.requires_grad_(True)
    head = nn.Sequential(
        nn.Linear(1280, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, data.classes)
    )
    model = nn.Sequential(backbone, head).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-4)
    loss_function = nn.CrossEntropyLoss()
    timeline.note("ready")
    for epoch in range(options.epochs):
        model.eval()
        for module in (*trained, head):
            module.train()
        for pictures, targets in train:
            loss = loss_function(model(pictures.contiguous(memory_format=torch.channels_last)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        timeline.note("epoch", epoch=epoch + 1, val_accuracy=accuracy(model, val))
    timeline.note("tested", test_accuracy=accuracy(model, test))


if __name__ == "__main__":
    main()
