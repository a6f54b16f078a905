"""Batches: every image once, reproducible from (seed, epoch, step), and crops that are drawn uniformly."""

from collections.abc import Iterable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.data import Batch, Batches, Split, batches, ordered
from cktat.data.augment import OUTCOMES, crop_flip, draw_crop_flip
from cktat.errors import CktatError
from cktat.seeds import generator

sizes = st.tuples(st.integers(1, 40), st.integers(1, 50))


def split(n: int, size: int = 3) -> Split:
    pixels = torch.arange(n * 2 * size * size) % 251
    return Split(pixels.to(torch.uint8).reshape(n, 2, size, size), torch.arange(n) % 7)


def same(a: Iterable[Batch], b: Iterable[Batch]) -> bool:
    return all(torch.equal(u, v) for x, y in zip(a, b, strict=True) for u, v in zip(x, y, strict=True))


def outcomes(image: torch.Tensor) -> torch.Tensor:
    """All 162 results of one image [C, H, W], written as loops: crop (down, right), then flipped or not."""
    c, h, w = image.shape
    padded = torch.zeros(c, h + 8, w + 8, dtype=image.dtype)
    padded[:, 4 : h + 4, 4 : w + 4] = image
    crops = [padded[:, i : i + h, j : j + w] for i in range(9) for j in range(9)]
    return torch.stack([x for crop in crops for x in (crop, torch.tensor(crop.numpy()[:, :, ::-1].copy()))])


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (2, 5, 7), (1, 1, 1)])
def test_crop_flip_is_the_outcome_that_was_drawn(shape: tuple[int, int, int]) -> None:
    images = torch.randint(1, 256, (OUTCOMES, *shape), generator=generator(0), dtype=torch.uint8)
    draws = torch.randperm(OUTCOMES, generator=generator(1))
    results = crop_flip(images, draws)
    assert results.dtype == torch.uint8
    for image, draw, result in zip(images, draws, results, strict=True):
        assert torch.equal(result, outcomes(image)[draw])


def test_outcomes_are_drawn_uniformly() -> None:
    n = 200_000
    counts = torch.bincount(draw_crop_flip(n, generator(0, "test")), minlength=OUTCOMES).double()
    assert len(counts) == 162
    chi_square = ((counts - n / 162) ** 2 / (n / 162)).sum().item()
    assert 161 - 5 * 18 < chi_square < 161 + 5 * 18  # mean 161, deviation sqrt(322) = 18


def test_augmented_batches_are_outcomes_of_their_images() -> None:
    part = split(12, size=6)
    for batch in Batches(part, 4, augment="crop-flip", seed=3).epoch(2):
        for x, i in zip(batch.x, batch.index, strict=True):
            assert (outcomes(part.images[i]).float() / 255 == x).flatten(1).all(1).any()


