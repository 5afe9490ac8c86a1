"""Chromium without a window, told what to do through a pair of pipes in its DevTools protocol."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
_COMMANDS, _ANSWERS = 3, 4  # the descriptors that --remote-debugging-pipe reads and writes
_TO_DRAW_S = 0.3  # what a page's scripts draw later, and what observes sizes


class Chromium:
    """One page in a browser of its own; use as a context."""

    def __init__(self, *flags):
        self._flags, self._number = flags, 0

    def __enter__(self):
        self._profile = tempfile.mkdtemp()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for pair in (os.pipe(), os.pipe()) for fd in (pair[0], pair[1])]
        reads, self._to, self._from, writes = ends

        def give():
            os.dup2(reads, _COMMANDS)
            os.dup2(writes, _ANSWERS)

        line = [PROGRAM, *_FLAGS, f"--user-data-dir={self._profile}", "--remote-debugging-pipe", *self._flags]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([*line, "about:blank"], preexec_fn=give, close_fds=False, **quiet)
        os.close(reads), os.close(writes)
        self._left, self._session, self.events = b"", None, []
        pages = [t for t in self.tell("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")
        self.tell("Page.setLifecycleEventsEnabled", enabled=True)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._to), os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def tell(self, method, **values):
        """Sends a command and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._left:
            part = os.read(self._from, 1 << 20)
            assert part, "the browser has ended"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _all(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]

    def run(self, script):
        """The value of a script in the page, awaited."""
        answer = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, seconds=90):
        """The value of a script as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}\n{self.run('document.body?.innerText')}"
            time.sleep(0.1)
        return value

    def go(self, address):
        """Opens a page, and waits until it is there; what was said and asked for before it is forgotten."""
        self.events = []
        loaded = {"name": "load", "loaderId": self.tell("Page.navigate", url=address)["loaderId"]}
        while not [e for e in self._all("Page.lifecycleEvent") if loaded.items() <= e.items()]:
            self.events.append(self._next())

    def show(self, path, width=1280, height=900, *, dark=False, scripts=True, media="screen"):
        """Opens a file in a window of this size, and waits until its scripts have drawn."""
        self.size(width, height, dark=dark, media=media)
        self.tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.go(path.as_uri())
        if scripts:
            time.sleep(_TO_DRAW_S)
            self.run("new Promise(requestAnimationFrame)")

    def drop(self, selector, files):
        """Drops files onto an element, as from a folder's window."""
        box = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({_find(selector)}.getBoundingClientRect())")
        given = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.tell("Input.dispatchDragEvent", type=kind, x=box[0], y=box[1], data=given)

    def press(self, key):
        """Presses a key."""
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def size(self, width, height=900, *, dark=False, media="screen"):
        """Makes the page so wide and high, in light or dark; below 600 pixels it is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def picture(self, path, whole=True):
        """Writes the page, or what is in sight of it, as a PNG file."""
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """What the page has logged as an error, failed scripts, and what its policy has kept from loading; no answer
        422, which says that a file is no image."""
        self.run("0")
        logged = [p["entry"]["text"] for p in self._all("Log.entryAdded") if p["entry"]["level"] != "verbose"]
        printed = [p["args"] for p in self._all("Runtime.consoleAPICalled")]
        failed = [p["exceptionDetails"] for p in self._all("Runtime.exceptionThrown")]
        return [text for text in logged if "422" not in text] + printed + failed

    def asked(self):
        """The addresses that the page has asked for, with its own."""
        self.run("0")
        sent = [p["request"]["url"] for p in self._all("Network.requestWillBeSent")]
        return [url for url in sent if not url.startswith(("data:", "blob:", "about:"))]


def _find(selector):
    return f"document.querySelector({json.dumps(selector)})"
