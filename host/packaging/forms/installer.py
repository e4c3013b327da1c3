"""The shell installer. It knows the sums of this release's archives, so it does not trust the mirror that it takes them from."""

from __future__ import annotations

from pathlib import Path

from . import archive
from .build import Program
from .release import Release

TEMPLATE = Path(__file__).resolve().parent.parent / "install.sh"


def write(release: Release, programs: list[Program], out: Path) -> None:
    rows = []
    for program in programs:
        name = archive.name(release, program)
        sum_ = archive.sha256((out / f"{name}.tar.gz").read_bytes())
        system, machine = program.target.uname
        rows.append(f"{system} {machine} {program.glibc_text or '-'} {sum_} {name}\n")
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in [("@VERSION@", release.version), ("@DOWNLOADS@", release.downloads), ("@ARCHIVES@\n", "".join(rows))]:
        assert mark in text, mark
        text = text.replace(mark, value)
    path = out / "install.sh"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
