"""``pa-difc serve``: serves a local page that classifies the faces in photographs or from the camera."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError
from ..util.stops import exit_code
from ..util.terminal import wrapped

if TYPE_CHECKING:
    from starlette.applications import Starlette

_HOST, _PORT = "127.0.0.1", 8765  #: only this computer can reach it
_WAIT_S = 2  #: for responses in progress when the server stops

EXAMPLES = """\
  pa-difc serve --model my_model --open
  pa-difc serve --model runs/demo/runs/mcd-difc-seed0-… --port 9000"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="a finished run's folder, or an exported model")
    add("--port", type=int, default=_PORT, metavar="N", help="port; 0 picks a free one (default: %(default)s)")
    add("--open", action="store_true", help="open the page in the browser")
    add(
        "--crop",
        default="model",
        choices=("model", "cdfer", "none"),
        help="how to crop faces: see `pa-difc predict --help` (default: %(default)s)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    try:
        import uvicorn  # noqa: F401

        from ..deploy.serve import page_of
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("uvicorn", "starlette"):
            raise
        raise UserError(f"serve needs {error.name}: pip install 'pa-difc[web]'") from None
    import numpy as np

    from ..deploy.faces import Cut
    from ..deploy.given import Given
    from ..deploy.predictor import load

    with _listening(parsed.port) as listener:
        port = listener.getsockname()[1]
        model = load(parsed.model, parsed.device, crop=parsed.crop)
        for _ in model.each([Given("nobody", np.zeros((64, 64, 3), np.uint8))]):
            pass  # loads the detector and the network before the first visitor waits for them
        if line := Cut(model.model, model.crop).warning():
            print(wrapped(line, 2, sys.stderr), file=sys.stderr)
        address = f"http://{_HOST}:{port}/"
        print(f"{parsed.model} is at {address} for this computer only; Ctrl-C stops it", flush=True)
        if parsed.open:
            import webbrowser

            webbrowser.open(address)
        _serve(page_of(model, _name(parsed.model.resolve()), port), listener)
    print("ended")
    return 0 if exit_code() == 128 + signal.SIGINT else exit_code()  # Ctrl-C is the only way to end it as intended


def _name(folder: Path) -> str:
    """A model's name on the page: its folder's, and where adapt put it, that of the folder around it too."""
    return f"{folder.parent.name}/{folder.name}" if folder.name == "model" else folder.name


def _listening(port: int) -> socket.socket:
    """A socket that listens on this computer's loopback address.

    Raises:
        UserError: the port is out of range, taken, or not allowed.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: must be from 0 to 65535")
    listener = socket.socket()
    try:
        if os.name == "posix":  # lets a port be reused at once; on Windows it would share one that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(f"--port {port}: {error.strerror}; give another one, or 0 for any that is free") from None
    return listener


def _serve(page: Starlette, listener: socket.socket) -> None:
    """Serves the page until a signal comes, which :func:`pa_difc.util.stops.exit_code` tells."""
    import uvicorn

    config = uvicorn.Config(
        page,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_WAIT_S,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return
