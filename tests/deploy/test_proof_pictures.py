"""What an export is proved on was not trained on, and what calibrates it is none of that."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from frostline.data.sources import load_dataset
from frostline.data.splits import load_splits
from frostline.deploy.proof_pictures import find_proof_pictures
from frostline.errors import ConfigError, DataError


def test_a_run_s_own_validation_pictures(finished: Path) -> None:
    run = finished / "runs" / "photos-test_efficientnet-1"
    for classifier in (run, run / "classifier"):
        proof = find_proof_pictures(classifier, None)
        splits = load_splits(run / "splits.csv", load_dataset(finished / "photos"))
        assert proof.compared.tolist() == splits.val.tolist()
        assert set(proof.calibration.tolist()) == set(splits.train.tolist())
        assert proof.described == "validation pictures of photos-test_efficientnet-1"


def test_a_source_with_splits(labelled: Path) -> None:
    proof = find_proof_pictures(Path("nowhere"), str(labelled))
    assert {proof.dataset.samples[int(index)].split for index in proof.compared} == {"val"}
    assert {proof.dataset.samples[int(index)].split for index in proof.calibration} == {"train"}


def test_a_source_without_splits(photos: Path) -> None:
    proof = find_proof_pictures(Path("nowhere"), str(photos))
    assert np.intersect1d(proof.compared, proof.calibration).tolist() == []
    assert len(proof.compared) + len(proof.calibration) == 60


def test_what_is_missing_is_said(finished: Path, tmp_path: Path) -> None:
    run = finished / "runs" / "photos-test_efficientnet-1"
    with pytest.raises(ConfigError, match=r"is in no run: name labelled pictures .* --pictures SOURCE"):
        find_proof_pictures(tmp_path, None)
    shutil.copytree(run, tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    gone = config.replace(str(finished / "photos"), str(tmp_path / "gone"))
    (tmp_path / "run" / "config.yaml").write_text(gone, encoding="utf-8")
    with pytest.raises(DataError, match=r"gone.*; or prove the export on other labelled pictures"):
        find_proof_pictures(tmp_path / "run", None)
