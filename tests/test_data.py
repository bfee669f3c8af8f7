"""Data sets: what comes out, and what a missing, truncated or corrupt file says."""

import numpy as np
import pytest
import torch

from prunekit.classroom import data


@pytest.mark.parametrize(
    ("name", "shape", "counts"),
    [("digits", (1, 8, 8), (1297, 500)), ("shapes32", (3, 32, 32), (10_000, 2_000))],
)
def test_uint8_images_labels_and_one_normalisation(name, shape, counts):
    train, test = data.load(name, "train"), data.load(name, "test")
    assert (len(train), len(test)) == counts
    for part in (train, test):
        assert part.images.dtype == torch.uint8 and part.images.shape[1:] == shape
        assert part.labels.dtype == torch.int64 and set(part.labels.tolist()) == set(range(10))
        assert len(part.classes) == 10
    pixels = train.images.double() / 255
    mean, std = torch.tensor(train.mean).double(), torch.tensor(train.std).double()
    want = (pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(train.inputs.double(), want, rtol=0, atol=1e-5)
    assert abs(want.mean()) < 0.15 and 0.8 < want.std() < 1.3


def test_train_and_test_do_not_share_images():
    for name in ("digits", "shapes32"):
        seen = {image.numpy().tobytes() for image in data.load(name, "train").images}
        shared = sum(i.numpy().tobytes() in seen for i in data.load(name, "test").images)
        assert shared == 0


def test_sample_and_batches():
    part = data.digits("test")
    first, again, other = part.sample(50, 1), part.sample(50, 1), part.sample(50, 2)
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
    inputs = torch.cat([x for x, _ in part.batches(64)])
    assert torch.equal(inputs, part.inputs)
    for count in (0, 501):
        with pytest.raises(ValueError, match=r"count must lie in 1\.\.500"):
            part.sample(count)


def test_unknown_names_and_splits():
    with pytest.raises(ValueError, match="name must be 'digits'"):
        data.load("mnist", "train")
    for load in (data.digits, data.shapes32, data.cifar10):
        with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'valid'"):
            load("valid")


# CIFAR-10: small files are not possible, so real-sized ones are written ---------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where PRUNEKIT_DATA points to; the user's cache is another empty folder."""
    monkeypatch.setenv("PRUNEKIT_DATA", str(tmp_path))
    monkeypatch.setattr(data, "_cache", lambda: tmp_path / "cache")
    inside = tmp_path / "cifar-10-batches-bin"
    inside.mkdir()
    return inside


def records(seed):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 256, (10_000, 3073), dtype=np.uint8)
    found[:, 0] = np.arange(10_000) % 10
    return found


def test_cifar10_reads_the_official_layout(folder):
    test = records(0)
    test.tofile(folder / "test_batch.bin")
    got = data.cifar10("test")
    assert got.images.shape == (10_000, 3, 32, 32)
    # record 7: one label byte, then the red plane row by row, then green, then blue
    assert got.labels[7] == test[7, 0]
    assert got.images[7, 1, 3, 5] == test[7, 1 + 1024 + 3 * 32 + 5]


def test_cifar10_is_found_in_the_folder_itself_and_in_the_cache(folder, tmp_path, monkeypatch):
    records(0).tofile(folder / "test_batch.bin")
    monkeypatch.setenv("PRUNEKIT_DATA", str(folder))
    assert data.find_cifar10() == folder
    monkeypatch.delenv("PRUNEKIT_DATA")
    monkeypatch.setattr(data, "_cache", lambda: tmp_path)
    assert data.find_cifar10() == folder


def test_cifar10_not_found_says_where_it_looked_and_never_downloads(folder, monkeypatch):
    monkeypatch.setattr(data, "_download_cifar10", lambda: pytest.fail("downloaded unasked"))
    with pytest.raises(FileNotFoundError, match="PRUNEKIT_DATA is .*To get it") as error:
        data.cifar10("test")
    assert "--download" in str(error.value)


def test_cifar10_one_missing_file(folder):
    records(0).tofile(folder / "test_batch.bin")
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin is missing"):
        data.cifar10("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-1], r"truncated: 30,729,999 bytes, expected 30,730,000"),
        (lambda raw: raw[:0], r"truncated: 0 bytes"),
        (lambda raw: raw + b"x", r"too long: 30,730,001 bytes"),
        (lambda raw: b"\xff" + raw[1:], "corrupt: label 255"),
    ],
)
def test_cifar10_damaged_files(folder, change, message):
    path = folder / "test_batch.bin"
    path.write_bytes(change(records(0).tobytes()))
    with pytest.raises(ValueError, match=message) as error:
        data.cifar10("test")
    assert str(path) in str(error.value) and "To get it" in str(error.value)


def test_the_download_is_checksummed_and_shows_progress(folder, monkeypatch):
    asked = {}

    def retrieve(**kwargs):
        asked.update(kwargs)
        inside = data._cache() / data.CIFAR10_FOLDER
        inside.mkdir(parents=True)
        records(1).tofile(inside / "test_batch.bin")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert len(data.cifar10("test", download=True)) == 10_000
    assert asked["known_hash"] == "md5:c32a1d4ab5d03f1284b67883e8d87530"
    assert asked["progressbar"] is True and asked["path"] == data._cache()
