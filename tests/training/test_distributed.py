"""Several processes, started by torchrun itself, train as one does: also on hosts of their own, and after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import frostline
from frostline.config import TrainConfig
from frostline.results.history import load_history
from frostline.results.predictions import load_predictions
from frostline.results.run_folder import RunFolder
from frostline.training.distributed import ALONE, Ranks

TIMEOUT = 600.0
"""Seconds that processes may take, on a machine that is busy with other things."""

Options = dict[str, object]
MakeConfig = Callable[..., TrainConfig]

ADAPTING: Options = {
    "optimizer": "sgd",
    "class_weights": "balanced",
    "mixup": 0.2,
    "cutmix": 1.0,
    "views": "fresh",
    "label_smoothing": 0.1,
}
"""Batch norm that adapts, before a head with batch norm of its own, on pictures that are mixed across processes."""
FROZEN: Options = {"batch_norm": "freeze", "head_width": 0, "sampling": "balanced", "augment": "light"}
"""Activations that each process keeps, from a linear probe on."""

LOADER = "import torch.distributed.run as run; run.main()"


def as_flags(config: TrainConfig) -> list[str]:
    """The options that are not the default, for the command line."""
    changed = {name: value for name, value in config if value != TrainConfig.model_fields[name].default}
    return [f"--{name.replace('_', '-')}={value}" for name, value in changed.items() if name != "learning_rate"] + (
        [f"--lr={config.learning_rate}"] if config.learning_rate else []
    )


@dataclass(frozen=True)
class Started:
    """A process with what it says, in files."""

    process: "subprocess.Popen[bytes]"
    out: Path

    @property
    def output(self) -> str:
        return self.out.read_text()

    @property
    def errors(self) -> str:
        return self.out.with_suffix(".err").read_text()

    def code(self) -> int:
        """Its exit code, once it ends."""
        return self.process.wait(TIMEOUT)

    def kill(self) -> None:
        """End it and all that it started, as if the machine had lost power."""
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not reached():
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, "the process takes too long"
            time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [each for child in children for each in descendants(child)]


Torchrun = Callable[..., Started]


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Torchrun]:
    """Starts torchrun; nothing that it starts survives the test."""
    started: list[Started] = []

    def start(*arguments: object, before: Sequence[str] = (), environment: dict[str, str] | None = None) -> Started:
        out = tmp_path / f"process{len(started)}.out"
        with out.open("wb") as output, out.with_suffix(".err").open("wb") as errors:
            process = subprocess.Popen(
                [*before, sys.executable, "-c", LOADER, *map(str, arguments)],
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
                stdout=output,
                stderr=errors,
            )
        started.append(Started(process, out))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def require_same(folder: RunFolder, expected: RunFolder) -> None:
    """Every loss to 1e-5, and the same answers to the test pictures."""
    histories = [load_history(run.history) for run in (folder, expected)]
    for name in ("train_loss", "val_loss"):
        losses = [[getattr(record, name) for record in history] for history in histories]
        np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-5)
    predictions = [load_predictions(run.predictions / "test.csv") for run in (folder, expected)]
    assert predictions[0].paths == predictions[1].paths
    assert np.array_equal(predictions[0].labels, predictions[1].labels)
    np.testing.assert_allclose(predictions[0].probabilities, predictions[1].probabilities, atol=1e-4)
    weights = [load_file(run.classifier / "model.safetensors") for run in (folder, expected)]
    for name, value in weights[1].items():
        np.testing.assert_allclose(weights[0][name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [pytest.param(ADAPTING, id="adapting"), pytest.param(FROZEN, id="frozen", marks=pytest.mark.full)],
)
def test_two_processes_train_as_one_does(
    options: Options, photos: Path, tiny_config: MakeConfig, tmp_path: Path, torchrun: Torchrun
) -> None:
    """20 steps; an epoch has one of 27 pictures and one of 16, which share out unevenly."""
    config = tiny_config(epochs=10, batch_size=27, dropout=0.0, learning_rate=0.01, **options)
    expected = frostline.train(
        frostline.load_dataset(photos), config.model_copy(update={"runs_dir": tmp_path / "one"})
    ).folder
    flags = as_flags(config.model_copy(update={"runs_dir": tmp_path / "two"}))
    both = torchrun("--standalone", "--nproc-per-node", 2, "-m", "frostline", "train", photos, *flags)
    assert both.code() == 0, both.errors
    (folder,) = (tmp_path / "two").iterdir()
    require_same(RunFolder(folder), RunFolder(expected))
    assert both.output.count("test accuracy") == 1, "one process speaks"
    assert both.errors.count("epoch 1/10") == 1
    assert (folder / "report.html").is_file()


@pytest.mark.full
def test_torchrun_s_restart_goes_on_from_the_checkpoint(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path, torchrun: Torchrun
) -> None:
    config = tiny_config(epochs=12, batch_size=27, dropout=0.0, learning_rate=0.01, **FROZEN)
    expected = frostline.train(
        frostline.load_dataset(photos), config.model_copy(update={"runs_dir": tmp_path / "one"})
    ).folder
    mortal = tmp_path / "mortal.py"
    mortal.write_text(
        "import os, signal, sys\n"
        "from frostline.config import TrainConfig\n"
        "import frostline\n"
        "def on_epoch(record):\n"
        "    if record.epoch == 5 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "config = TrainConfig.make(file=sys.argv[1])\n"
        "frostline.train(frostline.load_dataset(config.source), config, on_epoch=on_epoch)\n"
    )
    settings = tmp_path / "settings.yaml"
    config.model_copy(update={"runs_dir": tmp_path / "two", "source": str(photos)}).save(settings)
    both = torchrun(
        "--standalone", "--nproc-per-node", 2, "--max-restarts", 1, "--monitor-interval", 0.1, mortal, settings
    )
    assert both.code() == 0, both.errors
    (folder,) = (tmp_path / "two").iterdir()
    assert "resuming" in RunFolder(folder).log.read_text()
    require_same(RunFolder(folder), RunFolder(expected))


HOSTS = 3


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Network namespaces with addresses 10.99.0.1 and on, which reach each other and nothing else."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"frostline-{os.getpid()}-{host}" for host in range(HOSTS)]
    hub = f"frostline-{os.getpid()}-hub"
    made: list[str] = []

    def ip(*words: object) -> None:
        subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)

    try:
        for name in (hub, *names):
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        for number, name in enumerate(names):
            ip("-n", hub, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", hub, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"10.99.0.{number + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.full
def test_three_hosts_train_one_run_and_go_on_after_one_was_killed(
    hosts: list[str], photos: Path, tiny_config: MakeConfig, tmp_path: Path, torchrun: Torchrun
) -> None:
    config = tiny_config(epochs=30, batch_size=27, dropout=0.0, learning_rate=0.01, **ADAPTING)
    expected = frostline.train(
        frostline.load_dataset(photos), config.model_copy(update={"runs_dir": tmp_path / "one"})
    ).folder

    def start_all(port: int, *more: str) -> list[Started]:
        return [start(number, name, port, more) for number, name in enumerate(hosts)]

    def start(number: int, name: str, port: int, more: Sequence[str]) -> Started:
        own = tmp_path / f"host{number}"
        flags = as_flags(config.model_copy(update={"runs_dir": own / "runs"}))
        meeting = ("--nnodes", HOSTS, "--node-rank", number, "--master-addr", "10.99.0.1", "--master-port", port)
        return torchrun(
            *("--nproc-per-node", 1, *meeting, "-m", "frostline", "train", photos, *flags, *more),
            before=("ip", "netns", "exec", name),
            environment={"GLOO_SOCKET_IFNAME": "eth0", "FROSTLINE_CACHE": str(own / "cache")},
        )

    folder = RunFolder(tmp_path / "host0" / "runs" / expected.name)
    running = start_all(29500)
    running[0].wait_for(lambda: folder.history.exists() and len(load_history(folder.history)) >= 3)
    running[2].kill()
    for left in running[:2]:
        left.wait_for(lambda: "another process of this training has ended" in left.errors)  # noqa: B023
        left.kill()
    assert not folder.metrics.exists()

    running = start_all(29501, "--continue")
    assert [one.code() for one in running] == [0, 0, 0], [one.errors for one in running]
    assert "resuming" in folder.log.read_text()
    require_same(folder, RunFolder(expected))
    assert not any((tmp_path / f"host{number}" / "runs").exists() for number in (1, 2)), "the first writes the run"


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_each_picture_belongs_to_one_rank(count: int) -> None:
    indices = np.random.default_rng(0).permutation(100)[:50]
    shares = [Ranks(rank, count).share(indices) for rank in range(count)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(indices.tolist())
    again = [Ranks(rank, count).share(indices[::-1]) for rank in range(count)]
    for share, other in zip(shares, again, strict=True):
        assert share.tolist() == other[::-1].tolist()


def test_a_process_alone_needs_no_other() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    assert ALONE.from_first(rows) is rows
    assert ALONE.join_rows(np.arange(3), rows) is rows
    assert ALONE.gather(5) == [5]


@pytest.mark.parametrize(("option", "value"), [("--time-limit", "5m"), ("--folds", "3"), ("--trunk-precision", "int8")])
def test_what_needs_one_process_says_so(
    option: str,
    value: str,
    photos: Path,
    tmp_path: Path,
    cli: Callable[..., "subprocess.CompletedProcess[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    done = cli("train", photos, option, value, "--runs-dir", tmp_path / "runs")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"frostline: {option}")
    assert "is for a training in one process" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.full
def test_a_mistake_of_all_processes_is_said_once(photos: Path, tmp_path: Path, torchrun: Torchrun) -> None:
    options = ("--time-limit", "5m", "--runs-dir", tmp_path / "runs")
    both = torchrun("--standalone", "--nproc-per-node", 2, "-m", "frostline", "train", photos, *options)
    assert both.code() != 0
    assert both.errors.count("frostline: --time-limit is for a training") == 1, "the first speaks for all"
