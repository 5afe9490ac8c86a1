"""Drawn faces: the same ones every time, what is said about them is true, and their landmarks lie on what is drawn."""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pa_difc.data import toy
from pa_difc.data.toy import TOY_DOMAINS, ToyDomain, draw_faces, toy_dataset

STUDIO, STREET = TOY_DOMAINS["toy_studio"], TOY_DOMAINS["toy_street"]
SURPRISE, FEAR, DISGUST, HAPPY, SAD, ANGER, NEUTRAL = range(7)
LABELS = np.arange(70) % 7

#: Faces per class as the domains document them.
COUNTS = {
    ("toy_studio", "train"): [420, 92, 234, 1555, 646, 230, 823],
    ("toy_studio", "test"): [105, 23, 58, 389, 162, 57, 206],
    ("toy_street", "train"): [270, 150, 120, 480, 720, 300, 960],
    ("toy_street", "test"): [135, 75, 60, 240, 360, 150, 480],
}


@pytest.fixture(scope="module")
def studio():
    """500 evenly labelled faces: images, landmarks, labels."""
    labels = np.arange(497) % 7
    return *draw_faces(labels, STUDIO, seed=11), labels


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def brightness(images, points):
    """Mean over the 3×3 pixels around one point (x, y) of each image: ``(N, 3, P, P)``, ``(N, 2)`` -> ``(N,)``."""
    x, y = np.rint(points - 0.5).astype(int).T
    return np.mean(
        [images[np.arange(len(images)), :, y + i, x + j].mean(-1) for i in (-1, 0, 1) for j in (-1, 0, 1)], 0
    )


# The same faces every time


