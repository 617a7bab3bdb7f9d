"""One look at every picture while it is decoded for something else: its facts, and a fingerprint to find its copies."""

from dataclasses import dataclass, field, replace

from frostline.data.audit.pictures import PictureFacts, inspect_file, inspect_pixels
from frostline.data.audit.thumbnails import Fingerprint, fingerprint
from frostline.data.dataset import Dataset, Picture, PictureStore, Sample
from frostline.data.decode import UnreadablePictureError
from frostline.data.encoded import EncodedStore


@dataclass(frozen=True)
class Inspector:
    """Hands on the pictures of a store, whole, and keeps what it first saw of each by its path; thread-safe."""

    pictures: PictureStore
    facts: dict[str, PictureFacts] = field(default_factory=dict)
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)
    """Of those that can be read."""

    def watch(self, dataset: Dataset) -> Dataset:
        """The same dataset, its pictures seen by the inspector when they are read."""
        return replace(dataset, pictures=self)

    def read(self, sample: Sample, min_side: int | None = None) -> Picture:
        """See `PictureStore.read`; at full resolution, so that what cannot be decoded whole is found.

        A picture is inspected the first time only.
        """
        if sample.path in self.fingerprints:
            return self.pictures.read(sample)
        facts, picture = self._look(sample)
        self.facts[sample.path] = facts
        if picture is None:
            raise UnreadablePictureError(sample.path, facts.problem or "it cannot be decoded")
        self.fingerprints[sample.path] = fingerprint(picture)
        return picture

    def _look(self, sample: Sample) -> tuple[PictureFacts, Picture | None]:
        try:
            if isinstance(self.pictures, EncodedStore):
                with self.pictures.open(sample) as file:
                    return inspect_file(file, self.pictures.name(sample))
            picture = self.pictures.read(sample)
        except UnreadablePictureError as error:
            return PictureFacts(problem=error.reason), None
        return inspect_pixels(picture), picture
