"""Resampling: plain views exactly, others where their matrices say, each picture by itself."""

import numpy as np
import pytest
import torch
from torch import Tensor

from frostline.model import resampling
from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import make_pixels, normalise, resample

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IDENTITY = torch.eye(2, 3)


def pictures(count: int, side: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def full(count: int, side: int) -> Tensor:
    return torch.full((count,), side)


def channels_first(buffer: Tensor) -> Tensor:
    return buffer.permute(0, 3, 1, 2).float() / 255


def matrix(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor([rows])


@pytest.mark.parametrize("side", [17, 32, 96])
def test_picture_of_full_size_is_returned_exactly(side: int) -> None:
    buffer, preprocess = pictures(5, side), Preprocessing(side, MEAN, STD)
    wanted = channels_first(buffer)
    assert torch.equal(resample(preprocess, buffer, full(5, side)), wanted)
    assert torch.equal(resample(preprocess, buffer, full(5, side), IDENTITY.expand(5, 2, 3)), wanted)
    assert torch.equal(make_pixels(preprocess, buffer, full(5, side)), normalise(preprocess, wanted))


def test_only_identities_are_copied() -> None:
    buffer, preprocess = pictures(3, 24), Preprocessing(24, MEAN, STD)
    matrices = IDENTITY.repeat(3, 1, 1)
    matrices[1, 0, 2] = 0.3
    views = resample(preprocess, buffer, full(3, 24), matrices)
    assert torch.equal(views[[0, 2]], channels_first(buffer)[[0, 2]])
    assert not torch.equal(views[1], channels_first(buffer)[1])


@pytest.mark.parametrize(("side", "size"), [(32, 96), (7, 20), (1, 16)])
def test_plain_view_is_the_identity_view(side: int, size: int) -> None:
    buffer, preprocess = pictures(4, side), Preprocessing(size, MEAN, STD)
    plain = resample(preprocess, buffer, full(4, side))
    views = resample(preprocess, buffer, full(4, side), IDENTITY.expand(4, 2, 3))
    assert plain.shape == (4, 3, size, size)
    torch.testing.assert_close(plain, views, atol=1e-5, rtol=0)


def test_normalising_before_sampling_is_the_same_as_after() -> None:
    buffer, preprocess = pictures(4, 20), Preprocessing(32, MEAN, STD)
    matrices = IDENTITY + 0.2 * torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    for view in (None, matrices):
        after = normalise(preprocess, resample(preprocess, buffer, full(4, 20), view))
        torch.testing.assert_close(make_pixels(preprocess, buffer, full(4, 20), view), after, atol=1e-5, rtol=0)


def test_mirror_shift_and_quarter_turn_move_whole_pixels() -> None:
    buffer, preprocess = pictures(1, 16), Preprocessing(16, MEAN, STD)
    picture = channels_first(buffer)

    def view(*rows: tuple[float, float, float]) -> Tensor:
        return resample(preprocess, buffer, full(1, 16), matrix(*rows))

    def same(one: Tensor, other: Tensor) -> None:
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)

    same(view((-1, 0, 0), (0, 1, 0)), picture.flip(3))
    same(view((1, 0, 0.25), (0, 1, 0))[..., :14], picture[..., 2:])
    same(view((1, 0, 0), (0, 1, -0.25))[:, :, 2:], picture[:, :, :14])
    same(view((0, 1, 0), (-1, 0, 0)), picture.rot90(1, (3, 2)))


def test_positions_beyond_the_border_are_reflected_at_it() -> None:
    buffer, preprocess = pictures(1, 16), Preprocessing(16, MEAN, STD)
    padded = np.pad(buffer[0].numpy(), ((16, 16), (16, 16), (0, 0)), mode="symmetric")
    shifted = resample(preprocess, buffer, full(1, 16), matrix((1, 0, 1.0), (0, 1, -0.5)))
    wanted = torch.from_numpy(padded[12:28, 24:40]).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(shifted[0], wanted, atol=1e-5, rtol=0)


def test_a_view_does_not_depend_on_the_rest_of_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = torch.tensor([40, 13, 40, 27, 13, 1, 40])
    buffer, preprocess = pictures(7, 40), Preprocessing(40, MEAN, STD)
    matrices = IDENTITY + 0.2 * torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(1))
    for view in (None, matrices):
        together = make_pixels(preprocess, buffer, sides, view)
        for index, side in enumerate(sides.tolist()):
            rows = None if view is None else view[index : index + 1]
            alone = make_pixels(preprocess, buffer[index : index + 1, :side, :side], sides[index : index + 1], rows)
            assert torch.equal(together[index : index + 1], alone)
        with monkeypatch.context() as patch:
            patch.setattr(resampling, "_PIECE_PIXELS", 1)
            assert torch.equal(make_pixels(preprocess, buffer, sides, view), together)


def test_what_lies_beside_a_picture_in_the_buffer_is_never_seen() -> None:
    buffer, preprocess = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8), Preprocessing(48, MEAN, STD)
    buffer[:, :20, :20] = 0
    matrices = matrix((1.7, 0.9, 0.4), (-0.8, 2.1, -0.6))
    assert resample(preprocess, buffer, full(1, 20), matrices).max() == 0
    assert resample(preprocess, buffer, full(1, 20)).max() == 0


def test_empty_batch() -> None:
    views = make_pixels(Preprocessing(16, MEAN, STD), torch.zeros(0, 1, 1, 3, dtype=torch.uint8), full(0, 1))
    assert views.shape == (0, 3, 16, 16)
