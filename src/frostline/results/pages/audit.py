"""What the data doctor found, as one HTML page with thumbnails that needs nothing beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frostline import __version__
from frostline.data.audit.audit import Audit
from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.decode import UnreadablePictureError
from frostline.files import atomic_write
from frostline.results.pages.render import render
from frostline.results.thumbnails import SIDE, data_uri, encode_thumbnail

SHOWN = 60
"""Groups or pictures that a section of the page shows; check.json has all."""

_GROUP_SHOWN = 8
"""Pictures of one group of duplicates that are shown."""


class Shown(NamedTuple):
    """One picture on the page."""

    path: str
    thumbnail: str | None
    """A data URI; None where the picture cannot be read."""
    lines: tuple[str, ...]
    """What is said below it."""


class Group(NamedTuple):
    """Pictures that belong together."""

    title: str
    pictures: Sequence[Shown]
    more: int
    """Pictures that are not shown."""


@dataclass(frozen=True)
class Section:
    """One kind of finding."""

    name: str
    title: str
    explanation: str
    found: int
    """How many there are, shown or not."""
    groups: Sequence[Group]


def write_audit_page(audit: Audit, path: Path) -> None:
    """Write the page; pictures are read again for their thumbnails. Raises `OSError` where the disk is full."""
    page = render(
        "audit.html",
        audit=audit,
        dataset=audit.dataset,
        sections=list(_sections(audit)),
        version=__version__,
        shown=SHOWN,
    )
    with atomic_write(path) as file:
        file.write(page)


def _sections(audit: Audit) -> Iterable[Section]:
    leaking = _surest_first(audit.leakage.groups)
    contradictions = _surest_first(audit.contradictions)
    yield Section(
        "leakage",
        "Leakage",
        "The same picture in more than one split: the figures on validation and test pictures are too good.",
        len(leaking),
        [_group(audit, group) for group in leaking[:SHOWN]],
    )
    yield Section(
        "contradictions",
        "Contradictions",
        "The same picture with different labels: at least one of them is wrong.",
        len(contradictions),
        [_group(audit, group) for group in contradictions[:SHOWN]],
    )
    yield Section(
        "suspects",
        "Suspect labels",
        "A linear probe that was fitted on the other pictures expects another class. The surest come first.",
        len(audit.suspects),
        _one_group(
            _show(
                audit,
                suspect.index,
                f"label {audit.dataset.class_names[suspect.given]} ({suspect.given_probability:.1%})",
                f"expected {audit.dataset.class_names[suspect.expected]} ({suspect.expected_probability:.1%})",
            )
            for suspect in audit.suspects[:SHOWN]
        ),
    )
    said = {group.indices for group in (*leaking, *contradictions)}
    others = _surest_first(group for group in audit.duplicates if group.indices not in said)
    yield Section(
        "duplicates",
        "Other duplicates",
        "The same picture more than once, within one split and with one label.",
        len(others),
        [_group(audit, group) for group in others[:SHOWN]],
    )
    yield Section(
        "outliers",
        "Outliers",
        "Pictures that are like no other, the furthest first. They may not belong here.",
        len(audit.outliers),
        _one_group(
            _show(audit, outlier.index, audit.label(outlier.index), f"{outlier.deviations:.1f} deviations away")
            for outlier in audit.outliers[:SHOWN]
        ),
    )
    yield Section(
        "oddities",
        "Odd files",
        "Files that cannot be read, or that are read otherwise than they may be meant.",
        len(audit.findings),
        _one_group(_show(audit, finding.index, finding.oddity, finding.detail) for finding in audit.findings[:SHOWN]),
    )


def _one_group(pictures: Iterable[Shown]) -> Sequence[Group]:
    shown = list(pictures)
    return [Group("", shown, 0)] if shown else []


def _surest_first(groups: Iterable[DuplicateGroup]) -> list[DuplicateGroup]:
    return sorted(groups, key=lambda group: -group.similarity)


def _group(audit: Audit, group: DuplicateGroup) -> Group:
    title = "the same pixels" if group.exact else f"similarity {group.similarity:.3f}"
    if group.mirrored:
        title += ", mirrored"
    split_of = {index: audit.dataset.samples[index].split for index in group.indices}
    held_out_first = sorted(group.indices, key=lambda index: (split_of[index] == "train", index))
    pictures = [
        _show(audit, index, audit.label(index), split_of[index] or "no split")
        for index in held_out_first[:_GROUP_SHOWN]
    ]
    return Group(title, pictures, len(group.indices) - len(pictures))


def _show(audit: Audit, index: int, *lines: str) -> Shown:
    return Shown(audit.dataset.samples[index].path, _thumbnail(audit, index), lines)


def _thumbnail(audit: Audit, index: int) -> str | None:
    try:
        picture = audit.dataset.picture(index, min_side=SIDE)
    except UnreadablePictureError:
        return None
    return data_uri(encode_thumbnail(picture))
