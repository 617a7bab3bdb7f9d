import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from frostline.training.optimisers import (
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    OptimiserName,
    Schedule,
    learning_rate_factor,
    make_optimiser,
    parameter_groups,
)


class SmallTail(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3))
        self.body.register_parameter("pos_embed", nn.Parameter(torch.zeros(1, 4, 4)))
        self.head = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))


def factor(schedule: Schedule, step: int, total: int, warmup: int = 0, val_losses: tuple[float, ...] = ()) -> float:
    return learning_rate_factor(
        schedule, step=step, total_steps=total, warmup_steps=warmup, val_losses=list(val_losses)
    )


def scales(
    tail: nn.Module, head_lr_multiplier: float = 1.0, layer_decay: float = 1.0
) -> dict[str, tuple[float, float]]:
    """Learning-rate scale and weight decay of each parameter."""
    groups = parameter_groups(tail, head_lr_multiplier, layer_decay, 0.05)
    names = {parameter: name for name, parameter in tail.named_parameters()}
    return {names[p]: (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_every_trainable_parameter_is_in_one_group() -> None:
    tail = SmallTail()
    frozen = tail.body[1].weight
    frozen.requires_grad_(False)
    grouped = [p for group in parameter_groups(tail, 2.0, 0.5, 0.1) for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(tail.parameters()) - {frozen}


def test_rates_fall_with_depth_and_norms_follow_their_layer() -> None:
    found = scales(SmallTail(), head_lr_multiplier=10.0, layer_decay=0.5)
    assert found["body.3.weight"] == (1.0, 0.05)
    assert found["body.3.bias"] == (1.0, 0.0)
    assert found["body.2.weight"] == (0.5, 0.0)
    assert found["body.1.weight"] == (0.5, 0.05)
    assert found["body.0.weight"] == (0.25, 0.0)
    assert found["body.pos_embed"] == (0.25, 0.0)
    assert {found[name][0] for name in found if name.startswith("head.")} == {10.0}
    assert found["head.0.weight"][1] == 0.05
    assert found["head.1.weight"][1] == 0.0


def test_without_layer_decay_there_is_one_rate() -> None:
    assert {scale for scale, _ in scales(SmallTail()).values()} == {1.0}
    assert len(parameter_groups(SmallTail(), 1.0, 1.0, 0.05)) == 2


def test_body_without_parameters() -> None:
    tail = SmallTail()
    tail.body = nn.Sequential()
    assert set(scales(tail, layer_decay=0.5)) == {f"head.{name}" for name, _ in tail.head.named_parameters()}


@pytest.mark.parametrize("name", get_args(OptimiserName))
def test_optimisers_lower_a_loss_at_each_groups_own_rate(name: OptimiserName) -> None:
    torch.manual_seed(0)
    tail = nn.Module()
    tail.body, tail.head = nn.Linear(4, 4), nn.Linear(4, 1)
    optimiser = make_optimiser(name, parameter_groups(tail, 3.0, 1.0, 0.0), 0.01)
    assert sorted({group["initial_lr"] for group in optimiser.param_groups}) == pytest.approx([0.01, 0.03])
    assert all(group["lr"] == group["initial_lr"] for group in optimiser.param_groups)
    x, losses = torch.randn(32, 4), []
    for _ in range(50):
        loss = (tail.head(tail.body(x)) - x.sum(dim=1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", get_args(OptimiserName))
def test_weight_decay_shrinks_weights_and_spares_biases(name: OptimiserName) -> None:
    tail = nn.Module()
    tail.body, tail.head = nn.Identity(), nn.Linear(3, 3)
    before = [parameter.detach().clone() for parameter in tail.head.parameters()]
    optimiser = make_optimiser(name, parameter_groups(tail, 1.0, 1.0, 0.1), 0.01, momentum=0.0)
    (0 * tail.head(torch.ones(1, 3)).sum()).backward()
    optimiser.step()
    weight, bias = tail.head.weight.detach(), tail.head.bias.detach()
    assert weight.norm() < before[0].norm()
    assert torch.equal(bias, before[1])


def test_constant_stays() -> None:
    assert {factor("constant", step, 10, warmup=5) for step in range(10)} == {1.0}


def test_cosine_rises_then_falls_to_nothing() -> None:
    values = [factor("cosine", step, 100, warmup=10) for step in range(100)]
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[0] > 0
    assert values[10] == 1.0
    assert 0 < values[-1] < 0.001
    assert values[55] == pytest.approx(0.5)


def test_one_cycle_is_torchs() -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = OneCycleLR(optimiser, max_lr=1.0, total_steps=50, cycle_momentum=False)
    for step in range(50):
        assert factor("one-cycle", step, 50) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        if step < 49:
            reference.step()


def test_plateau_is_torchs() -> None:
    losses = (1.0, 0.8, 0.81, 0.8, 0.79999, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, math.nan, 0.9, 0.6, 0.61)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = ReduceLROnPlateau(optimiser, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
    for done, loss in enumerate(losses, start=1):
        reference.step(loss)
        assert factor("plateau", 0, 1, val_losses=losses[:done]) == pytest.approx(optimiser.param_groups[0]["lr"])


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("warmup", [0, 1, 5, 200])
def test_factor_is_positive_and_at_most_one(schedule: Schedule, total: int, warmup: int) -> None:
    for step in range(total):
        assert 0 < factor(schedule, step, total, warmup) <= 1


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_state_that_is_loaded_lies_in_memory_as_its_parameter_does(name: OptimiserName) -> None:
    def make() -> tuple[nn.Parameter, torch.optim.Optimizer]:
        weight = nn.Parameter(torch.ones(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
        return weight, make_optimiser(name, [{"params": [weight], "lr_scale": 1.0, "weight_decay": 0.0}], 0.1)

    def step(weight: nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
        weight.grad = torch.arange(48.0).view(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
        optimizer.step()

    weight, optimizer = make()
    step(weight, optimizer)
    saved = optimizer.state_dict()
    kept = {key: value for key, value in saved["state"][0].items() if value is not None}
    state = {key: value.clone(memory_format=torch.contiguous_format) for key, value in kept.items()}
    other, resumed = make()
    with torch.no_grad():
        other.copy_(weight)
    resumed.load_state_dict({"state": {0: state}, "param_groups": saved["param_groups"]})
    assert all(value.stride() == other.stride() for value in resumed.state[other].values() if value.ndim == 4)
    step(weight, optimizer)
    step(other, resumed)
    assert torch.equal(weight, other)
