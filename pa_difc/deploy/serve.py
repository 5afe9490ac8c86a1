"""A local web page for a model: it shows boxes, labels and probabilities for photographs or the camera."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..data.photograph import BrokenImageError, Photograph
from ..training.model_settings import product_line
from ..util.errors import DiskError
from ..util.numbers import exact
from .card import limits
from .faces import Cut
from .given import Given
from .prediction import NO_FACE
from .temperature import temperature_line

if TYPE_CHECKING:
    from .predictor import Predictor

#: Largest accepted upload in bytes; predict's limit on pixels applies too.
MAX_BYTES = 64 << 20

_FILES = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css")}
_FILES |= {f"/{name}.js": (f"{name}.js", "text/javascript") for name in ("page", "faces", "camera")}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page_of(model: Predictor, name: str, port: int) -> Starlette:
    """The web application for a model, for this computer only. It stores nothing that it is sent.

    It refuses requests to any other host than ``localhost`` or ``127.0.0.1``, so that no website can reach it through
    its own domain name (DNS rebinding), and requests that another website makes.

    Args:
        model: the model.
        name: of the model, for the page's heading.
        port: the port that the page is served on.
    """
    hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}
    about, one_at_a_time = _about(model, name), threading.Lock()

    async def file(request: Request) -> Response:
        part, kind = _FILES[request.url.path]
        return Response((Path(__file__).parent / "page" / part).read_bytes(), media_type=kind)

    async def model_about(request: Request) -> Response:
        return JSONResponse(about)

    async def predict(request: Request) -> Response:
        if unknown := sorted(set(request.query_params) - {"crop"}):
            return _refused(400, f"{unknown[0]}: unknown; the only parameter is crop.")
        given = request.query_params.getlist("crop") or [model.crop]
        if len(given) > 1 or given[0] not in about["crops"]:
            return _refused(400, f"crop={','.join(given)}: must be {' or '.join(about['crops'])}.")
        content = await _body(request)
        if content is None:
            return _refused(413, f"The file is too large: {MAX_BYTES >> 20} MB is the limit.")
        if not content:
            how = "the body is the file's bytes, as curl --data-binary @photo.jpg sends it"
            return _refused(422, f"This image can't be read: it is empty ({how}).")

        def answer() -> dict[str, Any]:
            with one_at_a_time:
                return _faces(model, content, given[0])

        try:
            return JSONResponse(await run_in_threadpool(answer))
        except BrokenImageError as error:
            return _refused(422, f"This image can't be read: {error}.")
        except DiskError as error:
            return _refused(500, f"The disk failed: {error}.")

    routes = [Route(path, file) for path in _FILES]
    routes += [Route("/about.json", model_about), Route("/predict", predict, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guarded(hosts))])


def _guarded(hosts: set[str]) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Middleware that accepts only this page's own requests, and adds the security headers to each response."""
    origins = {f"http://{host}" for host in hosts}

    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.headers.get("host", "").lower() not in hosts:
            answer = _refused(421, "Open this page as http://127.0.0.1 or http://localhost, with its port.")
        elif request.headers.get("origin", next(iter(origins))).lower() not in origins:
            answer = _refused(403, "This request came from another website and was refused.")
        else:
            try:
                answer = await go_on(request)
            except ClientDisconnect:
                answer = _refused(400, "The file did not arrive completely.")
        answer.headers.update(_HEADERS)
        return answer

    return guard


def _refused(status: int, words: str) -> Response:
    return PlainTextResponse(words, status)


async def _body(request: Request) -> bytes | None:
    """The request's body; None if it is too large, and then the rest is not read."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_BYTES:
        return None
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            return None
    return bytes(content)


def _faces(model: Predictor, content: bytes, crop: str) -> dict[str, Any]:
    """The page's data on an image: its upright size and its faces.

    Raises:
        BrokenImageError: the image can't be read.
        DiskError: the disk failed.
    """
    width, height = Photograph(lambda: content).size
    (faces,) = model.each([Given("image", lambda: content)], crop=crop)
    if faces.problem not in ("", NO_FACE):
        raise BrokenImageError(faces.problem)
    found = [
        {"box": face.box, "label": face.label, "probabilities": list(map(exact, face.probs_array))} for face in faces
    ]
    return {"width": width, "height": height, "crop": crop, "faces": found}


def _about(model: Predictor, name: str) -> dict[str, Any]:
    """The page's data on the model; "crops" has what depends on the crop, for the search for faces and for "none"."""
    settings = model.model.settings
    chosen = settings["settings"]
    searching = "model" if model.crop == "none" else model.crop
    crops = {crop: _of_crop(model, crop) for crop in (searching, "none")}
    return {
        "name": name,
        "method": f"{chosen['method']['name']} · {chosen['loss']['name']}",
        "data": f"{chosen['data']['source']} → {chosen['data']['target']}",
        "classes": list(model.labels),
        "limits": " ".join(limits(model.model.labels).split()),
        "max_bytes": MAX_BYTES,
        "crop": model.crop,
        "searching": searching,
        "crops": crops,
        **crops[model.crop],
    }


def _of_crop(model: Predictor, crop: str) -> dict[str, Any]:
    """Whether each image is one face under a crop, and notes for visitors on predictions with it."""
    settings, cut = model.model.settings, Cut(model.model, crop)
    line = cut.difference()
    if line:
        line += ": predictions may be less accurate than on images like those it was trained on"
    notes = [line, product_line(settings), temperature_line(settings)]
    return {"whole": cut.mode == "none", "notes": [note for note in notes if note]}
