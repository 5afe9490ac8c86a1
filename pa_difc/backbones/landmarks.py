"""Windows of a feature map around five facial landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

NUM_LANDMARKS = 5
WINDOW = 7  #: side of a window, in cells
_REACH = WINDOW // 2


def landmark_cells(landmarks: Tensor, width_px: int, map_size: int) -> Tensor:
    """The cell of a square map in which each point lies: ``int(x · map_size / width_px)``.

    Cells near or beyond the border are moved inwards, to [3, map_size − 4] (3 to 24 in a 28×28 map), so that a 7×7
    window around each lies within the map.

    Args:
        landmarks: ``(N, 5, 2)`` (x, y) in pixels of the image.
        width_px: side of the image.
        map_size: side of the map, in cells.

    Returns:
        ``(N, 5, 2)`` int64 (column, row).

    Raises:
        ValueError: a point is NaN or infinite.
    """
    # On a GPU this synchronises, but without it NaN would silently become the upper left corner. An exported model
    # can't branch on values; there the caller has to check.
    if not torch.compiler.is_compiling() and not landmarks.isfinite().all():
        faces = (~landmarks.isfinite()).flatten(1).any(1).sum().item()
        raise ValueError(
            f"{faces} of {len(landmarks)} faces have no landmarks (NaN): detect them first, "
            "or use feature_head='global_only', which needs none"
        )
    # Double precision, as in the formula with Python numbers, so that a point exactly on an edge lands in the same
    # cell.
    cells = (landmarks.double() * map_size / width_px).long()
    return cells.clamp(_REACH, map_size - 1 - _REACH)


def landmark_windows(feature_map: Tensor, landmarks: Tensor, width_px: int) -> Tensor:
    """The 7×7 window of a feature map around each landmark, by one differentiable gather for all faces.

    Sreenivas et al. 2022, section 5.2, after AGRA (Chen et al. 2022, arXiv:2008.00923): windows of 7×7×128 in the
    28×28×128 map of IR-50.

    Args:
        feature_map: ``(N, C, S, S)``, S at least 7.
        landmarks: ``(N, 5, 2)`` (x, y) in pixels of the image.
        width_px: side of the image.

    Returns:
        ``(N, 5, C, 7, 7)``, in the landmarks' order.

    Raises:
        ValueError: a landmark is NaN or infinite.
    """
    n, channels, size, _ = feature_map.shape
    cells = landmark_cells(landmarks, width_px, size)  # (N, 5, 2)
    offsets = torch.arange(-_REACH, _REACH + 1, device=cells.device)
    columns = cells[..., 0, None] + offsets  # (N, 5, 7)
    rows = cells[..., 1, None] + offsets  # (N, 5, 7)
    places = (rows[..., :, None] * size + columns[..., None, :]).view(n, -1)  # (N, 245)
    if feature_map.is_contiguous(memory_format=torch.channels_last):  # faster, as a cell's channels are contiguous
        places = places + size * size * torch.arange(n, device=cells.device)[:, None]
        pixels = feature_map.permute(0, 2, 3, 1).flatten(0, 2)  # (N·S·S, C), a view
        windows = pixels.index_select(0, places.flatten())  # (N·245, C)
        return windows.view(n, NUM_LANDMARKS, WINDOW, WINDOW, channels).permute(0, 1, 4, 2, 3)
    windows = feature_map.flatten(2).gather(2, places[:, None].expand(-1, channels, -1))  # (N, C, 245)
    return windows.view(n, channels, NUM_LANDMARKS, WINDOW, WINDOW).transpose(1, 2)
