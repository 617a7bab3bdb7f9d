"""Starts the processes of one training on this machine, as `torchrun` does on several."""

import logging
import os
import sys
from collections.abc import Sequence

import torch

from frostline.errors import ConfigError


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run the command line with these arguments in `devices` processes; returns their exit code.

    Raises `ConfigError` where the machine has fewer GPUs, or none and fewer cores.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    on_gpus = torch.cuda.is_available()
    most = torch.cuda.device_count() if on_gpus else os.cpu_count() or 1
    if devices > most:
        raise ConfigError(f"--devices is {devices}, but this machine has {most} {'GPUs' if on_gpus else 'cores'}")
    logging.disable()  # the processes themselves say what is wrong
    config = LaunchConfig(
        run_id="frostline",
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "frostline", *arguments)
    except ChildFailedError as error:
        return max(1, error.get_first_failure()[1].exitcode)
    except SignalException:
        return 130
    return 0
