"""Make docs/scale.md from the rates in results/scale.json: `python benchmarks/report_scale.py`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from figures import Entry, grouped
from measure import HERE, RESULTS
from tables import spread, table

SIZES = (10_000_000, 1_000_000_000)
EPOCHS = 5
"""Of the tail, which is of 60 layers in the measured rates."""
VIEWS = 4
"""Views that `fast` keeps."""
TRAINED_ON = 10_000_000
"""Pictures that a tail is trained on at most in the plans."""

_HOURS = 3600
_DOLLARS = 0.05
"""An hour of such a machine."""
_PARAMETERS = 2_886_976
"""Of EfficientNet-Lite0's last 60 layers, of which every step exchanges the gradients."""

_HEAD = """# Ten million pictures, and a billion

What a training and a prediction come to, from rates that `python benchmarks/scale.py` measured on a machine of {cores}
cores ({cpu}, no GPU). Nothing here was run at these sizes: the largest runs are of 100,000 pictures (training) and of
1,000,000 (prediction), in [benchmarks.md](benchmarks.md). Several processes were run on one machine of this kind only,
so that a network between them is reckoned, not measured.

## Rates

Pictures/s of this machine, each part by itself: the median, with the lowest and the highest. *decode* reads a file and
fits it to the network's input, *trunk* makes a view and runs the frozen layers, *train* is a step of the tail on kept
activations, *predict* all three without training, from the file to the answer. Photographs are of 500 x 375 pixels, at
224 px; thumbnails need no decoding, at 96 px.
"""

_PLAN = """## The plan

Hours of such a machine ({cores} cores), for photographs with EfficientNet-Lite0. *Once* is decoding and the trunk under
{views} views; *epochs* are {epochs} of the tail, on {trained} million pictures at most, which we take to be enough for
3 million parameters; a table of paths says which ones. *Machines* is how many it takes to be
done within a day. *Files* and *activations* are what lies on disks, the activations on those of the machines.
"""

_BREAKS = """## What breaks first

1. **The listing.** Every process of a training has the path, class and split of every picture in memory: {listing}
   bytes each, {listing_10m} GB for 10 million, and {listing_1b} GB for a billion, in each process. So one training ends
   at {most} million pictures on machines of 32 GB with one process each, and before that where other things are large,
   whatever the number of machines. Prediction on Ray has the names alone, on the driver.
2. **The activations.** {views} views of a photograph take {kept} kB, {times} times its file. `--cache-limit` says what
   a machine may keep (20 GB unless told); what does not fit is computed again in each epoch, which costs the trunk's
   hours {epochs} times instead of {views} times. `--views 2` halves both, and a smaller `--size` more.
3. **Decoding**, where there are GPUs: {decode} photographs/s from {cores} cores are far below what one GPU computes.
   Keep files at the size that is needed: pictures no larger than twice the input decode in a fraction of the time.
4. **The network** between machines carries the gradients of the tail: {gradients} MB a step and machine in each
   direction. With batches of 1,024 pictures and 16 machines such as this one, a step takes {step} s; 1 Gbit/s carries
   that in {transfer} s. Faster machines need a faster network in proportion. Activations and pictures stay where
   they are.
5. **The first process** alone draws the report and writes the predictions of test pictures as one CSV: give
   `--test-fraction` such that there are at most a million.
6. **Object stores**: training reads folders, archives and tables on a disk that is mounted; prediction on Ray reads
   addresses such as `s3://` itself. Each of these requests costs: a billion single files are a billion requests, so
   pack them into parquet.

## Cost

Hours of machines times what one costs: were it {dollars} dollars an hour (put in what yours costs), predicting a
billion photographs would cost {cost} dollars of computing. Storage is beside that.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs", help="folder of the page")
    options = parser.parse_args()
    content = json.loads((RESULTS / "scale.json").read_text(encoding="utf-8"))
    entries: Sequence[Entry] = content["entries"]
    machine = content["machine"]
    photographs = [e for e in entries if (e["pictures"], e["backbone"]) == ("photographs", "tf_efficientnet_lite0")]
    rates = {part: median(each["per_second"][part] for each in photographs) for part in photographs[0]["per_second"]}
    about = photographs[0]
    hours = {pictures: _hours(pictures, rates) for pictures in SIZES}
    step = 1024 / 16 / rates["train"]
    gradients = 2 * 4 * _PARAMETERS
    sections = [
        _HEAD.format(cores=machine["cores"], cpu=machine["cpu"]),
        table(
            ("pictures", "decode", "trunk", "train", "predict", "kB a file", "kB a view"), map(_rates, _groups(entries))
        ),
        _PLAN.format(cores=machine["cores"], views=VIEWS, epochs=EPOCHS, trained=TRAINED_ON // 1_000_000),
        table(
            ("pictures", "once, h", "epochs, h", "machines for a day", "predict, h", "files", "activations"),
            (_plan(pictures, hours[pictures], about) for pictures in SIZES),
        ),
        _BREAKS.format(
            listing=about["listing_bytes"],
            listing_10m=f"{about['listing_bytes'] / 100:.1f}",
            most=round(32_000 / about["listing_bytes"]),
            listing_1b=round(about["listing_bytes"]),
            views=VIEWS,
            epochs=EPOCHS,
            kept=round(VIEWS * about["activation_bytes"] / 1000),
            times=round(VIEWS * about["activation_bytes"] / about["file_bytes"]),
            decode=round(rates["decode"]),
            cores=machine["cores"],
            gradients=round(gradients / 1e6),
            step=f"{step:.2f}",
            transfer=f"{8 * gradients / 1e9:.2f}",
            dollars=_DOLLARS,
            cost=f"{_DOLLARS * hours[SIZES[-1]]['predict']:,.0f}",
        ),
    ]
    (options.docs / "scale.md").write_text("\n".join(sections).rstrip() + "\n", encoding="utf-8")


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    return list(grouped(entries, "pictures", "backbone").values())


def _rates(group: Sequence[Entry]) -> Sequence[str]:
    first = group[0]
    each = [entry["per_second"] for entry in group]
    return (
        f"{first['pictures']}, {first['backbone']} at {first['size']} px",
        *(spread([rates[part] for rates in each], ",.0f") for part in ("decode", "trunk", "train")),
        spread([_predict(rates) for rates in each], ",.0f"),
        f"{first['file_bytes'] / 1000:,.0f}",
        f"{first['activation_bytes'] / 1000:,.0f}",
    )


def _predict(rates: dict[str, float]) -> float:
    """Pictures a second from the file to the answer, one part after another on the same cores."""
    return 1 / sum(1 / rates[part] for part in ("decode", "trunk", "body"))


def _hours(pictures: int, rates: dict[str, float]) -> dict[str, float]:
    trained = min(pictures, TRAINED_ON)
    return {
        "once": trained * (1 / rates["decode"] + VIEWS / rates["trunk"]) / _HOURS,
        "epochs": trained * EPOCHS / rates["train"] / _HOURS,
        "predict": pictures / _predict(rates) / _HOURS,
    }


def _plan(pictures: int, hours: dict[str, float], about: Entry) -> Sequence[str]:
    trained = min(pictures, TRAINED_ON)
    return (
        f"{pictures:,}",
        f"{hours['once']:,.0f}",
        f"{hours['epochs']:,.0f}",
        f"{-(-(hours['once'] + hours['epochs']) // 24):,.0f}",
        f"{hours['predict']:,.0f}",
        f"{pictures * about['file_bytes'] / 1e12:,.1f} TB",
        f"{trained * VIEWS * about['activation_bytes'] / 1e12:,.1f} TB",
    )


if __name__ == "__main__":
    main()
