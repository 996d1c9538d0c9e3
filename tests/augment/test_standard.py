"""Crops, flips and MixUp: what is drawn, and what a loss of mixed labels is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from scaling.augment.crops import Boxes, boxes_at, draw_uniform, resample
from scaling.augment.mixed import Mixed, mixed_cross_entropy
from scaling.augment.standard import Standard
from scaling.errors import UserError
from scaling.train.losses import objective
from tests.train.runs import Blobs, Line

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, channels=2, size=8, seed=0):
    return torch.randn(n, channels, size, size, generator=generator(seed))


def augment(x, y, *, seed=0, **keys):
    return Standard(**keys).build(tuple(x.shape[1:]), 5)(x, y, generator(seed))


@pytest.mark.parametrize("size", [(64, 64), (20, 50), (7, 5)])
def test_boxes_lie_within_the_image(size):
    boxes = boxes_at(draw_uniform(20_000, generator()), size, scale=SCALE, ratio=RATIO)
    for start, length, side in ((boxes.top, boxes.height, size[0]), (boxes.left, boxes.width, size[1])):
        assert torch.equal(start, start.floor())
        assert torch.equal(length, length.floor())
        assert start.min() == 0
        assert length.min() >= 1
        assert (start + length).max() == side


@pytest.mark.slow
def test_area_and_ratio_are_distributed_as_torchvision_draws_them():
    """Its rule in NumPy: up to ten boxes, the first that fits."""
    n, side = 100_000, 64
    boxes = boxes_at(draw_uniform(n, generator()), (side, side), scale=SCALE, ratio=RATIO)
    rng = np.random.default_rng(0)
    area, ratio = side * side * rng.uniform(*SCALE, (n, 10)), np.exp(rng.uniform(*np.log(RATIO), (n, 10)))
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    first = ((widths <= side) & (heights <= side)).argmax(axis=1)
    width, height = widths[range(n), first], heights[range(n), first]
    ours = boxes.width.double().numpy(), boxes.height.double().numpy()
    from scipy.stats import ks_2samp  # dear to import

    assert ks_2samp(ours[0] * ours[1], width * height).pvalue > 1e-3
    assert ks_2samp(ours[0] / ours[1], width / height).pvalue > 1e-3


def test_places_are_uniform_among_those_inside():
    boxes = boxes_at(draw_uniform(40_000, generator()), (12, 12), scale=(0.25, 0.25), ratio=(1.0, 1.0))
    assert set(boxes.height.tolist()) == {6.0}
    counts = torch.bincount(boxes.top.long(), minlength=7)
    assert counts.min() > 0.95 * 40_000 / 7
    assert counts.max() < 1.05 * 40_000 / 7
    assert abs(np.corrcoef(boxes.top, boxes.left)[0, 1]) < 0.02


def test_a_ratio_that_never_fits_takes_the_whole_image():
    boxes = boxes_at(draw_uniform(5, generator()), (8, 8), scale=(1.0, 1.0), ratio=(2.0, 3.0))
    assert boxes.height.tolist() == boxes.width.tolist() == [8.0] * 5
    assert boxes.top.tolist() == boxes.left.tolist() == [0.0] * 5


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (5, 7)])
def test_sampling_is_cropping_and_then_resizing_once(size):
    x = images(40, size=16)
    boxes = boxes_at(draw_uniform(40, generator(3)), (16, 16), scale=SCALE, ratio=RATIO)
    flipped = torch.rand(40, generator=generator(4)) < 0.5
    found = resample(x, boxes, flipped, size)
    for image, ours, flip, *box in zip(x, found, flipped, *(side.long().tolist() for side in boxes), strict=True):
        top, left, height, width = box
        crop = image[None, :, top : top + height, left : left + width]
        wanted = functional.interpolate(crop, size=size, mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(ours, wanted.flip(2) if flip else wanted, atol=2e-5, rtol=0)


def test_the_whole_image_is_left_as_it_is():
    x = images(size=9)
    zero = torch.zeros(6)
    torch.testing.assert_close(resample(x, Boxes(zero, zero, zero + 9, zero + 9), None, (9, 9)), x, atol=2e-6, rtol=0)


@pytest.mark.parametrize("scale", [None, (0.99, 1.0)])
def test_half_of_the_images_are_mirrored(scale):
    """An image that grows from left to right shrinks where it was mirrored."""
    x = torch.linspace(0, 1, 8).expand(4000, 1, 8, 8)
    out, _ = augment(x, torch.zeros(4000), scale=scale, mixup=0)
    slope = out[:, 0, 0, -1] - out[:, 0, 0, 0]
    assert (slope.abs() > 0.8).all()
    assert 0.47 < (slope < 0).float().mean() < 0.53


def test_what_is_switched_off_changes_nothing():
    x, y = images(), torch.arange(6)
    out, labels = augment(x, y, scale=None, flip=0, mixup=0)
    assert out is x
    assert labels is y
    cropped, labels = augment(x, y, mixup=0)
    assert labels is y
    assert cropped.shape == x.shape
    assert not torch.equal(cropped, x)


def test_the_examples_themselves_are_not_written_to():
    x, y = images(), torch.arange(6)
    before = x.clone()
    for keys in ({}, {"scale": None}, {"scale": None, "flip": 0}, {"mixup": 0}):
        augment(x, y, **keys)
        assert torch.equal(x, before)
        assert torch.equal(y, torch.arange(6))


def test_mixup_draws_one_share_a_batch_from_beta():
    x, y = images(), torch.arange(6)
    function, stream = Standard(scale=None, flip=0).build((2, 8, 8), 6), generator()
    shares = []
    for _ in range(4000):
        out, labels = function(x, y, stream)
        assert labels.share.shape == ()
        shares.append(labels.share.item())
    share = labels.share
    torch.testing.assert_close(out, share * x[labels.first] + (1 - share) * x[labels.second], atol=1e-5, rtol=1e-5)
    assert torch.equal(labels.first, y)
    assert (labels.second != y).all()
    expected = torch.distributions.Beta(0.8, 0.8)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(expected.variance.item(), rel=0.05)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_mixed_labels_is_that_of_class_shares(smoothing):
    outputs = torch.randn(7, 5, generator=generator(), dtype=torch.float64)
    y = Mixed(torch.tensor([0, 1, 2, 3, 4, 0, 1]), torch.tensor([1, 1, 0, 4, 2, 3, 0]), torch.tensor(0.7).double())
    loss = 0.0
    for row, first, second in zip(outputs, y.first, y.second, strict=True):
        target = torch.full((5,), smoothing / 5, dtype=torch.float64)
        target[first] += (1 - smoothing) * 0.7
        target[second] += (1 - smoothing) * (1 - y.share)
        logs = row - row.exp().sum().log()
        loss -= (target * logs).sum() / 7
    torch.testing.assert_close(mixed_cross_entropy(outputs, y, smoothing), loss)
    torch.testing.assert_close(objective("cross_entropy", label_smoothing=smoothing)(outputs, y), loss)
    plain = objective("cross_entropy", label_smoothing=smoothing)(outputs, y.first)
    whole = Mixed(y.first, y.second, torch.tensor(1.0).double())
    torch.testing.assert_close(mixed_cross_entropy(outputs, whole, smoothing), plain)


def test_only_the_generator_is_drawn_from():
    x, y = images(), torch.arange(6)
    before = torch.get_rng_state()
    first, labels = augment(x, y, seed=1)
    again, same = augment(x, y, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert labels.share == same.share
    assert not torch.equal(first, augment(x, y, seed=2)[0])


def test_data_that_is_no_image_is_refused_but_can_be_mixed():
    with pytest.raises(UserError, match=r"augment\.scale=null augment\.flip=0"):
        Standard().check(Blobs())
    Standard(scale=None, flip=0).check(Blobs())
    Standard().check(Blobs(pixels=True))
    with pytest.raises(UserError, match=r"augment\.mixup=0"):
        Standard(scale=None, flip=0).check(Line())


@pytest.mark.parametrize("keys", [{"scale": (0.5, 0.1)}, {"scale": (0.0, 1.0)}, {"ratio": (2.0, 1.0)}])
def test_impossible_ranges_are_refused(keys):
    with pytest.raises(UserError, match=f"augment.{next(iter(keys))}"):
        Standard(**keys)
