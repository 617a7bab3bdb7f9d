"""Everything that the data doctor found in a dataset, in one place."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from frostline.data.audit.classes import ClassFacts
from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.audit.labels import Suspect
from frostline.data.audit.leakage import Leakage, find_leakage, with_other_labels
from frostline.data.audit.outliers import Outlier
from frostline.data.audit.pictures import Finding
from frostline.data.dataset import Dataset


@dataclass(frozen=True)
class Audit:
    """What is wrong with a dataset; every index is one of its samples."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    classes: ClassFacts
    duplicates: tuple[DuplicateGroup, ...]
    suspects: tuple[Suspect, ...]
    outliers: tuple[Outlier, ...]
    unchecked_classes: tuple[str, ...]
    """Classes with too few pictures to doubt their labels."""
    seconds: Mapping[str, float]
    """Time spent on each part."""

    @cached_property
    def leakage(self) -> Leakage:
        """Duplicates across the splits that the source brings."""
        return find_leakage(self.duplicates, [sample.split for sample in self.dataset.samples])

    @cached_property
    def contradictions(self) -> tuple[DuplicateGroup, ...]:
        """Duplicates with different labels."""
        return with_other_labels(self.duplicates, [sample.target for sample in self.dataset.samples])

    @cached_property
    def oddities(self) -> Mapping[str, int]:
        """How many pictures have each oddity, the worst first."""
        return Counter(finding.oddity for finding in self.findings)

    def label(self, index: int) -> str:
        """The class name of a picture."""
        return self.dataset.class_names[self.dataset.samples[index].target]

    def kinds(self) -> dict[str, Sequence[int]]:
        """The pictures of each kind of finding, by its name; kinds of which there are none are left out."""
        kinds: dict[str, Sequence[int]] = {
            **{oddity: [each.index for each in self.findings if each.oddity == oddity] for oddity in self.oddities},
            **{f"leakage into {split}": indices for split, indices in self.leakage.affected.items()},
            "contradictions": [index for group in self.contradictions for index in group.indices],
            "exact duplicates": [index for group in self.duplicates if group.exact for index in group.indices[1:]],
            "near duplicates": [index for group in self.duplicates if not group.exact for index in group.indices[1:]],
            "suspect labels": [suspect.index for suspect in self.suspects],
            "outliers": [outlier.index for outlier in self.outliers],
        }
        return {name: indices for name, indices in kinds.items() if indices}

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON: pictures by their paths, classes by their names."""
        samples, names = self.dataset.samples, self.dataset.class_names
        return {
            "source": self.dataset.source,
            "pictures": len(samples),
            "notes": list(self.dataset.notes),
            "found": {name: len(indices) for name, indices in self.kinds().items()},
            "oddities": [
                {"path": samples[finding.index].path, "oddity": finding.oddity, "detail": finding.detail}
                for finding in self.findings
            ],
            "classes": self._classes(),
            "duplicates": [self._group(group) for group in self.duplicates],
            "contradictions": [self._paths(group.indices) for group in self.contradictions],
            "leakage": {
                "groups": len(self.leakage.groups),
                **{f"{split}_pictures": self._paths(indices) for split, indices in self.leakage.affected.items()},
            },
            "suspect_labels": [
                {
                    "path": samples[suspect.index].path,
                    "label": names[suspect.given],
                    "expected": names[suspect.expected],
                    "label_probability": round(suspect.given_probability, 4),
                    "expected_probability": round(suspect.expected_probability, 4),
                }
                for suspect in self.suspects
            ],
            "unchecked_classes": list(self.unchecked_classes),
            "outliers": [
                {
                    "path": samples[outlier.index].path,
                    "label": self.label(outlier.index),
                    "distance": round(outlier.distance, 4),
                    "deviations": round(outlier.deviations, 2),
                }
                for outlier in self.outliers
            ],
            "seconds": dict(self.seconds),
        }

    def _classes(self) -> dict[str, Any]:
        facts = asdict(self.classes)
        counts = {
            split or "no split": dict(zip(self.classes.class_names, numbers, strict=True))
            for split, numbers in self.classes.counts.items()
        }
        return {**facts, "counts": counts, "imbalance_ratio": round(self.classes.imbalance_ratio, 2)}

    def _group(self, group: DuplicateGroup) -> dict[str, Any]:
        return {
            "paths": self._paths(group.indices),
            "labels": [self.label(index) for index in group.indices],
            "splits": [self.dataset.samples[index].split for index in group.indices],
            "exact": group.exact,
            "similarity": round(group.similarity, 4),
            "mirrored": group.mirrored,
        }

    def _paths(self, indices: Sequence[int]) -> list[str]:
        return [self.dataset.samples[index].path for index in indices]
