"""Makes a store by its plan: chunks in parallel processes, then the arrays' files, then the manifest."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from ...util.bars import tqdm
from ...util.errors import UserError
from ...util.files import read_json, write_json, write_sealed
from ...util.lock import LOCK, OWNER, sweep
from ..readers.listing import Listing
from ..store import FORMAT, MANIFEST, read_manifest
from .assemble import assemble, read_notes
from .lock import PART, writing
from .plan import Plan, make_plan
from .settings import PrepareSettings
from .work import make_chunk, start_worker, worker_context

#: Seconds within which a signal that ended the workers reaches this process too.
_ON_ITS_WAY_S = 0.5


def prepare_store(
    dataset: str, listing: Listing, out: Path, settings: PrepareSettings, *, processes: int = 1, device: str = "cpu"
) -> tuple[dict[str, Any], int]:
    """Makes a store, or resumes an interrupted one; a finished one from the same input is left unchanged.

    Args:
        dataset: its name.
        listing: from its reader.
        out: the store's folder.
        settings: how faces are detected and cropped.
        processes: number of parallel processes; the result does not depend on it.
        device: where faces are detected.

    Returns:
        The manifest, and the number of samples processed by this call.

    Raises:
        UserError: ``out`` holds something else, another process is writing there, a file can't be written, or an image
            has a problem that the settings treat as an error.
    """
    if (out / MANIFEST).exists():
        manifest = _finished(out, make_plan(dataset, listing, settings))
        sweep(out)
        return manifest, 0
    _refuse_foreign(out)
    with writing(out):
        plan = make_plan(dataset, listing, settings)
        if (out / MANIFEST).exists():  # another process finished it in the meantime
            return _finished(out, plan), 0
        return _make(out, plan, processes, device)


def _finished(out: Path, plan: Plan) -> dict[str, Any]:
    """The manifest of a finished store.

    Raises:
        UserError: the store was made from other input, or by an older version.
    """
    manifest = read_manifest(out)
    if manifest["format"] != FORMAT:
        raise UserError(f"{out} holds a store of an older version, which training reads: give another --out")
    if (manifest["identity"], manifest["dataset"]) != (plan.identity, plan.dataset):
        raise UserError(f"{out} holds a store of other images or settings: remove it, or give another --out")
    shutil.rmtree(out / PART, ignore_errors=True)
    return manifest


def _make(out: Path, plan: Plan, processes: int, device: str) -> tuple[dict[str, Any], int]:
    part = out / PART
    _open_part(part, plan)
    paths = [part / f"{index:06d}.npz" for index in range(len(plan.chunks))]
    worked = _work(plan, paths, processes, device)
    manifest = assemble(plan, out, part, paths)
    write_sealed(out / MANIFEST, manifest)
    shutil.rmtree(part, ignore_errors=True)
    return manifest, worked


def _refuse_foreign(out: Path) -> None:
    """Refuses a folder with files that prepare did not write."""
    ours = {LOCK, OWNER, PART}
    if out.is_file() or (out.is_dir() and not (out / PART).is_dir() and any(p.name not in ours for p in out.iterdir())):
        raise UserError(f"{out} is not empty and no store: give another --out")


def _open_part(part: Path, plan: Plan) -> None:
    """Opens the folder for chunks, and removes chunks of other images or settings."""
    mark = part / "identity.json"
    # The mark is written before any chunk: chunks without one are left over from an interrupted removal.
    if part.is_dir() and (not mark.exists() or read_json(mark) != plan.identity):
        shutil.rmtree(part)
    write_json(mark, plan.identity)


def _work(plan: Plan, paths: list[Path], processes: int, device: str) -> int:
    """Makes the missing chunks; returns the number of their samples."""
    todo = [(path, samples) for path, samples in zip(paths, plan.chunks, strict=True) if not path.exists()]
    if not todo:
        return 0
    left = sum(len(samples) for _, samples in todo)
    total = len(plan.samples)
    pool = ProcessPoolExecutor(
        min(processes, len(todo)),
        worker_context(device),
        start_worker,
        (device, plan.settings.detect_px),
    )
    title = f"preparing {plan.dataset}"
    with tqdm(total=total, initial=total - left, desc=title, unit="face", disable=None, leave=False) as bar:
        try:
            futures = {pool.submit(make_chunk, path, s, plan.settings): (path, s) for path, s in todo}
            for future in as_completed(futures):
                path, samples = futures[future]
                bar.update(future.result())
                read_notes(path).require(plan.settings, samples)
        except BrokenProcessPool:
            time.sleep(_ON_ITS_WAY_S)  # a signal that also killed the workers interrupts this process here
            raise UserError(
                "a worker process died (out of memory?): use fewer --processes, and rerun the command to resume"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # chunks in progress are finished and kept
    return left
