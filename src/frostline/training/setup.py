"""From a dataset and options to what the training loop needs: model, batches and stage."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import Pixels
from frostline.data.splits import Splits
from frostline.errors import some_of
from frostline.model.backbone import Backbone, load_backbone
from frostline.model.compiling import compiling_pays
from frostline.model.depths import with_features
from frostline.model.engines import Engine, make_engine, make_quantisable_engine
from frostline.model.frost_line import FrozenBackbone, Tail, freeze_below
from frostline.model.layers import trace_layers
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.transfer import move
from frostline.training.activations import Activations
from frostline.training.augment import PRESETS, Augmentation, Augmenter
from frostline.training.batches import ActivationBatches
from frostline.training.cache import ActivationCache
from frostline.training.defaults import WARMUP_SHARE, default_size, epochs_of
from frostline.training.devices import choose_device, choose_precision
from frostline.training.distributed import ALONE, Ranks
from frostline.training.fit import Stage


@dataclass(frozen=True)
class Model:
    """A network that is cut at the frost line and ready to be trained."""

    classifier: NetworkClassifier
    frozen: FrozenBackbone
    tail: Tail
    engine: Engine
    """Runs the trunk."""
    device: torch.device
    precision: torch.dtype
    depths: tuple[int, ...]
    """How many features come from each depth of the network, one behind the other."""


def load_configured_backbone(dataset: Dataset, config: TrainConfig) -> tuple[Backbone, TrainConfig]:
    """Load the backbone, and settle the input size in the options. Raises `ModelError`."""
    size = config.size or default_size(config, dataset)
    torch.manual_seed(config.seed)
    backbone = load_backbone(config.backbone, weights=config.weights, size=size)
    return with_features(backbone, config.features), config.model_copy(update={"size": size})


def build_model(dataset: Dataset, backbone: Backbone, config: TrainConfig) -> Model:
    """Cut the backbone at the frost line and put a new head on it. Raises `ConfigError` or `ModelError`."""
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    move(backbone.module, device)
    frozen = freeze_below(trace_layers(backbone.module, backbone.size), config.trainable_layers, config.batch_norm)
    torch.manual_seed(config.seed)
    architecture = Architecture(
        config.backbone, config.head_width, config.head_activation, config.dropout, config.features
    )
    network = architecture.add_head(backbone, len(dataset.class_names)).to(device)
    preprocessing = Preprocessing(backbone.size, backbone.mean, backbone.std, config.resize_mode)
    origin = {
        "dataset": dataset.name,
        "weights": {"description": backbone.weights.description, "sha256": backbone.weights.sha256},
    }
    shape = (3, backbone.size, backbone.size)
    if config.trunk_precision == "int8":
        engine: Engine = make_quantisable_engine(frozen.trunk, shape, device)
    else:
        views = epochs_of(config, len(dataset)) if config.views == "fresh" else config.views
        engine = make_engine(frozen.trunk, shape, device, precision, config.batch_size, len(dataset) * views)
    return Model(
        NetworkClassifier(architecture, network, preprocessing, dataset.class_names, origin),
        frozen,
        frozen.tail(network.head),
        engine,
        device,
        precision,
        backbone.depths,
    )


def make_batches(
    model: Model, dataset: Dataset, pixels: Pixels, splits: Splits, config: TrainConfig, ranks: Ranks = ALONE
) -> ActivationBatches:
    """The batches of training and validation pictures for a model, their activations computed as they are needed."""
    augmentation = choose_augmentation(config)
    precision = torch.float16 if config.activation_precision == "float16" else torch.float32
    activations = Activations(
        pixels=pixels,
        augmenter=Augmenter(model.classifier.preprocessing, augmentation, config.seed),
        engine=model.engine,
        trunk_digest=model.frozen.trunk_digest(),
        precision=torch.float32 if model.frozen.trunk_is_empty else precision,
        device=model.device,
        name=f"{dataset.name}, {config.backbone}",
    )
    return ActivationBatches(
        activations=activations,
        targets=dataset.targets,
        train_indices=splits.train,
        val_indices=splits.val,
        classes=len(dataset.class_names),
        batch_size=config.batch_size,
        seed=config.seed,
        balanced=config.sampling == "balanced",
        views=1 if not augmentation.varies else None if config.views == "fresh" else config.views,
        ranks=ranks,
    )


def keep_activations(
    model: Model, batches: ActivationBatches, config: TrainConfig, epochs: range, *, probe: bool
) -> ActivationBatches:
    """The same batches, with the activations that are read more than once kept in the cache; fills it.

    `epochs` are those that see these batches, `probe` is whether a linear probe does too. What every epoch reads is
    brought to the device, if there is room for it there.
    """
    if config.cache and not model.frozen.trunk_is_empty:
        cache = ActivationCache.of_user(config.cache_limit)
        wanted = batches.wanted(epochs.stop, first=epochs.start, probe=probe)
        batches = replace(batches, activations=batches.activations.keep(wanted, cache))
    return batches.on_device()


def compile_tail(model: Model, batches: ActivationBatches, epochs: int) -> None:
    """Have the steps of a training of so many epochs compiled, where that pays and one process alone does them."""
    steps = epochs * batches.steps_per_epoch
    if batches.ranks.count == 1 and compiling_pays(model.device, steps):
        model.tail.compile_steps(batches.batch_size)


def choose_augmentation(config: TrainConfig) -> Augmentation:
    """The preset of `--augment`, with the amounts that have options of their own."""
    names = Augmentation.__dataclass_fields__
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return replace(PRESETS[config.augment], **given)


def make_stage(model: Model, targets: NDArray[np.int64], config: TrainConfig) -> Stage:
    """How to train a model on pictures of these targets, int64 (pictures,)."""
    weights = None
    if config.class_weights == "balanced":
        weights = balanced_weights(targets, len(model.classifier.class_names)).to(model.device)
    epochs = epochs_of(config, len(targets))
    return Stage(
        epochs=epochs,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        head_lr_multiplier=config.head_lr_multiplier,
        layer_decay=config.layer_decay,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        schedule=config.schedule,
        warmup_epochs=epochs * WARMUP_SHARE if config.warmup_epochs is None else config.warmup_epochs,
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        ema_decay=config.ema_decay,
        class_weights=weights,
        patience=config.patience,
        seed=config.seed,
        precision=model.precision,
    )


def describe_balance(dataset: Dataset, splits: Splits, config: TrainConfig) -> Iterator[str]:
    """What the options do about classes of different sizes, a line each."""
    targets, names = dataset.targets[splits.train], dataset.class_names
    if config.class_weights == "balanced":
        weights = balanced_weights(targets, len(names))
        of_classes = [f"{name} {weight:.3g}" for name, weight in zip(names, weights.tolist(), strict=True)]
        yield f"class weights: {some_of(of_classes)}"
    if config.sampling == "balanced":
        counts = np.bincount(targets, minlength=len(names))
        share = len(targets) / len(names)
        times = [f"{name} {share / count:.3g}" for name, count in zip(names, counts, strict=True)]
        yield f"balanced sampling; times that an epoch sees each picture: {some_of(times)}"


def balanced_weights(targets: NDArray[np.int64], classes: int) -> Tensor:
    """Weight of each class, float32 (classes,): inverse to its frequency, one on average over the pictures."""
    counts = np.bincount(targets, minlength=classes)
    return torch.from_numpy((len(targets) / (classes * counts)).astype(np.float32))
