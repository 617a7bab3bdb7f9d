"""What makes a comparison of runs unfair or incomplete, in sentences."""

from collections.abc import Iterator, Sequence

from frostline.data.splits import read_splits
from frostline.errors import DataError
from frostline.results.comparison.pairing import Headline
from frostline.results.record import RunRecord


def caveats(
    names: Sequence[str], records: Sequence[RunRecord], headlines: Sequence[Headline], common: Sequence[str]
) -> Iterator[str]:
    """What the reader of a comparison on the `common` pictures, given by path, should know before believing it."""
    for name, record in zip(names, records, strict=True):
        yield from _seen_before(name, record, common)
    if any(len(each.predictions) > len(common) for each in headlines):
        counts = [f"{name} {len(each.predictions):,} {each.split}" for name, each in zip(names, headlines, strict=True)]
        yield f"The runs have different pictures ({', '.join(counts)}); the {len(common):,} that all have are compared."
    datasets = [record.environment.get("dataset", {}).get("name") for record in records]
    if len(set(datasets)) > 1:
        shown = [f"{name}: {dataset or 'not known'}" for name, dataset in zip(names, datasets, strict=True)]
        yield f"The datasets have different names ({', '.join(shown)}): pictures are paired by their paths alone."
    for name, record in zip(names, records, strict=True):
        if record.figures is not None and record.figures.interrupted:
            yield f"The training of {name} was interrupted."
        yield from (f"{name}: {line}." for line in record.missing)


def _seen_before(name: str, record: RunRecord, common: Sequence[str]) -> Iterator[str]:
    """Whether a run trained on the pictures, or chose its epoch by them."""
    try:
        splits = read_splits(record.folder.splits)
    except DataError as error:
        yield f"It is not known whether {name} was trained on these pictures: {error}."
        return
    if record.figures is not None and record.figures.figures_of == "val" and record.figures.val_folds is not None:
        return  # what it says of them was judged out of fold
    trained, chosen = (sum(splits.get(path) == split for path in common) for split in ("train", "val"))
    if trained:
        yield f"Not fair: {name} was trained on {trained:,} of these pictures, so its figures are too good."
    if chosen:
        yield f"The epoch of {name} was chosen by {chosen:,} of these pictures, so its figures are somewhat too good."
