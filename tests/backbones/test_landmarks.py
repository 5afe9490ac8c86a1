"""Windows around landmarks: equal to slices, and right about left and right."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pa_difc.backbones.landmarks import landmark_cells, landmark_windows
from pa_difc.data.faces import MIRRORED, Face, mirror_faces


def sliced_windows(feature_map, landmarks, width_px):
    """One face, one point at a time, in Python's numbers."""
    size = feature_map.shape[-1]
    windows = torch.empty(len(landmarks), 5, feature_map.shape[1], 7, 7, dtype=feature_map.dtype)
    for n, points in enumerate(landmarks.tolist()):
        for p, (x, y) in enumerate(points):
            column = min(max(int(x * size / width_px), 3), size - 4)
            row = min(max(int(y * size / width_px), 3), size - 4)
            windows[n, p] = feature_map[n, :, row - 3 : row + 4, column - 3 : column + 4]
    return windows


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("size", "width_px"), [(28, 112), (28, 100), (14, 112), (7, 48)])
def test_windows_and_gradients_equal_those_of_a_loop_of_slices(size, width_px, layout):
    torch.manual_seed(0)
    feature_map = torch.randn(4, 6, size, size).to(memory_format=layout).requires_grad_()
    landmarks = torch.rand(4, 5, 2) * (width_px + 30) - 15  # some lie outside
    weights = torch.randn(4, 5, 6, 7, 7)
    windows = landmark_windows(feature_map, landmarks, width_px)
    expected = sliced_windows(feature_map, landmarks, width_px)
    assert windows.shape == (4, 5, 6, 7, 7)
    assert torch.equal(windows, expected)
    gradient, expected_gradient = (
        torch.autograd.grad((w * weights).sum(), feature_map)[0] for w in (windows, expected)
    )
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.abs().sum() > 0


@given(x=st.floats(-50, 200, width=32), y=st.floats(-50, 200, width=32), width_px=st.integers(20, 200))
def test_cells_are_those_of_the_protocol(x, y, width_px):
    cell = landmark_cells(torch.tensor([[[x, y]]]), width_px, 28)
    assert cell.tolist() == [[[min(max(int(v * 28 / width_px), 3), 24) for v in (x, y)]]]


def test_edges_of_cells_at_112_px():
    x = torch.tensor([0.0, 15.9, 16.0, 99.9, 100.0, 111.9])
    assert landmark_cells(torch.stack([x, x], -1)[None], 112, 28)[0, :, 0].tolist() == [3, 3, 4, 24, 24, 24]


def test_a_mirrored_face_shows_each_branch_the_same_side_of_the_image():
    """With the indices swapped, the branch of the left eye goes on seeing what lies left; without, the right eye."""
    landmarks = torch.tensor([[[33.5, 45.5], [81.5, 45.5], [57.5, 69.5], [37.5, 93.5], [77.5, 93.5]]])
    image = torch.randint(256, (1, 3, 112, 112)).float()  # sums of whole numbers do not depend on their order
    face = Face(image, landmarks)
    flipped = Face(image.clone(), landmarks.clone())
    mirror_faces(flipped.image.numpy(), flipped.landmarks.numpy(), np.array([True]))
    pool = torch.nn.AvgPool2d(4)  # a 28×28 map that is mirrored where the image is
    before = landmark_windows(pool(face.image), face.landmarks, 112)
    after = landmark_windows(pool(flipped.image), flipped.landmarks, 112)
    assert torch.equal(after[:, 0], before[:, 1].flip(-1))  # the left eye's branch: the eye that was right
    assert torch.equal(after[:, list(MIRRORED)], before.flip(-1))
    assert (landmark_cells(flipped.landmarks, 112, 28)[0, [0, 3], 0] < 14).all()  # left is still left

    without_swap = flipped.landmarks[:, list(MIRRORED)]
    wrong = landmark_windows(pool(flipped.image), without_swap, 112)
    assert torch.equal(wrong, before.flip(-1))
    assert landmark_cells(without_swap, 112, 28)[0, 0, 0] > 14  # its "left eye" lies right


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_unknown_landmarks_are_an_error(bad):
    landmarks = torch.full((3, 5, 2), 50.0)
    landmarks[1, 2] = bad
    with pytest.raises(ValueError, match=r"^1 of 3 faces have no landmarks.*global_only") as caught:
        landmark_windows(torch.zeros(3, 1, 28, 28), landmarks, 112)
    assert "\n" not in str(caught.value)
