"""What the doctor would do about what it found, for the user to edit; see `frostline.data.actions`."""

from collections import Counter
from collections.abc import Iterable, Iterator

from frostline.data.actions import Action
from frostline.data.audit.audit import Audit
from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.dataset import SPLIT_NAMES

_DROPPED = ("unreadable", "partly readable", "constant")
"""Oddities of pictures from which nothing can be learnt."""

SURE = 0.95
"""Probability of the expected class from which on a new label is proposed, instead of a look."""


def propose_actions(audit: Audit) -> tuple[Action, ...]:
    """One action for each picture that something is wrong with, the first that applies.

    Pictures that show nothing are dropped. Of duplicates with different labels, those against the majority are, or all
    where there is none. Those in several splits move to the training split; of exact copies in one split, one stays.
    A label that is surely wrong is replaced. What needs a person's eye is kept, with its reason.
    """
    actions: dict[str, Action] = {}
    for action in _all(audit):
        actions.setdefault(action.path, action)
    return tuple(actions.values())


def _all(audit: Audit) -> Iterator[Action]:
    samples, names = audit.dataset.samples, audit.dataset.class_names
    for finding in audit.findings:
        if finding.oddity in _DROPPED:
            yield Action(samples[finding.index].path, "drop", reason=f"{finding.oddity}: {finding.detail}")
    yield from _of_contradictions(audit)
    yield from _of_leakage(audit)
    yield from _of_copies(audit)
    for suspect in audit.suspects:
        expected = names[suspect.expected]
        sure = suspect.expected_probability >= SURE
        reason = f"expected {expected} ({suspect.expected_probability:.1%}), not {names[suspect.given]}"
        yield Action(samples[suspect.index].path, "relabel" if sure else "keep", label=expected, reason=reason)
    for outlier in audit.outliers:
        reason = f"like no other picture: {outlier.deviations:.1f} deviations away"
        yield Action(samples[outlier.index].path, "keep", reason=reason)


def _of_contradictions(audit: Audit) -> Iterator[Action]:
    for group in audit.contradictions:
        (label, most), *others = Counter(audit.label(index) for index in group.indices).most_common()
        tie = bool(others) and others[0][1] == most
        for index in group.indices:
            if tie or audit.label(index) != label:
                said = f"the same picture is labelled {', '.join(sorted({audit.label(i) for i in group.indices}))}"
                yield Action(audit.dataset.samples[index].path, "drop", reason=said)


def _of_leakage(audit: Audit) -> Iterator[Action]:
    samples = audit.dataset.samples
    for group in audit.leakage.groups:
        present = {samples[index].split for index in group.indices}
        home = next(split for split in SPLIT_NAMES if split in present)
        for index in group.indices:
            if samples[index].split not in (home, None):
                twin = next(samples[i].path for i in group.indices if samples[i].split == home)
                yield Action(samples[index].path, "move", split=home, reason=f"the same picture as {twin}")


def _of_copies(audit: Audit) -> Iterator[Action]:
    for group in _exact(audit.duplicates):
        first, *copies = group.indices
        for index in copies:
            samples = audit.dataset.samples
            if samples[index].split == samples[first].split:
                yield Action(samples[index].path, "drop", reason=f"the same pixels as {samples[first].path}")


def _exact(groups: Iterable[DuplicateGroup]) -> Iterator[DuplicateGroup]:
    return (group for group in groups if group.exact)
