"""A plan fits into the time that there is, keeps what was given, and a run ends as planned."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frostline
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import Splits, make_splits
from frostline.errors import ConfigError
from frostline.training import plan as planning
from frostline.training.defaults import MOST_EPOCHS
from frostline.training.plan import make_plan
from frostline.training.rates import Rates, measure_rates
from frostline.training.run import resume, train

MakeConfig = Callable[..., TrainConfig]

RATES = Rates(
    decode=1000,
    trunk=500,
    body=400,
    train=100,
    probe=5000,
    setup_seconds=1,
    size=64,
    multiplications=tuple(1e6 for _ in range(140)),
    trainable_layers=60,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    folder = tmp_path_factory.mktemp("plan") / "photos"
    return frostline.load_dataset(write_pictures(folder, {"apple": 20, "leaf": 20, "sky": 20}))


def splits_of(train: int) -> Splits:
    bounds = [0, train, train + train // 10, train + train // 5]
    return Splits(*(np.arange(start, stop) for start, stop in pairwise(bounds)))


@pytest.fixture
def scaled_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose rates follow from the multiplications alone."""
    monkeypatch.setattr(planning, "measure_rates", lambda dataset, splits, config: RATES.at(config))


def plan_for(dataset: Dataset, pictures: int, seconds: float, **options: Any) -> planning.Plan:
    config = TrainConfig(time_limit=timedelta(seconds=seconds), **options)
    return make_plan(dataset, splits_of(pictures), config, time.monotonic() + seconds)


@pytest.mark.usefixtures("scaled_rates")
def test_a_longer_limit_gives_better_settings_which_fit(dataset: Dataset) -> None:
    found = []
    for seconds in (120, 400, 1200, 3600, 36_000):
        plan = plan_for(dataset, 10_000, seconds)
        assert plan.total <= seconds
        assert plan.config.time_limit is None, "the run's own options are the plan itself"
        size, layers, epochs = plan.config.size, plan.config.trainable_layers, plan.config.epochs
        assert isinstance(layers, int)
        found.append((size, layers, epochs))
    assert found == sorted(found)
    assert found[0][1:] == (0, 0)
    assert found[-1] == (160, 100, MOST_EPOCHS)


@pytest.mark.usefixtures("scaled_rates")
@pytest.mark.parametrize(("pictures", "fewest"), [(45_000, 1), (20_000, 3), (2_000, 4)])
def test_few_pictures_are_seen_in_more_epochs(dataset: Dataset, pictures: int, fewest: int) -> None:
    limits = np.geomspace(60 + pictures / 50, 60 + pictures, 60)
    epochs = {plan_for(dataset, pictures, seconds).config.epochs or 0 for seconds in limits}
    assert min(epochs - {0}) == fewest


@pytest.mark.usefixtures("scaled_rates")
def test_pictures_are_not_enlarged_beyond_the_size_of_the_weights(dataset: Dataset) -> None:
    tiny = plan_for(dataset, 10_000, 36_000, backbone="test_efficientnet", weights="none")
    assert tiny.config.size == 160
    tied = plan_for(dataset, 10_000, 36_000, backbone="vit_tiny_patch16_224", weights="none")
    assert tied.config.size == 224


@pytest.mark.usefixtures("scaled_rates")
@pytest.mark.parametrize(
    "given",
    [{"size": 96}, {"epochs": 2}, {"trainable_layers": 20}, {"trainable_layers": 10, "size": 80, "epochs": 3}],
)
def test_what_was_given_stays(given: dict[str, Any], dataset: Dataset) -> None:
    plan = plan_for(dataset, 2000, 1000, **given)
    assert {name: getattr(plan.config, name) for name in given} == given
    assert plan.config.size is not None


@pytest.mark.usefixtures("scaled_rates")
def test_given_layers_are_trained_and_none_are_a_probe(dataset: Dataset) -> None:
    assert plan_for(dataset, 10_000, 600, trainable_layers=20).config.epochs
    with pytest.raises(ConfigError, match="too short"):
        plan_for(dataset, 10_000, 60, trainable_layers=20)
    probe = plan_for(dataset, 10_000, 3600, trainable_layers=0)
    assert (probe.config.epochs, probe.config.features) == (0, "depths")


@pytest.mark.usefixtures("scaled_rates")
def test_layers_that_were_given_train_for_an_epoch_at_least(dataset: Dataset) -> None:
    for seconds in range(100, 400, 20):
        try:
            plan = plan_for(dataset, 10_000, seconds, trainable_layers="all", views="fresh", augment="light")
        except ConfigError:
            continue
        assert plan.config.epochs
        assert f"{plan.config.epochs} epochs of all layers at " in str(plan)


@pytest.mark.usefixtures("scaled_rates")
def test_a_limit_decides_on_the_epochs_of_a_recipe(dataset: Dataset) -> None:
    def plan_of(seconds: int, **options: Any) -> int | None:
        config = TrainConfig.make(recipe="classic", weights="none", time_limit=f"{seconds}s", **options)
        return make_plan(dataset, splits_of(2000), config, time.monotonic() + seconds).config.epochs

    whole = TrainConfig.make(recipe="classic").epochs
    assert whole is not None
    assert 1 < (plan_of(300) or 0) < whole
    assert plan_of(36_000) == whole
    assert plan_of(36_000, epochs=3) == 3


@pytest.mark.usefixtures("scaled_rates")
def test_a_head_without_a_start_is_trained(dataset: Dataset) -> None:
    plan = plan_for(dataset, 10_000, 200, head_start="random", head_width=16)
    assert plan.config.epochs


