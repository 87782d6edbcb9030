"""A real browser that a test steers: it presses keys, looks at the page, and takes pictures of it.

Chromium is spoken to by its own protocol over two pipes, so that nothing but Chromium is needed.
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
# Chromium takes its commands from the third file and answers on the fourth.
_START = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_FAR = 64
_ANSWER_S = 60.0
_CODES = {" ": "Space", "/": "Slash", ".": "Period"}
_NUMBERS = {
    "Enter": 13,
    "Escape": 27,
    "Backspace": 8,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
_CTRL, _SHIFT = 2, 8


class Browser:
    """One window of a browser with a profile of its own."""

    def __init__(self, folder: Path) -> None:
        (commands, self._to), (self._from, answers) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD, _FAR) for each in (commands, answers)]
        command = [sys.executable, "-c", _START, *map(str, ends), str(CHROMIUM), *_FLAGS, f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            command, pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for each in (commands, answers, *ends):
            os.close(each)
        self._numbers = itertools.count(1)
        self._answers: Queue[dict[str, Any]] = Queue()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._to)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something about the page."""
        return self._call(method, session=self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _ANSWER_S
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                raise TimeoutError(f"the browser does not answer {method}") from None
            if answer["id"] == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError), os.fdopen(self._from, "rb", buffering=0) as pipe:
            while more := pipe.read(1 << 16):
                *whole, rest = (rest + more).split(b"\0")
                for each in map(json.loads, whole):
                    if "id" in each:
                        self._answers.put(each)
                    else:
                        self._note(each["method"], each["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"].get("exception", {}).get("description", told)))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=address)

    def look(self, expression: str) -> Any:
        """What an expression is in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 20.0) -> Any:
        """What an expression is in the page, as soon as it is something."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError):
                found = self.look(expression)
                if found:
                    return found
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{expression} did not come true; the page says {self.look('document.body.innerText')}"
                )
            time.sleep(0.01)

    def press(self, key: str, *, ctrl: bool = False, shift: bool = False) -> None:
        """Press a key and let it go."""
        code = f"Digit{key}" if key.isdigit() else _CODES.get(key, f"Key{key.upper()}" if len(key) == 1 else key)
        number = _NUMBERS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        facts: dict[str, Any] = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        facts["modifiers"] = _CTRL * ctrl + _SHIFT * shift
        text = "\r" if key == "Enter" else key if len(key) == 1 and not ctrl else ""
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown",
            **facts,
            **({"text": text} if text else {}),
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def click(self, selector: str) -> None:
        """Click the middle of an element, once it is there, on top and at rest."""
        box = self.wait(
            f"new Promise((found) => {{ const e = document.querySelector({selector!r});"
            " if (!e) { found(null); return; }"
            " e.scrollIntoView({block: 'nearest'}); const first = e.getBoundingClientRect();"
            " requestAnimationFrame(() => { const b = e.getBoundingClientRect();"
            " const x = b.x + b.width / 2, y = b.y + b.height / 2;"
            " const free = b.width > 0 && b.x === first.x && b.y === first.y && !e.disabled;"
            " found(free && e.contains(document.elementFromPoint(x, y)) ? [x, y] : null); }); })"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window so large, in light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen to a PNG; with `whole`, what scrolling would show too."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser, for as long as the block lasts."""
    browser = Browser(folder)
    try:
        yield browser
    finally:
        browser.close()
