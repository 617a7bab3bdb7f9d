"""scikit-learn's logistic regression on the features that eager torch gives, once for each picture."""

import time

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from backbone import make_backbone  # noqa: E402
from common import Timeline, arguments, load_arrays  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from torch.nn import functional  # noqa: E402

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@torch.inference_mode()
def features_of(backbone: torch.nn.Module, pictures: np.ndarray, size: int) -> np.ndarray:
    """Pooled features, float32 (N, features)."""
    rows = []
    for start in range(0, len(pictures), 64):
        batch = torch.from_numpy(pictures[start : start + 64]).permute(0, 3, 1, 2).float() / 255
        batch = functional.interpolate(batch, (size, size), mode="bilinear")
        rows.append(backbone(((batch - MEAN) / STD).contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(rows)


def main() -> None:
    """Train, and test once."""
    options = arguments()
    timeline = Timeline(STARTED)
    data = load_arrays(options.data)
    backbone = make_backbone(options.weights).eval().to(memory_format=torch.channels_last)
    timeline.note("ready")
    features = features_of(backbone, data.train, options.size)
    timeline.note("features")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1000 / len(features), max_iter=200))
    model.fit(features, data.train_targets)
    timeline.note("fitted", val_accuracy=model.score(features_of(backbone, data.val, options.size), data.val_targets))
    test_accuracy = model.score(features_of(backbone, data.test, options.size), data.test_targets)
    timeline.note("tested", test_accuracy=test_accuracy)


if __name__ == "__main__":
    main()
