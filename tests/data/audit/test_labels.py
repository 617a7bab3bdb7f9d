import numpy as np
import pytest

from frostline.data.audit.labels import confident_joint, doubt, find_suspects, label_noise

TARGETS = np.array([0, 0, 0, 1, 1, 1, 2], dtype=np.int64)
PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.7, 0.2, 0.1],
        [0.1, 0.8, 0.1],
        [0.3, 0.7, 0.0],
        [0.2, 0.8, 0.0],
        [0.9, 0.1, 0.0],
        [0.2, 0.2, 0.6],
    ]
)


def test_suspects_are_off_the_diagonal_of_the_confident_joint_the_surest_first() -> None:
    joint = confident_joint(PROBABILITIES, TARGETS)
    suspects = find_suspects(PROBABILITIES, TARGETS)
    assert joint.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert [(s.index, s.given, s.expected) for s in suspects] == [(5, 1, 0), (2, 0, 1)]
    assert (suspects[0].given_probability, suspects[0].expected_probability) == (0.1, 0.9)


def test_a_class_that_is_predicted_shyly_has_a_low_threshold() -> None:
    """What is likeliest is not always what is confident: class 1 never has more than 0.45, and 0.4 is much for it."""
    targets = np.array([0, 0, 1, 1, 0], dtype=np.int64)
    first = np.array([0.95, 0.95, 0.65, 0.6, 0.6])
    suspects = find_suspects(np.stack([first, 1 - first], axis=1), targets)
    assert [(s.index, s.expected) for s in suspects] == [(4, 1)]


def test_clean_labels_have_no_suspects() -> None:
    probabilities = np.eye(4)[np.arange(40) % 4] * 0.9 + 0.025
    assert find_suspects(probabilities, np.arange(40) % 4) == ()


def test_flipped_labels_are_found() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 1000)
    probabilities = rng.dirichlet(np.ones(5), 1000) * 0.4 + np.eye(5)[truth] * 0.6
    targets = truth.copy()
    targets[:100] = (truth[:100] + rng.integers(1, 5, 100)) % 5
    suspects = find_suspects(probabilities, targets)
    found = {s.index for s in suspects}
    assert len(found & set(range(100))) >= 80
    assert len(found - set(range(100))) <= 10
    assert all(s.expected == truth[s.index] for s in suspects if s.index < 100)


def test_doubt_follows_self_confidence_where_noise_is_even() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    scores = doubt(probabilities, np.array([0, 0, 0, 1, 2]))
    assert np.argsort(-scores)[:3].tolist() == [1, 2, 0]
    assert 0 < scores.min() < scores.max() < 1


def test_classes_that_are_mistaken_for_each_other_are_doubted_more() -> None:
    joint = np.array([[90, 10, 0], [10, 90, 0], [0, 0, 100]])
    noise = label_noise(joint)
    assert noise.sum(axis=0) == pytest.approx([1, 1, 1])
    assert noise[0, 1] > 2 * noise[0, 2] > 0


def test_noise_of_a_class_that_nothing_is_confidently_of_is_even() -> None:
    noise = label_noise(np.array([[5, 1, 0], [0, 5, 0], [1, 0, 0]]))
    assert noise[0, 2] == noise[1, 2]
    assert noise[:, 2].sum() == pytest.approx(1)


def test_a_class_without_pictures_is_never_expected() -> None:
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    assert find_suspects(probabilities, np.array([0, 1])) == ()
