"""The list of public weights, and how files are found to be them."""

import hashlib
from itertools import pairwise

import pytest
import torch
from made import ROOT

from pa_difc.backbones import BACKBONES, published
from pa_difc.backbones.published import PUBLISHED, PublishedFile, PublishedWeights, find_published
from pa_difc.commands.parser import COMMANDS, _module, main
from pa_difc.util.errors import UserError

CONTENT = {"net.json": b"names", "net.bin": b"bytes"}


def entry(*names, hashes=True):
    files = [PublishedFile(n, hashlib.sha256(CONTENT[n]).hexdigest() if hashes else "", len(CONTENT[n])) for n in names]
    return PublishedWeights("small", tuple(files), "https://example.org", "MIT", "toys", "a, b")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name, content in CONTENT.items():
        (tmp_path / "deep" / name).write_bytes(content)
    return tmp_path


def test_every_entry_is_of_a_backbone_and_says_where_it_comes_from_and_on_which_terms():
    for name, weights in PUBLISHED.items():
        assert weights.backbone in BACKBONES and weights.files, name
        assert weights.origin and weights.terms and weights.trained_on, name
        assert all(len(file.sha256) in (0, 8, 64) for file in weights.files)
    assert PUBLISHED["face_api"].classifier.split(", ") == list(BACKBONES["expression"].classes)


def test_examples_start_from_a_model_or_from_weights_that_the_docs_say_to_download():
    docs, places = (ROOT / "docs" / "using.md").read_text(), set()
    for name in COMMANDS:
        words = getattr(_module(name), "EXAMPLES", "").split()
        places |= {place for flag, place in pairwise(words) if flag == "--pretrained"}
    assert places == {"my_model", "downloads/face_api"} and "`downloads/face_api`" in docs


def test_found_by_name_and_compared(folder):
    weights = entry("net.json", "net.bin")
    assert find_published(weights, folder) == (folder / "deep" / "net.json", "")
    (folder / "deep" / "net.bin").write_bytes(b"other")
    place, problem = find_published(weights, folder)
    assert place == folder / "deep" / "net.json" and "net.bin is not the published file: its sha256" in problem
    (folder / "deep" / "net.bin").unlink()
    assert find_published(weights, folder)[1] == "net.bin is missing next to it"


def test_found_under_another_name_by_its_hash(folder):
    (folder / "deep" / "net.json").rename(folder / "renamed")
    assert find_published(entry("net.json"), folder) == (folder / "renamed", "")
    (folder / "renamed").write_bytes(b"namez")  # the same size
    assert find_published(entry("net.json"), folder) == (None, "")


def test_where_no_hash_is_known_a_name_does(folder):
    (folder / "deep" / "net.json").write_bytes(b"anything")
    assert find_published(entry("net.json", hashes=False), folder) == (folder / "deep" / "net.json", "")


def test_the_command(folder, monkeypatch, capsys):
    monkeypatch.setattr(published, "PUBLISHED", PUBLISHED)
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    assert all(f"· {name}, for --backbone {weights.backbone}\n" in out for name, weights in PUBLISHED.items())
    assert "npm pack @vladmandic/face-api@1.7.15" in out and "Nothing is downloaded" in out
    monkeypatch.setitem(PUBLISHED, "toy", entry("net.json", "net.bin"))
    assert main(["weights", "toy", "--dir", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("✓ toy") and f"--backbone small --pretrained {folder / 'deep' / 'net.json'}\n" in out
    (folder / "deep" / "net.bin").unlink()
    assert main(["weights", "toy", "--dir", str(folder)]) == 1
    assert capsys.readouterr().out.startswith("✗ toy")
    for words, message in (
        (["weights", "toi"], r"unknown weights 'toi': did you mean 'toy'"),
        (["weights", "--dir", str(folder / "none")], r"none: no such folder"),
    ):
        with pytest.raises(UserError, match=message):
            main(words)


def test_state_dicts_of_the_listed_torchvision_networks_fit():
    """The hash in a name is the beginning of the file's: that is how torch.hub checks it."""
    for weights in PUBLISHED.values():
        for file in weights.files:
            if len(file.sha256) == 8:
                assert (
                    f"-{file.sha256}." in file.name and torch.hub.HASH_REGEX.search(file.name).group(1) == file.sha256
                )
