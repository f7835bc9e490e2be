"""Make a certificate for 127.0.0.1 that nobody but a test trusts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.node import missing

__all__ = ["make_certificate"]


def make_certificate(folder: Path, password: str | None = None) -> tuple[str, str]:
    """Give the files of a self-signed certificate and of its key, which may be encrypted."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    encryption = ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", *encryption, "-days", "2", *files, *subject],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")
