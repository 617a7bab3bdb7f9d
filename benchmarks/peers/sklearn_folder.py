"""scikit-learn's logistic regression, as it is, on the features that eager torch gives for a folder of pictures."""

import time

STARTED = time.perf_counter()

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from backbone import make_backbone  # noqa: E402
from common import Timeline, arguments  # noqa: E402
from PIL import Image  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from timm.data import create_transform, resolve_data_config  # noqa: E402


@torch.inference_mode()
def features_of(backbone: torch.nn.Module, paths: list[Path], size: int) -> np.ndarray:
    """Pooled features, float32 (N, features), of what timm's transform makes of each picture without cutting it."""
    transform = create_transform(**resolve_data_config({"img_size": size, "crop_pct": 1.0}, model=backbone))
    rows = []
    for start in range(0, len(paths), 64):
        pictures = [transform(Image.open(path).convert("RGB")) for path in paths[start : start + 64]]
        rows.append(backbone(torch.stack(pictures).contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(rows)


def main() -> None:
    """Train, and test once."""
    options = arguments(standardise="standardise the features first")
    timeline = Timeline(STARTED)
    train, test = (sorted(options.data.glob(f"{split}/*/*.png")) for split in ("train", "test"))
    backbone = make_backbone(options.weights, options.backbone).eval().to(memory_format=torch.channels_last)
    timeline.note("ready")
    model = LogisticRegression(max_iter=1000)  # so many only to end where the default of 100 may not
    if options.standardise:
        model = make_pipeline(StandardScaler(), model)
    model.fit(features_of(backbone, train, options.size), [path.parent.name for path in train])
    timeline.note("trained")
    accuracy = model.score(features_of(backbone, test, options.size), [path.parent.name for path in test])
    timeline.note("tested", test_accuracy=accuracy)


if __name__ == "__main__":
    main()
