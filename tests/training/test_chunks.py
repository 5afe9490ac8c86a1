"""Features are made in chunks that are kept: a stopped or killed pass goes on, and says how far it is."""

import numpy as np
import pytest
from extracted import all_of

from pa_difc.training import chunks
from pa_difc.training.extraction import extracted
from pa_difc.util.errors import Stopped


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(chunks, "FACES", 10)


class Watched:
    """Counts faces, and raises when so many have been asked for."""

    def __init__(self, monkeypatch, stop=None, error=None):
        self.asked, self.stop, self.error = [], stop, error
        monkeypatch.setattr(chunks, "extracted", self)

    def __call__(self, adapter, part, device):
        self.asked.append(len(part.faces))
        if self.stop is not None and sum(self.asked) > self.stop:
            raise self.error
        return extracted(adapter, part, device)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("killed")])
def test_a_pass_that_ended_early_goes_on(error, tmp_path, monkeypatch):
    whole = all_of(tmp_path / "whole")
    first = Watched(monkeypatch, 45, error)
    with pytest.raises((Stopped, MemoryError)) as raised:
        all_of(tmp_path / "out")
    if isinstance(error, KeyboardInterrupt):
        assert str(raised.value) == "stopped after the features of 42 of 84 faces"
    assert first.asked == [10, 10, 8, 10, 4, 10]  # 28 and 14 of the source; 35 and 7 of the target
    second = Watched(monkeypatch)
    found = all_of(tmp_path / "out")
    assert second.asked == [10, 10, 10, 5, 7]
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.rglob("chunks"))


def test_a_damaged_chunk_is_made_anew(tmp_path, monkeypatch):
    whole = all_of(tmp_path / "whole")
    Watched(monkeypatch, 45, MemoryError())
    with pytest.raises(MemoryError):
        all_of(tmp_path / "out")
    files = sorted(tmp_path.rglob("chunks/source_train-*.npz"))
    assert len(files) == 3
    files[0].write_bytes(files[0].read_bytes()[:-300])
    again = Watched(monkeypatch)
    found = all_of(tmp_path / "out")
    assert again.asked == [10, 10, 10, 10, 5, 7]
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_how_far_it_is_where_there_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chunks, "LINE_S", 0.0)
    all_of(tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("features of ")]
    assert said[:4] == [f"features of {n} of 84 faces" for n in (10, 20, 28, 38)]
    assert said[-1] == "features of 77 of 84 faces"
