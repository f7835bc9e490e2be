"""What the build of the manual adds to the pages.

A page may link to a file of the repository, as readers of the repository expect; the site gets a page that shows that
file. The roles of docstrings, such as :class:`socketeer.Server`, become links to the reference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

_LINK = re.compile(r"\]\((\.\./[^)#\s]+)\)")
_ROLE = re.compile(r":(?:class|meth|func|attr|exc|data|mod):<code>~?([\w.]+)</code>")
_LANGUAGES = {".js": "js", ".json": "json", ".py": "python", ".sh": "sh", ".toml": "toml", ".yml": "yaml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page links to."""
    shown: dict[str, Path] = {}
    for file in files.documentation_pages():
        for target in _LINK.findall(file.content_string):
            path = _in_repository(file, target)
            if path is not None:
                shown[_page_of(path)] = path
    for uri, path in shown.items():
        page = File.generated(config, uri, content=_show(path))
        page.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links to files of the repository at their pages."""

    def replace(found: re.Match[str]) -> str:
        path = _in_repository(page.file, found[1])
        if path is None:
            return found[0]
        return f"]({os.path.relpath(_page_of(path), os.path.dirname(page.file.src_uri) or '.')})"

    return markdown if page.file.generated_by else _LINK.sub(replace, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the roles of docstrings into links where the reference has the name."""

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        identifier = name if name.startswith("socketeer.") else f"socketeer.{name}"
        short = name if not name.startswith("socketeer.") else name.rpartition(".")[2]
        return f'<autoref identifier="{identifier}" optional><code>{short}</code></autoref>'

    return _ROLE.sub(replace, html)


def _in_repository(file: File, target: str) -> Path | None:
    """Give the file that a link means, unless it is a page of the manual."""
    if file.abs_src_path is None:
        return None
    path = (Path(file.abs_src_path).parent / target).resolve()
    outside = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")
    return path.relative_to(ROOT) if outside and path.exists() else None


def _page_of(path: Path) -> str:
    return f"source/{path.as_posix()}/index.md" if (ROOT / path).is_dir() else f"source/{path.as_posix()}.md"


def _show(path: Path) -> str:
    whole = ROOT / path
    if whole.is_dir():
        names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in whole.iterdir())
        return f"# {path}/\n\n" + "".join(f"- `{name}`\n" for name in names if not name.startswith(("_", ".")))
    text = whole.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path}\n\n````{_LANGUAGES.get(path.suffix, 'text')}\n{text}````\n"