@pytest.mark.parametrize("name", TOY_DOMAINS)
def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others(name):
    first = digest(*draw_faces(LABELS, TOY_DOMAINS[name], seed=3))
    assert digest(*draw_faces(LABELS, TOY_DOMAINS[name], seed=3)) == first
    assert digest(*draw_faces(LABELS, TOY_DOMAINS[name], seed=4)) != first


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib, numpy as np; from toy import TOY_DOMAINS, draw_faces;"
        "arrays = draw_faces(np.arange(70) % 7, TOY_DOMAINS['toy_street'], seed=3);"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())"
    )
    # The folder by itself: it needs nothing of the package, which is slow to load.
    folder = str(Path(toy.__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": folder, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(*draw_faces(LABELS, STREET, seed=3))


@pytest.mark.parametrize("name", TOY_DOMAINS)
def test_a_face_does_not_depend_on_the_faces_after_it(name):
    images, landmarks = draw_faces(LABELS, TOY_DOMAINS[name], seed=3)
    fewer, fewer_landmarks = draw_faces(LABELS[:21], TOY_DOMAINS[name], seed=3)
    np.testing.assert_array_equal(fewer, images[:21])
    np.testing.assert_array_equal(fewer_landmarks, landmarks[:21])


def test_train_and_test_share_no_face():
    train, test = (toy_dataset("toy_street", split, size_px=12) for split in ("train", "test"))
    assert not {image.tobytes() for image in train[0]} & {image.tobytes() for image in test[0]}
    assert not {tuple(points.ravel()) for points in train[1]} & {tuple(points.ravel()) for points in test[1]}


# What is said about them


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_counts_are_as_documented(name, split):
    images, landmarks, labels = toy_dataset(name, split, size_px=8)
    assert np.bincount(labels).tolist() == COUNTS[name, split]
    assert labels.dtype == np.int64
    assert images.shape == (len(labels), 3, 8, 8)
    assert landmarks.shape == (len(labels), 5, 2)
    assert np.any(np.diff(labels) < 0), "classes come in blocks"


def test_the_imbalance_is_as_documented():
    for name, ratio in (("toy_studio", 17), ("toy_street", 8)):
        counts = COUNTS[name, "train"]
        assert max(counts) / min(counts) == pytest.approx(ratio, rel=0.01)
    assert np.argmax(COUNTS["toy_studio", "train"]) == HAPPY
    assert np.argsort(COUNTS["toy_street", "train"])[-2:].tolist() == [SAD, NEUTRAL]


@pytest.mark.parametrize("name", TOY_DOMAINS)
@pytest.mark.parametrize("size_px", [48, 64, 112])
def test_shapes_types_and_ranges(name, size_px):
    images, landmarks = draw_faces(LABELS, TOY_DOMAINS[name], seed=1, size_px=size_px)
    assert images.shape == (70, 3, size_px, size_px)
    assert images.dtype == np.uint8
    assert landmarks.shape == (70, 5, 2)
    assert landmarks.dtype == np.float32
    assert landmarks.min() >= 0
    assert landmarks.max() <= size_px
    assert images.std(axis=(1, 2, 3)).min() > 8, "an image is nearly blank"


def test_no_labels_no_faces():
    images, landmarks = draw_faces(np.array([], dtype=np.int64), STUDIO, seed=0)
    assert images.shape == (0, 3, 48, 48)
    assert landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("size_px", [64, 112])
def test_a_face_is_the_same_at_every_size(size_px):
    _, small = draw_faces(LABELS, STREET, seed=5, size_px=48)
    _, large = draw_faces(LABELS, STREET, seed=5, size_px=size_px)
    np.testing.assert_allclose(large / size_px, small / 48, atol=1e-5)


def test_an_image_is_the_same_at_twice_the_size():
    clean = replace(STREET, noise=(0.0, 0.0), coarse_rate=0.0)
    small, _ = draw_faces(LABELS, clean, seed=5, size_px=48)
    large, _ = draw_faces(LABELS, clean, seed=5, size_px=96)
    halved = large.reshape(70, 3, 48, 2, 48, 2).mean(axis=(3, 5))
    assert np.abs(halved - small).mean() < 3
    assert np.abs(halved - np.roll(small, 1, axis=-1)).mean() > 4, "a shift by one pixel would go unnoticed"


# Landmarks on what is drawn


def test_landmarks_of_frontal_faces_are_in_order(studio):
    _, landmarks, _ = studio
    left_eye, right_eye, nose, left_corner, right_corner = landmarks.swapaxes(0, 1)
    assert (left_eye[:, 0] + 8 < right_eye[:, 0]).all()
    assert (left_corner[:, 0] + 3 < right_corner[:, 0]).all()
    assert (left_eye[:, 0] < nose[:, 0]).all() and (nose[:, 0] < right_eye[:, 0]).all()
    assert (np.maximum(left_eye[:, 1], right_eye[:, 1]) < nose[:, 1]).all()
    assert (nose[:, 1] < np.minimum(left_corner[:, 1], right_corner[:, 1])).all()


@pytest.mark.parametrize(
    "domain", [STUDIO, replace(STREET, occlusion_rate=0.0, yaw_deg=25.0)], ids=["studio", "turned"]
)
def test_eyes_and_mouth_corners_are_darker_than_the_skin_around_them(domain):
    images, landmarks = draw_faces(np.arange(490) % 7, domain, seed=2)
    for eye, corner in ((0, 3), (1, 4)):
        skin = brightness(images, (landmarks[:, eye] + landmarks[:, corner]) / 2)  # the cheek
        for point in (eye, corner):
            here = brightness(images, landmarks[:, point])
            assert (here - skin).mean() < -15
            assert np.mean(here < skin) > 0.85
            for away in ((0, 7), (7, 0), (-7, 0)) if point == eye else ((0, -6),):
                beside = brightness(images, np.clip(landmarks[:, point] + np.float32(away), 1.5, 46.5))
                assert (here - beside).mean() < -5, f"as dark {away} pixels away"


def test_the_nose_tip_is_lighter_than_the_nostrils_below_it(studio):
    images, landmarks, _ = studio
    tip = brightness(images, landmarks[:, 2])
    assert np.mean(tip > brightness(images, landmarks[:, 2] + np.float32([0, 2.5]))) > 0.9


# Expressions


def test_mouth_corners_rise_in_smiles_and_fall_in_sadness(studio):
    _, landmarks, labels = studio
    drop = landmarks[:, 3:, 1].mean(1) - landmarks[:, 2, 1]  # from the nose tip to the corners
    mean = [drop[labels == k].mean() for k in range(7)]
    assert mean[HAPPY] + 1 < mean[NEUTRAL] < mean[SAD] - 1


def test_mouths_pucker_in_surprise_and_stretch_in_fear(studio):
    _, landmarks, labels = studio
    width = landmarks[:, 4, 0] - landmarks[:, 3, 0]
    mean = [width[labels == k].mean() for k in range(7)]
    assert mean[SURPRISE] + 1 < mean[NEUTRAL] < mean[FEAR] - 1
    assert mean[HAPPY] > mean[NEUTRAL] + 1


def test_an_open_mouth_is_darker_than_a_closed_one(studio):
    images, landmarks, labels = studio
    middle = landmarks[:, 3:].mean(1) + np.float32([0, 3])
    depth = brightness(images, middle) - brightness(images, middle + np.float32([9, 0]))  # against the cheek
    assert depth[labels == SURPRISE].mean() < depth[labels == NEUTRAL].mean() - 10


def test_the_label_changes_the_expression_and_nothing_else():
    exact = replace(STUDIO, noise=(0.0, 0.0), intensity=(1.0, 1.0))
    drawn = [draw_faces(np.full(48, k), exact, seed=9) for k in range(7)]
    for k in range(7):
        np.testing.assert_array_equal(drawn[k][0][:, :, :3], drawn[0][0][:, :, :3])  # the top rows: hair and wall
        np.testing.assert_array_equal(drawn[k][1][:, :2], drawn[0][1][:, :2])  # the eyes' centres
        for other in range(k):
            apart = np.abs(drawn[k][0].astype(int) - drawn[other][0]).max(axis=(1, 2, 3))
            assert apart.min() > 25, f"classes {k} and {other} look alike"


def test_weaker_expressions_are_nearer_to_neutral():
    neutral, _ = draw_faces(np.full(32, NEUTRAL), replace(STUDIO, noise=(0.0, 0.0)), seed=9)
    apart = []
    for strength in (0.2, 0.6, 1.0):
        domain = replace(STUDIO, noise=(0.0, 0.0), intensity=(strength, strength))
        faces, _ = draw_faces(np.full(32, HAPPY), domain, seed=9)
        apart.append(np.abs(faces.astype(int) - neutral).mean())
    assert 0 < apart[0] < apart[1] < apart[2]


# What sets domains apart


def test_heads_roll_by_as_much_as_the_domain_allows():
    plain = ToyDomain((1,) * 7, 1, 1, intensity=(0.5, 1.0), roll_deg=20.0)
    _, landmarks = draw_faces(np.arange(210) % 7, plain, seed=6)
    dx, dy = (landmarks[:, 1] - landmarks[:, 0]).T
    roll = np.rad2deg(np.arctan2(dy, dx))
    assert np.abs(roll).max() < 20.01
    assert roll.min() < -18 and roll.max() > 18


def test_turned_heads_show_the_nose_off_the_middle():
    plain = ToyDomain((1,) * 7, 1, 1, intensity=(0.5, 1.0))
    for yaw, farthest in ((0.0, 1e-3), (25.0, 6.0)):
        _, points = draw_faces(np.arange(140) % 7, replace(plain, yaw_deg=yaw), seed=6)
        offset = points[:, 2, 0] - points[:, :2, 0].mean(1)
        assert np.abs(offset).max() <= farthest
        assert yaw == 0 or (offset.min() < -1.5 and offset.max() > 1.5)


def test_occluders_hide_pixels_but_not_landmarks():
    free, points = draw_faces(LABELS, replace(STREET, occlusion_rate=0.0), seed=5)
    hidden, same_points = draw_faces(LABELS, replace(STREET, occlusion_rate=1.0), seed=5)
    np.testing.assert_array_equal(points, same_points)
    covered = (np.abs(free.astype(int) - hidden).max(1) > 10).mean(axis=(1, 2))
    assert covered.min() > 0.005
    assert covered.mean() > 0.05


def test_gray_and_blur_do_what_they_say():
    gray, _ = draw_faces(LABELS, replace(STREET, gray_rate=1.0), seed=5)
    np.testing.assert_array_equal(gray[:, 0], gray[:, 1])
    clear = replace(STREET, noise=(0.0, 0.0), coarse_rate=0.0)
    sharpness = []
    for thousandths in (0.0, 10.0, 30.0):
        faces, _ = draw_faces(LABELS, replace(clear, blur=(thousandths, thousandths)), seed=5)
        sharpness.append(np.abs(np.diff(faces.astype(int))).mean())
    assert sharpness[0] > 1.1 * sharpness[1] > 1.2 * sharpness[2]


# Errors


def test_unknown_names_are_named_beside_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown toy domain 'toy_studoi'.*toy_studio, toy_street"):
        toy_dataset("toy_studoi", "train")
    with pytest.raises(ValueError, match=r"unknown split 'val'.*train, test"):
        toy_dataset("toy_studio", "val")


def test_labels_and_sizes_are_checked():
    with pytest.raises(ValueError, match=r"labels contain 7: must be 0\.\.6"):
        draw_faces(np.array([0, 7]), STUDIO, seed=0)
    with pytest.raises(ValueError, match=r"labels contain -1"):
        draw_faces(np.array([-1]), STUDIO, seed=0)
    with pytest.raises(ValueError, match="size_px=0"):
        draw_faces(np.array([0]), STUDIO, seed=0, size_px=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOY_DOMAINS)
def test_a_thousand_faces_a_second(name):
    """Per second of CPU time, which other processes hardly change: one core that is free is enough."""
    labels = np.arange(1500) % 7
    seconds = []
    for _ in range(3):
        start = time.process_time()
        draw_faces(labels, TOY_DOMAINS[name], seed=0)
        seconds.append(time.process_time() - start)
    assert len(labels) / min(seconds) >= 1000
