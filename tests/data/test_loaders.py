"""Epochs: the longer domain in full, the shorter one cycled, the same order for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made import random_faces
from torch.utils.data import DataLoader

from pa_difc.backbones.landmarks import landmark_cells
from pa_difc.data import EvalLoader, Face, FaceDataset, PairLoader
from pa_difc.data.augment import zoom_faces
from pa_difc.data.faces import mirror_faces


def indices(loader, epoch, domain):
    return np.concatenate([b[f"{domain}_sample_idx"].numpy() for b in loader.epoch(epoch)])


@pytest.mark.parametrize(("n_source", "n_target"), [(50, 21), (21, 50), (7, 100)])
def test_an_epoch_is_a_full_pass_over_the_longer_domain(n_source, n_target):
    loader = PairLoader(random_faces(n_source, 0), random_faces(n_target, 1), batch_size=8)
    longer, shorter = ("src", "target") if n_source > n_target else ("target", "src")
    for epoch in range(3):
        assert sorted(indices(loader, epoch, longer)) == list(range(max(n_source, n_target)))
    seen = np.concatenate([indices(loader, e, shorter) for e in range(min(n_source, n_target))])
    assert set(np.bincount(seen)) == {max(n_source, n_target)}  # cycled: every sample equally often


def test_213_target_images_make_no_epoch_of_6_steps():
    assert len(PairLoader(random_faces(12_271, 0, 8), random_faces(213, 1, 8), batch_size=32)) == 384


@pytest.mark.parametrize(("samples", "sizes"), [(16, [8, 8]), (19, [8, 8, 3]), (17, [8, 9]), (3, [3]), (1, [1])])
def test_the_last_batch_is_short_but_never_a_single_sample_after_another(samples, sizes):
    loader = PairLoader(random_faces(samples, 0), random_faces(1, 1), batch_size=8)
    batches = list(loader.epoch(0))
    assert [len(b["src_labels"]) for b in batches] == [len(b["target_domain"]) for b in batches] == sizes
    assert len(loader) == len(sizes)


def test_the_same_seed_gives_the_same_batches_and_another_one_does_not():
    make = lambda seed: PairLoader(random_faces(30, 0), random_faces(40, 1), batch_size=8, seed=seed)  # noqa: E731
    for a, b in zip(make(3).epoch(2), make(3).epoch(2), strict=True):
        assert torch.equal(a["target_imgs"].image, b["target_imgs"].image)
        assert torch.equal(a["src_labels"], b["src_labels"])
    assert not np.array_equal(indices(make(3), 2, "src"), indices(make(4), 2, "src"))
    assert not np.array_equal(indices(make(3), 2, "src"), indices(make(3), 3, "src"))


def test_labels_belong_to_their_images_and_the_target_has_none():
    source = random_faces(30, 0)
    loader = PairLoader(source, random_faces(40, 1), batch_size=8, flip=False)
    batch = next(iter(loader.epoch(0)))
    assert set(batch) == {
        "src_imgs", "src_labels", "src_domain", "src_sample_idx", "target_imgs", "target_domain", "target_sample_idx",
    }  # fmt: skip
    idx = batch["src_sample_idx"].numpy()
    assert batch["src_labels"].tolist() == source.labels[idx].tolist()
    assert torch.equal(batch["src_imgs"].image, torch.from_numpy(source.images[idx]).float() / 255)
    assert torch.equal(batch["src_imgs"].landmarks, torch.from_numpy(source.landmarks[idx]))


def test_without_target_images_all_else_is_the_same():
    loader = PairLoader(random_faces(30, 0), random_faces(40, 1), batch_size=8, zoom=0.1)
    for whole, less in zip(loader.epoch(1), loader.epoch(1, target_images=False), strict=True):
        assert set(whole) - set(less) == {"target_imgs"}
        assert torch.equal(whole["src_imgs"].image, less["src_imgs"].image)
        assert all(torch.equal(whole[k], less[k]) for k in less if k != "src_imgs")


def mirrored(faces, which):
    """Copies of the arrays of a set, some of the faces mirrored."""
    images, landmarks = faces.images.copy(), faces.landmarks.copy()
    mirror_faces(images, landmarks, np.array(which))
    return images, landmarks


def test_mirroring_moves_pixels_points_and_the_points_order():
    points = np.float32([[[8.5, 10.5], [22.5, 11.5], [15.5, 16.5], [10.5, 24.5], [20.5, 25.5]]] * 2)
    faces = replace(random_faces(2, 0, size_px=32), landmarks=points)
    images, landmarks = mirrored(faces, [True, False])
    assert (images[0] == faces.images[0, ..., ::-1]).all() and (images[1] == faces.images[1]).all()
    assert landmarks[0].tolist() == [[9.5, 11.5], [23.5, 10.5], [16.5, 16.5], [11.5, 25.5], [21.5, 24.5]]
    assert (landmarks[1] == points[1]).all()
    assert landmarks[0, 0, 0] < landmarks[0, 1, 0]  # the left eye is still on the left
    for (x, y), (old_x, old_y) in zip(landmarks[0].astype(int), points[0, [1, 0, 2, 4, 3]].astype(int), strict=True):
        assert faces.images[0, 0, old_y, old_x] == images[0, 0, y, x]  # the same pixels lie under the points


def test_mirrored_points_lie_in_mirrored_cells_of_the_map():
    """What the landmark branches see of a mirrored face is the mirrored window."""
    faces = random_faces(200, 0, size_px=112)
    before, after = (
        landmark_cells(torch.from_numpy(points), 112, 28)
        for points in (faces.landmarks, mirrored(faces, [True] * 200)[1])
    )
    assert torch.equal(after[..., 0], 27 - before[:, [1, 0, 2, 4, 3], 0])


def test_mirroring_twice_is_nothing():
    faces = random_faces(3, 0)
    images, landmarks = mirrored(faces, [True] * 3)
    mirror_faces(images, landmarks, np.array([True] * 3))
    assert (images == faces.images).all()
    np.testing.assert_allclose(landmarks, faces.landmarks, rtol=1e-6)


def test_half_of_the_faces_are_mirrored_anew_in_each_epoch_and_the_set_stays_as_it_is():
    source, target = random_faces(64, 0), random_faces(64, 1)
    loader, kept, seen = PairLoader(source, target, batch_size=16), source.images.copy(), []
    for epoch in range(2):
        which = np.zeros(64, dtype=bool)
        for batch in loader.epoch(epoch):
            idx, images = batch["src_sample_idx"].numpy(), (batch["src_imgs"].image * 255).round().byte().numpy()
            which[idx] = (images == source.images[idx][..., ::-1]).all((1, 2, 3))
            assert ((images == source.images[idx]).all((1, 2, 3)) != which[idx]).all()
        seen.append(which)
    assert all(16 < which.sum() < 48 for which in seen) and (seen[0] != seen[1]).any()
    assert (source.images == kept).all()


def test_zooming_keeps_points_on_their_pixels():
    image = torch.zeros(2, 3, 60, 60)
    points = torch.tensor([[20.5, 22.5], [40.5, 20.5], [30.5, 30.5], [22.5, 40.5], [38.5, 41.5]])
    for x, y in points.long():
        image[:, :, y - 1 : y + 2, x - 1 : x + 2] = 1.0
    zoomed = zoom_faces(Face(image, points.expand(2, 5, 2).clone()), torch.tensor([0.0, 0.1]))
    torch.testing.assert_close(zoomed.image[0], image[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(zoomed.landmarks[0], points)
    torch.testing.assert_close(zoomed.landmarks[1], (points - 6) / 0.8)  # a tenth of 60 px is cut away on each side
    for x, y in zoomed.landmarks[1].long():
        assert zoomed.image[1, 0, y, x] > 0.9


def test_zoom_is_seeded_bounded_and_only_where_asked():
    make = lambda seed, **kwargs: next(iter(PairLoader(a, b, batch_size=8, seed=seed, flip=False, **kwargs).epoch(1)))  # noqa: E731
    a, b = random_faces(20, 0), random_faces(20, 1)
    plain, one, same, other = make(0), make(0, zoom=0.1), make(0, zoom=0.1), make(1, zoom=0.1)
    assert torch.equal(one["target_imgs"].image, same["target_imgs"].image)
    assert not torch.equal(one["target_imgs"].image, plain["target_imgs"].image)
    assert not torch.equal(one["target_imgs"].landmarks, other["target_imgs"].landmarks)
    moved = (one["src_imgs"].landmarks - 16) / (plain["src_imgs"].landmarks - 16)
    assert moved.min() >= 1 and moved.max() <= 1.25 + 1e-4


def test_evaluation_sees_every_face_once_in_order():
    faces = random_faces(23, 0)
    images = torch.cat([batch.image for batch in EvalLoader(faces, batch_size=5)])
    assert torch.equal(images, torch.from_numpy(faces.images).float() / 255)


def test_faces_collate_and_move_as_the_host_needs():
    loader = DataLoader(FaceDataset(random_faces(6, 0)), batch_size=3)
    faces, labels = next(iter(loader))
    assert isinstance(faces, Face) and faces.image.shape == (3, 3, 32, 32) and faces.landmarks.shape == (3, 5, 2)
    assert faces.to(torch.float64).landmarks.dtype == torch.float64 and faces.device.type == "cpu"
    assert labels.shape == (3,)


def test_batches_of_one_are_refused():
    with pytest.raises(ValueError, match="batch_size=1"):
        PairLoader(random_faces(3, 0), random_faces(3, 1), batch_size=1)


def test_fingerprints_tell_any_change():
    a, same, changed = (random_faces(5, 0) for _ in range(3))
    changed.images[3, 0, 0, 0] += 1
    assert a.fingerprint == same.fingerprint != changed.fingerprint
    assert a.fingerprint != random_faces(5, 0, prefix="other").fingerprint
