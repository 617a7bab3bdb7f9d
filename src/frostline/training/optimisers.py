"""Optimisers over groups of parameters, and learning-rate schedules that keep no state."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

OptimiserName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle", "plateau"]

PLATEAU_PATIENCE = 2
"""Epochs without a lower validation loss that the plateau schedule lets pass before it lowers the rate."""
PLATEAU_FACTOR = 0.3
"""What the plateau schedule multiplies the learning rate by."""
_PLATEAU_THRESHOLD = 1e-4

_ONE_CYCLE_RISE = 0.3
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = 1 / 25 / 10_000

_EMBEDDINGS = ("pos_embed", "cls_token", "reg_token", "dist_token", "relative_position_bias_table")
"""Embeddings of vision transformers that are not decayed, as in their papers."""


def parameter_groups(
    tail: nn.Module, head_lr_multiplier: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Group the trainable parameters of a tail (its submodules `body` and `head`) for `make_optimiser`.

    The head learns at `head_lr_multiplier` times the base rate. The body's last layer with weights learns at the base
    rate, each one below it at `layer_decay` times the rate of the one above; a norm goes with the layer before it.
    Norms, biases and embeddings of position have no weight decay. A group holds `params`, `lr_scale`, `weight_decay`.
    """
    depths = list(_with_depth(tail.get_submodule("body")))
    deepest = max((depth for _, _, depth in depths), default=0)
    scaled = [(name, parameter, layer_decay ** (deepest - depth)) for name, parameter, depth in depths]
    scaled += [
        (name, parameter, head_lr_multiplier) for name, parameter in tail.get_submodule("head").named_parameters()
    ]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter, scale in scaled:
        if parameter.requires_grad:
            decay = 0.0 if parameter.ndim <= 1 or name.endswith(_EMBEDDINGS) else weight_decay
            groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]


def _with_depth(body: nn.Module) -> Iterator[tuple[str, nn.Parameter, int]]:
    """Each parameter with the number of layers with weights up to it; a traced body has them in order of execution."""
    depth = 0
    for prefix, module in body.named_modules():
        own = list(module.named_parameters(prefix, recurse=False))
        depth += any(parameter.ndim > 1 and not name.endswith(_EMBEDDINGS) for name, parameter in own)
        for name, parameter in own:
            yield name, parameter, depth


def make_optimiser(
    name: OptimiserName, groups: list[dict[str, Any]], learning_rate: float, momentum: float = 0.9
) -> Optimizer:
    """Make an optimiser; each group's own rate is its `initial_lr`, which the loop multiplies by the schedule's factor.

    `adam` (Kingma and Ba 2015) adds the weight decay to the gradient, `adamw` (Loshchilov and Hutter 2019) decays the
    weights themselves. `sgd` uses Nesterov's `momentum`, which the others ignore.
    """
    for group in groups:
        group["lr"] = group["initial_lr"] = learning_rate * group["lr_scale"]
    fused = all(parameter.device.type in ("cpu", "cuda") for group in groups for parameter in group["params"])
    optimizer: Optimizer
    if name == "sgd":
        optimizer = SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=fused)
    else:
        optimizer = (Adam if name == "adam" else AdamW)(groups, lr=learning_rate, fused=fused)
    optimizer.register_load_state_dict_post_hook(_lay_out_state)
    return optimizer


def _lay_out_state(optimizer: Optimizer) -> None:
    """Lay out each state in memory as its parameter is; files have one layout, and fused optimisers refuse others."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)


def learning_rate_factor(
    schedule: Schedule, *, step: int, total_steps: int, warmup_steps: int, val_losses: Sequence[float]
) -> float:
    """What a schedule multiplies the learning rates by at one step, counted from 0; a pure function of its arguments.

    `constant` is 1. `cosine` rises linearly over `warmup_steps`, then falls to 0 along half a cosine (Loshchilov and
    Hutter 2017). `one-cycle` rises from 1/25 to 1 over 30% of the steps, then falls to 4e-6 (Smith and Topin 2018).
    `plateau` is multiplied by 0.3 whenever `val_losses`, of the epochs so far, have not fallen for 3 epochs.
    """
    if schedule == "cosine":
        return _cosine_with_warmup(step, total_steps, warmup_steps)
    if schedule == "one-cycle":
        return _one_cycle(step, total_steps)
    if schedule == "plateau":
        return _plateau(val_losses)
    return 1.0


def _between(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine, `progress` from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _cosine_with_warmup(step: int, total_steps: int, warmup_steps: int) -> float:
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return _between(1.0, 0.0, (step - warmup_steps) / (total_steps - warmup_steps))


def _one_cycle(step: int, total_steps: int) -> float:
    top, last = max(_ONE_CYCLE_RISE * total_steps - 1, 0.0), max(total_steps - 1, 1)
    if step < top:
        return _between(_ONE_CYCLE_START, 1.0, step / top)
    return _between(1.0, _ONE_CYCLE_END, (step - top) / (last - top))


def _plateau(val_losses: Sequence[float]) -> float:
    """Replay torch's `ReduceLROnPlateau` over the validation losses."""
    best, stale, factor = math.inf, 0, 1.0
    for loss in val_losses:
        if loss < best * (1 - _PLATEAU_THRESHOLD):
            best, stale = loss, 0
        else:
            stale += 1
        if stale > PLATEAU_PATIENCE:
            factor, stale = factor * PLATEAU_FACTOR, 0
    return factor
