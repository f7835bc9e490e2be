"""Drive headless Chromium from a test, over npm's playwright-core in a Node.js process beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.node import NODE_MODULES, missing, require_node

__all__ = ["Browser", "BrowserError", "Page", "chromium"]

DRIVER = Path(__file__).with_name("driver.js")
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class BrowserError(AssertionError):
    """Report what the browser could not do, mostly within its ten seconds."""


class Browser:
    """Send commands to the driver; every page opened is a browser profile of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.version: str = self._answer()
        self.pages: list[Page] = []

    def open(self, url: str, **options: Any) -> Page:
        """Open a page in a new profile; ``options`` are those of playwright's ``newContext``."""
        page = Page(self, self.ask("open", url=url, options=options))
        self.pages.append(page)
        return page

    def close_pages(self) -> None:
        """Close all pages and forget their profiles."""
        while self.pages:
            self.pages.pop().close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Send one command and return its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrowserError(f"the browser's driver ended with {self._process.wait(10)}")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(answer["error"])
        return answer["value"]


class Page:
    """Be one page; selectors are playwright's, expressions JavaScript."""

    def __init__(self, browser: Browser, number: int) -> None:
        self._browser = browser
        self._number = number

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of playwright's page, or of what hangs on it, as in ``keyboard.press``."""
        return self._browser.ask("call", page=self._number, method=method, args=args)

    def fill(self, selector: str, text: str) -> None:
        """Put a text into a field."""
        self.call("fill", selector, text)

    def click(self, selector: str) -> None:
        """Click on what can be clicked on."""
        self.call("click", selector)

    def press(self, key: str) -> None:
        """Press a key or a combination of keys."""
        self.call("keyboard.press", key)

    def see(self, selector: str) -> None:
        """Wait until it is visible."""
        self.call("waitForSelector", selector, {"state": "visible"})

    def miss(self, selector: str) -> None:
        """Wait until it is hidden or gone."""
        self.call("waitForSelector", selector, {"state": "hidden"})

    def until(self, expression: str, timeout: float = 30.0) -> None:
        """Wait until a JavaScript expression is true."""
        self._browser.ask("until", page=self._number, expression=expression, timeout=timeout)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.call("evaluate", expression)

    def offer(self, data: str, mime: str, how: str) -> None:
        """Give the page a file, in base64: chosen in the ``dialog``, by ``paste`` or by ``drop``."""
        self._browser.ask("offer", page=self._number, data=data, mime=mime, how=how)

    @property
    def log(self) -> dict[str, list[Any]]:
        """Return what the page did so far: ``console``, ``errors``, ``sockets`` with their frames, ``requests``."""
        log: dict[str, list[Any]] = self._browser.ask("log", page=self._number)
        return log

    def close(self) -> None:
        """Close the page and forget its profile."""
        self._browser.ask("close", page=self._number)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium; skip the test, or fail it with CI=true, where there is none."""
    node = require_node()
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("Chromium is not installed")
    if not (NODE_MODULES / "playwright-core").is_dir():
        missing("playwright-core is not installed in tests/js")
    process = subprocess.Popen(
        [node, str(DRIVER), path],
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
