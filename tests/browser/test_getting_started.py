"""The first page of the manual works in a browser as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.chromium import Browser
from tests.browser.demo import SOCKETEER
from tests.examples.recipes import ROOT, started

PAGE = (ROOT / "docs" / "getting-started.md").read_text()


def test_the_counter_counts_for_everybody(browser: Browser, tmp_path: Path) -> None:
    code = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    command = re.search(r"^socketeer (run main:app)$", PAGE, re.MULTILINE)
    assert code is not None
    assert command is not None
    (tmp_path / "main.py").write_text(code[1])
    run = f'exec "{SOCKETEER}" {command[1]} --app-dir "{tmp_path}" --port $PORT'
    with started(["sh", "-c", run]) as server:
        url = f"http://127.0.0.1:{server.port}/"
        one, other = browser.open(url), browser.open(url)
        for page in (one, other):
            page.see('button:text-is("0")')
        one.click("button")
        other.see('button:text-is("1")')
        other.click("button")
        for page in (one, other):
            page.see('button:text-is("2")')
            assert page.log["errors"] == []
        browser.close_pages()
    assert "Traceback" not in server.stderr
