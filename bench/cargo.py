"""The build of the Rust server by the versions and checksums in ``bench/rust/Cargo.lock``.

That file is kept without the addresses that cargo writes into one, and cargo does not build by it as it is: the build
happens in a folder of its own, where the lock file has got the addresses back that cargo writes on this machine.
``python -m bench.cargo`` pins what ``bench/rust/Cargo.toml`` asks for anew.
"""

import re
import shutil
import subprocess
from pathlib import Path

RUST = Path(__file__).parent / "rust"
BUILD = RUST / "build"
PROGRAM = BUILD / "target" / "release" / "socketeer-bench"

_LOCK = RUST / "Cargo.lock"
_SOURCE = re.compile(r'^source = "[^"\n]+"\n', re.MULTILINE)
_CHECKSUM = re.compile(r"^checksum = ", re.MULTILINE)


def is_built() -> bool:
    """Tell whether the program is there and newer than all it is made from."""
    made_from = [path for path in RUST.rglob("*") if path.is_file() and BUILD not in path.parents]
    return PROGRAM.exists() and PROGRAM.stat().st_mtime > max(path.stat().st_mtime for path in made_from)


def prepare(cargo: str) -> None:
    """Fill ``BUILD`` with the sources and a lock file that ``cargo build --locked`` accepts."""
    generated = _generate_lock(cargo)
    (BUILD / "Cargo.lock").write_text(with_sources(_LOCK.read_text(), generated))


def with_sources(pinned: str, generated: str) -> str:
    """Return the pinned lock file with the source that cargo writes for every package from a registry.

    Raises ``ValueError`` if cargo names more than one, for then it is not known which package is whose.
    """
    sources = set(_SOURCE.findall(generated))
    if len(sources) != 1:
        raise ValueError(f"one source of packages is expected in cargo's lock file, not {len(sources)}")
    source = sources.pop()
    return _CHECKSUM.sub(lambda found: source + found[0], pinned)


def without_sources(lock: str) -> str:
    """Return a lock file with names, versions and checksums alone."""
    return _SOURCE.sub("", lock)


def _generate_lock(cargo: str) -> str:
    """Return the lock file that cargo makes from the manifest, with the newest versions that fit."""
    BUILD.mkdir(exist_ok=True)
    for name in ("Cargo.toml", "build.rs"):
        shutil.copy2(RUST / name, BUILD / name)
    shutil.copytree(RUST / "src", BUILD / "src", dirs_exist_ok=True)
    subprocess.run([cargo, "generate-lockfile", "--quiet"], cwd=BUILD, check=True)
    return (BUILD / "Cargo.lock").read_text()


if __name__ == "__main__":
    _LOCK.write_text(without_sources(_generate_lock("cargo")))
