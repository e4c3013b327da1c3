"""Archives to unpack, and the sums of everything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .build import Program
from .release import NAME, File, Release, receipt, tar_gz


def name(release: Release, program: Program) -> str:
    """Also in host/Cargo.toml, for `cargo binstall`."""
    return f"{NAME}-{release.version}-{program.target.triple}"


def write(release: Release, programs: list[Program], out: Path) -> None:
    for program in programs:
        folder = name(release, program)
        files = [File(NAME, program.content, executable=True), File("install.json", receipt("archive"))]
        files += [release.document(document) for document in ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"]]
        packed = [File(f"{folder}/{file.path}", file.content, file.executable) for file in files]
        (out / f"{folder}.tar.gz").write_bytes(tar_gz(release, packed))


def write_sums(out: Path) -> None:
    """In the form of sha256sum, of all files but those that are named by their sum anyway."""
    paths = sorted(path for path in out.rglob("*") if path.is_file() and "blobs" not in path.parts)
    lines = [f"{sha256(path.read_bytes())}  {path.relative_to(out).as_posix()}\n" for path in paths]
    (out / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
