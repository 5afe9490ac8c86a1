"""Feature plots: few faces, of all classes, and a caption that counts them."""

import numpy as np
from records import outputs, record, write

from pa_difc.report.embedding import caption_of, embed, evenly_by_class
from pa_difc.report.run import all_runs


def test_faces_are_taken_equally_from_each_class_as_far_as_there_are():
    """1,000 of class 0, 30 of class 1 and 4 of class 2: of 64, 4 of class 2 and 30 of each other."""
    labels = np.random.default_rng(3).permutation(np.repeat([0, 1, 2], [1000, 30, 4]))
    shown = evenly_by_class(labels, 64)
    assert np.bincount(labels[shown]).tolist() == [30, 30, 4] and (np.diff(shown) > 0).all()
    assert shown.max() > 500  # from the whole split, not from its beginning
    assert evenly_by_class(labels, 5000).tolist() == list(range(1034)) and len(evenly_by_class(labels[:0], 5)) == 0


def test_a_large_test_split_is_plotted_by_500_faces_and_the_caption_says_so(tmp_path):
    labels = np.arange(1200) % 3
    write(tmp_path, record("mcd", "difc", names=["a", "b", "c"]), outputs(labels, np.eye(3)[labels]))
    positions, shown, domains = points = embed(all_runs(tmp_path).runs[0])
    assert len(positions) == 500 and np.bincount(domains).tolist() == [250, 250]
    assert min(np.bincount(shown)) >= 166
    assert caption_of(points).startswith("t-SNE of 500 test faces, 250 of the source and 250 of the target")