@given(sizes, st.integers(0, 5), st.integers(0, 2**63 - 1))
def test_an_epoch_has_every_image_at_most_once(size: tuple[int, int], epoch: int, seed: int) -> None:
    n, batch_size = size
    part = split(n)
    batches = Batches(part, batch_size, seed=seed)
    seen = list(batches.epoch(epoch))
    index = torch.cat([b.index for b in seen])
    whole = min(batch_size, n)
    assert batches.steps == len(seen) == max(1, n // batch_size)
    assert all(len(b.x) == len(b.y) == len(b.index) == whole for b in seen)  # constant shapes
    assert len(set(index.tolist())) == len(index) == n - (n % batch_size if n > batch_size else 0)
    for b in seen:
        assert b.x.dtype == torch.float32 and torch.equal(b.x, part.images[b.index] / 255)
        assert b.y.dtype == torch.int64 and torch.equal(b.y, part.labels[b.index])


@settings(max_examples=30)
@given(sizes, st.integers(0, 9), st.data())
def test_an_epoch_can_start_anywhere(size: tuple[int, int], epoch: int, data: st.DataObject) -> None:
    batches = Batches(split(size[0]), size[1], augment="crop-flip", seed=5)
    start = data.draw(st.integers(0, batches.steps))
    later = Batches(split(size[0]), size[1], augment="crop-flip", seed=5).epoch(epoch, start=start)
    assert same(later, list(batches.epoch(epoch))[start:])


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([b.index for b in Batches(split(40), 10, seed=seed).epoch(epoch)]).tolist()

    assert len({tuple(order(seed, epoch)) for seed in range(5) for epoch in range(5)}) == 25


def test_crops_change_with_epoch_step_and_seed() -> None:
    same_image = Split(
        torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(40, 1, 1, 1), torch.zeros(40).long()
    )
    seen = {
        tuple(batch.x.flatten().tolist())
        for seed in range(3)
        for epoch in range(3)
        for batch in Batches(same_image, 10, augment="crop-flip", seed=seed).epoch(epoch)
    }
    assert len(seen) == 3 * 3 * 4


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    batches = Batches(split(8), 4, augment="crop-flip")
    torch.manual_seed(0)
    first = list(batches.epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert same(first, batches.epoch(0))


@given(sizes)
def test_ordered_is_the_split_itself(size: tuple[int, int]) -> None:
    n, batch_size = size
    part = split(n)
    seen = list(ordered(part, batch_size, levels=251))
    assert [len(b.x) for b in seen[:-1]] == [batch_size] * (len(seen) - 1) and 1 <= len(seen[-1].x) <= batch_size
    assert torch.cat([b.index for b in seen]).tolist() == list(range(n))
    assert torch.equal(torch.cat([b.x for b in seen]), part.images / 251)
    assert torch.equal(torch.cat([b.y for b in seen]), part.labels)


def test_levels_are_where_one_is() -> None:
    part = Split(torch.tensor([0, 4, 16], dtype=torch.uint8).reshape(3, 1, 1, 1), torch.zeros(3).long())
    assert [b.x.item() for b in ordered(part, 1, levels=16)] == [0.0, 0.25, 1.0]
    assert sorted(b.x.item() for b in Batches(part, 1, levels=16).epoch(0)) == [0.0, 0.25, 1.0]


def test_real_numbers_pass() -> None:
    part = Split(torch.randn(4, 1, 2, 2, dtype=torch.float64), torch.zeros(4).long())
    (batch,) = ordered(part, 4, levels=1)
    assert batch.x.dtype == torch.float32 and torch.equal(batch.x, part.images.float())


def test_faults_are_named() -> None:
    with pytest.raises(CktatError, match="batch size 0 is too small"):
        Batches(split(4), 0)
    with pytest.raises(CktatError, match="batch size -1 is too small"):
        next(ordered(split(4), -1))
    with pytest.raises(CktatError, match="unknown augmentation 'crop'; did you mean 'crop-flip'"):
        Batches(split(4), 2, augment="crop")
    for start in (-1, 3):
        with pytest.raises(CktatError, match=f"epoch 1 cannot start at batch {start}: it has batches 0..1"):
            next(Batches(split(4), 2).epoch(1, start=start))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: batches on a GPU are not compared with the CPU's")
@pytest.mark.parametrize("fits", [True, False])
def test_devices_agree(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_fits", lambda split, device: fits)
    part = split(40, size=8)
    for augment in ("none", "crop-flip"):
        gpu = Batches(part, 16, augment=augment, device="cuda")
        assert gpu.split.images.is_cuda == fits
        on_cpu = (Batch(*(t.cpu() for t in batch)) for batch in gpu.epoch(1))
        assert same(on_cpu, Batches(part, 16, augment=augment).epoch(1))


def test_a_split_lies_on_a_gpu_where_it_takes_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    part = split(40, size=8)  # 40 x 2 x 8 x 8 bytes
    for free, fits in ((10240, True), (10239, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**40))
        assert batches._fits(part, torch.device("cuda")) == fits
    assert batches._fits(part, torch.device("cpu"))