@pytest.mark.usefixtures("scaled_rates")
def test_views_that_are_not_kept_cost_the_trunk_in_each_epoch(dataset: Dataset) -> None:
    kept = plan_for(dataset, 2000, 1000, epochs=4, trainable_layers=20, size=64, augment="light")
    fresh = plan_for(dataset, 2000, 1000, epochs=4, trainable_layers=20, size=64, augment="light", views="fresh")
    rates = RATES.at(kept.config)
    assert fresh.epoch_seconds - kept.epoch_seconds == pytest.approx(2000 / rates.trunk)
    assert kept.seconds["trunk"] == pytest.approx((4 * 2000 + 200) / rates.trunk)


@pytest.mark.usefixtures("scaled_rates")
def test_smaller_pictures_of_the_first_epochs_leave_room_for_more(dataset: Dataset) -> None:
    given: dict[str, Any] = {"trainable_layers": "all", "views": "fresh", "augment": "light", "size": 96}
    full, grown = (plan_for(dataset, 10_000, 4000, **given, **more) for more in ({}, {"start_size": 48}))
    assert full.config.epochs
    assert grown.config.epochs
    assert MOST_EPOCHS > grown.config.epochs > full.config.epochs
    assert grown.total <= 4000
    rates = RATES.at(full.config)
    assert full.epoch_seconds == pytest.approx(10_000 / rates.trunk + 10_000 / rates.train + 1000 / rates.body)
    assert grown.epoch_seconds < 0.8 * full.epoch_seconds


@pytest.mark.usefixtures("scaled_rates")
def test_too_short_a_limit_is_named_with_one_that_is_not(dataset: Dataset) -> None:
    with pytest.raises(
        ConfigError, match=r"time_limit 5s is too short on this machine: .*; give at least (\d+)s"
    ) as caught:
        plan_for(dataset, 10_000, 5)
    enough = float(str(caught.value).split("at least ")[1].split("s")[0])
    assert plan_for(dataset, 10_000, enough).total <= enough


def test_a_guess_at_the_same_settings_is_the_measurement_itself() -> None:
    assert RATES.at(TrainConfig(size=64, trainable_layers=60)) == RATES


def test_more_pixels_cost_in_proportion_and_a_deeper_line_moves_work_to_the_tail() -> None:
    larger = RATES.at(TrainConfig(size=128, trainable_layers=60))
    assert larger.trunk == pytest.approx(RATES.trunk / 4, rel=1e-3)
    assert larger.train == pytest.approx(RATES.train / 4, rel=1e-3)
    deeper = RATES.at(TrainConfig(size=64, trainable_layers="all"))
    assert deeper.train < RATES.train
    assert deeper.trunk > RATES.trunk


def test_rates_are_measured_on_pictures_that_can_be_read(dataset: Dataset, tiny_config: MakeConfig) -> None:
    broken = Path(dataset.source) / "apple" / "broken.jpg"
    broken.write_bytes(b"no picture")
    try:
        with_broken = frostline.load_dataset(dataset.source)
        rates = measure_rates(with_broken, make_splits(with_broken, seed=0), tiny_config())
    finally:
        broken.unlink()
    assert min(rates.decode, rates.trunk, rates.body, rates.train, rates.probe, rates.setup_seconds) > 0
    assert rates.trainable_layers == 6
    assert sum(rates.multiplications) > 0


def test_a_planned_run_keeps_its_plan_and_is_repeated_without_one(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_rates", lambda *arguments: replace(RATES, multiplications=(1.0,) * 12))
    config = tiny_config(runs_dir=tmp_path, time_limit="10m", epochs=2)
    run = train(dataset, config)
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert set(metrics["planned_seconds"]) == set(metrics["seconds"])
    saved = TrainConfig.make(file=run.folder / "config.yaml")
    assert (saved.time_limit, saved.epochs, saved.size) == (None, 2, 64)
    with pytest.raises(ConfigError, match="is finished"):
        resume(run.folder)


def test_epochs_that_fit_after_all_are_added_before_training(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early_plan(dataset: Dataset, splits: Splits, config: TrainConfig, deadline: float) -> planning.Plan:
        seconds = {"evaluate": 0.0, "draw": 0.0}
        wanted = config.model_copy(update={"time_limit": None})
        return planning.Plan(wanted, time.monotonic() + 10_000, seconds, epoch_seconds=1.0, most_epochs=3)

    monkeypatch.setattr("frostline.training.run.make_plan", early_plan)
    run = train(dataset, tiny_config(runs_dir=tmp_path, time_limit="10m", epochs=2))
    assert run.history[-1].epoch == 3
    assert TrainConfig.make(file=run.folder / "config.yaml").epochs == 3


def test_epochs_that_no_longer_fit_are_left_out_before_training(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late_plan(dataset: Dataset, splits: Splits, config: TrainConfig, deadline: float) -> planning.Plan:
        seconds = {"evaluate": 0.0, "draw": 0.0}
        return planning.Plan(config.model_copy(update={"time_limit": None}), time.monotonic(), seconds, 1.0, 3)

    monkeypatch.setattr("frostline.training.run.make_plan", late_plan)
    run = train(dataset, tiny_config(runs_dir=tmp_path, time_limit="10m", epochs=3))
    assert run.history[-1].epoch == 1
    assert TrainConfig.make(file=run.folder / "config.yaml").epochs == 1
    assert not run.interrupted
