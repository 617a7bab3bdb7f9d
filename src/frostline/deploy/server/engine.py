"""What computes the answers of a service: the fastest that a classifier can be run by here."""

import logging
import sys

from frostline.model.classifier import Answering, ImageClassifier

_EXPECTED = 1_000_000
"""Pictures that a service is ready for: it runs for long, so that the fastest engine pays."""


def needs_torch(classifier: ImageClassifier) -> bool:
    """Whether torch runs the classifier; where its module is not loaded, no classifier is of its kind."""
    module = sys.modules.get("frostline.model.network_classifier")
    return module is not None and isinstance(classifier, module.NetworkClassifier)


def fastest_answering(classifier: ImageClassifier) -> Answering:
    """A classifier's network in OpenVINO, for batches of any size, where that can run it; else what it runs itself."""
    if needs_torch(classifier):
        from frostline.deploy.export import run_in_memory
        from frostline.model.network_classifier import NetworkClassifier

        assert isinstance(classifier, NetworkClassifier)
        try:
            return run_in_memory(classifier).answering()
        except RuntimeError as error:
            logging.getLogger(__name__).warning("OpenVINO cannot serve this classifier, torch does: %s", error)
    return classifier.answering(expected=_EXPECTED)
