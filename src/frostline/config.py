"""Every option of a training, described once: the command line, the YAML file and the docs are made from it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError, field_serializer

from frostline.errors import ConfigError, did_you_mean
from frostline.files import atomic_write
from frostline.recipes import RECIPES

TestTimeAugmentation = Literal["none", "flip"]
"""Whether pictures are answered together with their mirror images."""


def default_text(default: Any) -> str:
    """An option's default as a user would write it."""
    if isinstance(default, ByteSize):
        return default.human_readable(decimal=True, separator="").replace(".0", "")
    return str(default).lower()


def _duration(value: object) -> object:
    """What pydantic reads as a duration, from numbers with units such as 90s, 10m or 1h30m; without one, seconds."""
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", value) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        return value
    hours, minutes, seconds = (part or 0 for part in match.groups())
    return float(hours) * 3600 + float(minutes) * 60 + float(seconds)


def _option(default: Any, group: str, help_text: str, **bounds: Any) -> Any:
    return Field(default, description=help_text, json_schema_extra={"group": group}, **bounds)


class TrainConfig(BaseModel):
    """The options of one training run; `frostline train --help` lists them.

    An unknown name or a value out of bounds raises `pydantic.ValidationError`; `TrainConfig.make`, which also
    reads recipes and YAML files, raises `ConfigError` with one line instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str | None = _option(
        None, "Data", "The pictures: a folder, an archive, a table, a named dataset or hf:owner/name."
    )
    data_dir: Path | None = _option(None, "Data", "Folder with archives of named datasets; else FROSTLINE_DATA.")
    path_column: str | None = _option(
        None, "Data", "Column of a table with the paths of the pictures, or with the pictures; else path or file_name."
    )
    label_column: str | None = _option(None, "Data", "Column of a table with the labels; else label.")
    split_column: str | None = _option(None, "Data", "Column of a table with the splits; else split, if there is one.")
    group_column: str | None = _option(
        None,
        "Data",
        "Column of a table with what pictures have in common, such as a patient or a camera: no group is divided "
        "between splits; else group, if there is one.",
    )
    time_column: str | None = _option(
        None,
        "Data",
        "Column of a table with the times of the pictures: the newest test, the oldest train; else time, if there is "
        "one.",
    )
    val_fraction: float = _option(0.1, "Data", "Part of the training pictures kept for validation.", gt=0, lt=1)
    test_fraction: float = _option(
        0.2, "Data", "Part of the pictures kept for the test, where the source has no test split.", ge=0, lt=1
    )
    splits: Path | None = _option(None, "Data", "A splits.csv of an earlier run, used instead of drawing a split.")
    group_duplicates: bool = _option(
        False, "Data", "Find pictures that show the same, and keep them together when a split is drawn."
    )
    folds: int | None = _option(
        None, "Data", "Cross-validate: so many trainings, each tested on another part of the pictures.", ge=2
    )
    actions: Path | None = _option(
        None, "Data", "A CSV of pictures to drop, relabel or move, such as frostline check --fix writes."
    )
    check: bool = _option(True, "Data", "Look for duplicates, leakage and odd classes before training.")
    skip_unreadable: bool = _option(False, "Data", "Leave out pictures that cannot be read, and list them.")
    resize_mode: Literal["crop", "stretch"] = _option(
        "crop", "Data", "How a picture becomes square: keep its centre, or stretch all of it."
    )

    backbone: str = _option("tf_efficientnet_lite0", "Model", "A timm model; see frostline backbones.")
    weights: str | None = _option(
        None, "Model", "File of pretrained weights (safetensors, or torch), or none to train from scratch."
    )
    trainable_layers: Annotated[int, Field(ge=0)] | Literal["all"] | None = _option(
        None,
        "Model",
        "How many of the backbone's last layers train: 0 is a linear probe, all is full fine-tuning; else 71% of them, "
        "and 0 where pictures are few (see epochs).",
    )
    batch_norm: Literal["adapt", "freeze"] = _option(
        "freeze", "Model", "What batch norm above the frost line does: adapt to the pictures, or stay frozen."
    )
    features: Literal["last", "depths"] = _option(
        "last", "Model", "What the head sees: the backbone's last features, or its pooled maps of all depths too."
    )
    head_width: int = _option(0, "Model", "Width of the head's hidden layer; 0 is a plain linear head.", ge=0)
    head_activation: Literal["relu", "gelu", "silu", "tanh"] = _option(
        "relu", "Model", "Activation of the head's hidden layer."
    )
    head_start: Literal["random", "probe"] | None = _option(
        None,
        "Model",
        "What the head starts from: random weights, or the linear probe of the features; else probe for a linear head.",
    )
    dropout: float = _option(0.0, "Model", "Dropout before the head's last layer.", ge=0, lt=1)
    size: int | None = _option(
        None, "Model", "Side of the network's input in pixels; else from the backbone and the pictures.", ge=16, le=2048
    )
    enlarge: float = _option(
        3.5,
        "Model",
        "How many times small pictures are enlarged, up to the backbone's own size; size overrides it.",
        ge=1,
    )
    start_size: int | None = _option(
        None,
        "Model",
        "Side of the input in the first epoch, which grows to size over 60% of the epochs; else size throughout.",
        ge=16,
        le=2048,
    )

    augment: Literal["none", "light", "medium", "strong"] = _option(
        "light", "Augmentation", "How much the pictures are varied; the flags below change single amounts."
    )
    rotation: float | None = _option(None, "Augmentation", "Largest rotation, in degrees.", ge=0, le=180)
    shift: float | None = _option(None, "Augmentation", "Largest shift, as a fraction of the side.", ge=0, le=1)
    shear: float | None = _option(None, "Augmentation", "Largest shear, in degrees.", ge=0, le=60)
    zoom: float | None = _option(None, "Augmentation", "Largest zoom in or out, as a fraction.", ge=0, lt=1)
    horizontal_flip: bool | None = _option(None, "Augmentation", "Mirror every second picture.")
    trivial_augment: bool | None = _option(
        None, "Augmentation", "One operation of TrivialAugment on each view too (Müller and Hutter 2021)."
    )
    random_erasing: float | None = _option(
        None, "Augmentation", "Probability of erasing a rectangle (Zhong et al. 2017).", ge=0, le=1
    )
    mixup: float | None = _option(None, "Augmentation", "MixUp's alpha (Zhang et al. 2018); 0 is off.", ge=0)
    cutmix: float | None = _option(None, "Augmentation", "CutMix's alpha (Yun et al. 2019); 0 is off.", ge=0)

    views: Annotated[int, Field(ge=1)] | Literal["fresh"] = _option(
        4,
        "Augmentation",
        "How many views of each picture there are: epoch e sees view e modulo views, and view 0 is the picture itself. "
        "fresh: each epoch sees new ones, which takes the trunk anew.",
    )

    epochs: int | None = _option(
        None,
        "Training",
        "How often the training pictures are seen, 0 for the linear probe alone; else 4 to 12, by their number, and 0 "
        "where training and validation pictures are 1,000 at most.",
        ge=0,
    )
    batch_size: int = _option(64, "Training", "Pictures in one step of the optimiser.", ge=2)
    optimizer: Literal["adam", "adamw", "sgd"] = _option("adamw", "Training", "The optimiser.")
    learning_rate: float = _option(3e-4, "Training", "Learning rate of the backbone's last layers.", gt=0)
    head_lr_multiplier: float = _option(1.0, "Training", "The head's learning rate over the backbone's.", gt=0)
    layer_decay: float = _option(
        1.0, "Training", "Factor on the learning rate from each layer to the one below it.", gt=0, le=1
    )
    weight_decay: float = _option(0.01, "Training", "Weight decay; norms and biases have none.", ge=0)
    momentum: float = _option(0.9, "Training", "Momentum of sgd.", ge=0, lt=1)
    schedule: Literal["constant", "cosine", "one-cycle", "plateau"] = _option(
        "cosine", "Training", "How the learning rate changes over the training."
    )
    warmup_epochs: float | None = _option(
        None, "Training", "Epochs of rising learning rate before cosine; else a quarter of them.", ge=0
    )
    label_smoothing: float = _option(0.1, "Training", "Label smoothing.", ge=0, lt=1)
    clip_norm: float = _option(1.0, "Training", "Largest norm of the gradient; 0 sets no limit.", ge=0)
    ema_decay: float = _option(
        0.0,
        "Training",
        "Decay of a moving average of the weights, such as 0.999, which is measured and kept instead; 0 is off.",
        ge=0,
        lt=1,
    )
    class_weights: Literal["none", "balanced"] = _option(
        "none", "Training", "Weigh each class's loss by the inverse of its frequency."
    )
    sampling: Literal["shuffled", "balanced"] = _option(
        "shuffled", "Training", "What an epoch sees: each picture once, or each class as often as any other."
    )
    patience: int | None = _option(
        None, "Training", "Stop after this many epochs that are no better on the validation pictures.", ge=1
    )

    target_accuracy: float | None = _option(
        None,
        "Answers",
        "Accuracy wanted of what is answered: less confident pictures are answered unsure, by a threshold that the "
        "validation pictures give.",
        gt=0,
        le=1,
    )
    coverage: float | None = _option(
        None,
        "Answers",
        "Part of the pictures to be answered: the threshold for unsure that the same part of the validation pictures "
        "passes.",
        gt=0,
        le=1,
    )

    tta: TestTimeAugmentation = _option(
        "none",
        "Answers",
        "Test-time augmentation to measure too: flip averages each answer with that of the mirror image. Its figures "
        "are given apart; frostline predict --tta flip answers so.",
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = _option("auto", "Machine", "Where to compute.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _option(
        "auto", "Machine", "Number format of training; auto is float32 on a CPU, bfloat16 on a GPU that has it."
    )
    activation_precision: Literal["float16", "float32"] = _option(
        "float16", "Machine", "Number format that the trunk's output is rounded to, and kept in."
    )
    trunk_precision: Literal["float32", "int8"] = _option(
        "float32",
        "Machine",
        "Number format that the trunk computes in while training. int8 is for a CPU, with frostline[int8]; the "
        "classifier stays in float32, and what that difference costs is said first.",
    )
    cache: bool = _option(True, "Machine", "Keep the trunk's output on disk, for later epochs and later runs.")
    cache_limit: ByteSize = _option(
        ByteSize(20 * 10**9), "Machine", "What the cache may take on disk, such as 20GB; the oldest goes first.", gt=0
    )
    seed: int = _option(0, "Machine", "Seed of the split, the views, the batches and the new layers.", ge=0, lt=2**32)
    deterministic: bool = _option(False, "Machine", "Use only operations that repeat bit for bit, even if slower.")

    time_limit: Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))] | None = _option(
        None,
        "Run",
        "How long the run may take in all, such as 10m: the machine is measured for some seconds, then those of size, "
        "trainable_layers, features and epochs are planned that are not given.",
    )
    recipe: str | None = _option(None, "Run", "A named set of option values, which flags can change.")
    runs_dir: Path = _option(Path("runs"), "Run", "Folder in which the run's own folder is made.")
    tensorboard: bool = _option(
        False, "Run", "Write the figures of each epoch for TensorBoard too, with frostline[tensorboard]."
    )
    mlflow: bool = _option(
        False,
        "Run",
        "Keep options and figures in MLflow too, with frostline[mlflow]: where MLFLOW_TRACKING_URI says, else in "
        "mlflow.db in the working folder.",
    )

    @field_serializer("cache_limit")
    def _size_as_number(self, value: ByteSize) -> int:
        return int(value)

    @field_serializer("time_limit")
    def _duration_as_text(self, value: timedelta | None) -> str | None:
        return None if value is None else f"{value.total_seconds():g}s"

    @field_serializer("data_dir", "splits", "actions", "runs_dir")
    def _path_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @property
    def starts_with_probe(self) -> bool:
        """Whether the head starts from the linear probe of the features."""
        return self.head_width == 0 if self.head_start is None else self.head_start == "probe"

    @classmethod
    def make(cls, *, recipe: str | None = None, file: str | Path | None = None, **options: Any) -> Self:
        """Defaults, changed by a recipe, changed by a YAML file, changed by options. Raises `ConfigError`.

        A `time_limit` leaves the epochs of a recipe that trains open: it decides how many there are.

        >>> TrainConfig.make(recipe="classic", epochs=3).backbone
        'mobilenetv2_100'
        """
        from_file = read_yaml(Path(file)) if file is not None else {}
        recipe = from_file.get("recipe") if recipe is None else recipe
        given = {**from_file, **options}
        place = {name: f" in {file}" if name in from_file and name not in options else "" for name in given}
        for name in given:
            if name not in cls.model_fields:
                hint = did_you_mean(name, cls.model_fields) or "; `frostline train --help` lists the options"
                raise ConfigError(f"unknown option {name!r}{place[name]}{hint}")
        try:
            values = _recipe_values(recipe)
            if values.get("epochs") and given.get("time_limit") is not None:
                values = {name: value for name, value in values.items() if name != "epochs"}
            return cls(**{**values, **given, "recipe": recipe})
        except ValidationError as error:
            reasons = reasons_of(error)
            raise ConfigError("; ".join(f"{name}{place[name]} {reason}" for name, reason in reasons.items())) from None

    def save(self, path: Path) -> None:
        """Write every option to a YAML file that `make(file=path)` reads."""
        with atomic_write(path) as stream:
            yaml.safe_dump(self.model_dump(), stream, sort_keys=False, allow_unicode=True)


def reasons_of(error: ValidationError) -> dict[str, str]:
    """By option, what is wrong with its value: `should be a whole number, not 'many'`."""
    first: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0])
        expected = (
            _EXPECTED.get(name) or _EXPECTED.get(problem["type"]) or problem["msg"].removeprefix("Input should be ")
        )
        first.setdefault(name, f"should be {expected}, not {short_repr(problem['input'])}")
    return first


_EXPECTED = {
    "trainable_layers": "all or a whole number from 0",
    "views": "fresh or a whole number from 1",
    "cache_limit": "a size above 0, such as 20GB",
    "time_limit": "a time above 0, such as 90s, 10m or 1h30m",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
}
"""What may be given, by option or by pydantic's type of problem, where pydantic's own words are not plain."""


def _recipe_values(recipe: object) -> Mapping[str, Any]:
    if recipe is None:
        return {}
    if not isinstance(recipe, str) or recipe not in RECIPES:
        hint = did_you_mean(str(recipe), RECIPES) or f"; there is {', '.join(RECIPES)}"
        raise ConfigError(f"unknown recipe {recipe!r}{hint}")
    return RECIPES[recipe]


def read_yaml(path: Path) -> dict[str, Any]:
    """The `name: value` lines of a YAML file. Raises `ConfigError`, with the place where it is known."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text in UTF-8 (at byte {error.start}): save it as UTF-8") from error
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {_yaml_problem(error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"{path} must hold options as `name: value` lines; see the config.yaml of any run")
    return values


def _yaml_problem(error: Exception) -> str:
    """One line on what the parser stumbled over, with the place where it knows it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
