"""McNemar's test and the paired bootstrap, against other computations of the same."""

import math

import numpy as np
import pytest

from frostline.results.comparison.paired import Pairs, accuracy_difference, mcnemar, mean_difference


def exact_mcnemar(first: int, second: int) -> float:
    """The two-sided p-value, summed from binomial coefficients."""
    total, fewer = first + second, min(first, second)
    return min(1.0, sum(math.comb(total, count) for count in range(fewer + 1)) / 2.0 ** (total - 1))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (5, 5), (2, 11), (30, 61), (12, 0)])
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(first: int, second: int) -> None:
    assert mcnemar(Pairs(100, first, second, 7)) == pytest.approx(exact_mcnemar(first, second))
    assert mcnemar(Pairs(100, first, second, 7)) == mcnemar(Pairs(3, second, first, 0))


def test_pairs_are_counted() -> None:
    first = np.array([True, True, False, False, True])
    second = np.array([True, False, True, False, False])
    assert Pairs.count(first, second) == Pairs(both=1, first=2, second=1, neither=1)


def test_the_interval_of_the_accuracy_is_that_of_the_normal_approximation() -> None:
    pairs = Pairs(both=8500, first=300, second=420, neither=780)
    found = accuracy_difference(pairs)
    difference = (420 - 300) / 10_000
    deviation = math.sqrt(((420 + 300) / 10_000 - difference**2) / 10_000)
    assert found.value == pytest.approx(difference)
    assert found.low == pytest.approx(difference - 1.96 * deviation, abs=0.05 * deviation)
    assert found.high == pytest.approx(difference + 1.96 * deviation, abs=0.05 * deviation)
    assert accuracy_difference(pairs) == found


def test_counts_give_the_interval_of_resampled_pictures() -> None:
    pairs = Pairs(both=60, first=5, second=15, neither=20)
    by_counts = accuracy_difference(pairs)
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [60, 5, 15, 20])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [60, 5, 15, 20])
    by_pictures = mean_difference(first, second)
    assert by_counts.value == pytest.approx(by_pictures.value)
    assert by_counts.low == pytest.approx(by_pictures.low, abs=0.011)
    assert by_counts.high == pytest.approx(by_pictures.high, abs=0.011)


def test_the_interval_of_the_loss_is_that_of_the_normal_approximation() -> None:
    random = np.random.default_rng(0)
    first = random.gamma(1, 1, 3000)
    second = first + random.normal(0.05, 0.4, 3000)
    found = mean_difference(first, second)
    deviation = (second - first).std() / math.sqrt(3000)
    assert found.value == pytest.approx((second - first).mean())
    assert found.low == pytest.approx(found.value - 1.96 * deviation, abs=0.06 * deviation)
    assert found.high == pytest.approx(found.value + 1.96 * deviation, abs=0.06 * deviation)


def test_equal_classifiers_differ_in_nothing() -> None:
    losses = np.random.default_rng(1).random(50)
    for found in (mean_difference(losses, losses.copy()), accuracy_difference(Pairs(40, 0, 0, 10))):
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(2).random((2, 200))
    monkeypatch.setattr("frostline.results.comparison.paired._AT_ONCE", 1000)
    few = mean_difference(first, second)
    monkeypatch.setattr("frostline.results.comparison.paired._AT_ONCE", 1)
    assert mean_difference(first, second) == few  # the same draws, in other portions
