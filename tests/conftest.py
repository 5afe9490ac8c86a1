"""Faces that tests are made of: tiny, seeded, no downloads."""

import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from made import random_faces
from PIL import Image

from pa_difc.commands.list import REGISTRIES
from pa_difc.data.domains import Domain
from pa_difc.data.labels import SEVEN
from pa_difc.util import process, registry

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background job; what tests start hears it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # below nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


#: Memory that is used as a disk, if there is so much: tests wait for a disk for a third of their time.
MEMORY, ENOUGH_GIB = Path("/dev/shm"), 8
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH_GIB << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

#: Files whose tests take a minute and more together, mostly by waiting.
LONG = ["test_search.py", "test_jobs.py", "test_docs.py", "test_survival.py", "test_cluster.py", "test_stopping.py"]
LONG += ["test_resume.py", "test_adapt.py", "test_prepare_killed.py"]

os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # grids are trained by the tested process unless a test asks for workers
torch.set_num_threads(1)  # the batches are tiny; threads would wait for each other


@pytest.fixture(autouse=True)
def handlers():
    """What a worker of ``prepare`` or an import (dask_jobqueue) does to signals is over with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """``-n auto``: more than there are cores, because many tests wait for processes that they start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores + 1)


def pytest_collection_modifyitems(items):
    """Long files come first, in this order, so that none is left over for one worker at the end."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_addoption(parser):
    about = "write the kept numbers of tests/golden anew; only when the method itself is meant to change"
    parser.addoption("--regenerate-golden", action="store_true", help=about)


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch):
    """Each test is a process of its own to what is said once in one."""
    monkeypatch.setattr(process, "_said", set())


@pytest.fixture(autouse=True)
def _random_numbers_are_the_same():
    """Whichever tests ran before."""
    torch.manual_seed(0)
    np.random.seed(0)


@contextmanager
def own_plugins():
    """The plugins of a command in this process are not the next one's: neither their files nor what they register."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plugins", list(registry._plugins))
        for one in REGISTRIES.values():
            patch.setattr(one, "_loaded", dict(one._loaded))
        yield


@pytest.fixture(autouse=True, scope="module")
def _plugins_of_fixtures():
    with own_plugins():
        yield


@pytest.fixture(autouse=True)
def _plugins_of_a_test():
    with own_plugins():
        yield


@pytest.fixture
def source():
    return Domain("bright", random_faces(45, 1), random_faces(14, 2))


@pytest.fixture
def target():
    return Domain("dim", random_faces(61, 3), random_faces(21, 4))


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Two sets of class folders, small enough to train on in a second."""
    root = tmp_path_factory.mktemp("data")
    for name, seed, per_class in (("bright", 0, 6), ("dim", 1, 9)):
        rng = np.random.default_rng(seed)
        for split in ("train", "test"):
            for k, expression in enumerate(SEVEN):
                folder = root / name / split / expression
                folder.mkdir(parents=True)
                for i in range(per_class):
                    pixels = rng.integers(0, 120, (32, 32)) + 18 * k
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root
