"""The first page of the manual works in a browser as it is printed there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.browser.chromium import Browser
from tests.examples.recipes import ROOT, started

PAGE = (ROOT / "docs" / "getting-started.md").read_text()
RUN = "import os, sys, uvicorn; sys.argv += ['--port', os.environ['PORT']]; uvicorn.main()"


def test_the_counter_counts_for_everybody(browser: Browser, tmp_path: Path) -> None:
    code = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    command = re.search(r"^uvicorn (main:app --ws \S+)$", PAGE, re.MULTILINE)
    assert code is not None
    assert command is not None
    (tmp_path / "main.py").write_text(code[1])
    with started([sys.executable, "-c", RUN, *command[1].split(), "--app-dir", str(tmp_path)]) as server:
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
