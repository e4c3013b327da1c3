"""The facts of a release, and files with bytes that do not depend on when and where they are made."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

NAME = "mcp-codex-worker"
DESCRIPTION = ("MCP server that lets Codex delegate coding work to a background Claude Code job on a cheap gateway, "
               "and verifies the result")
LICENSE = "MIT OR Apache-2.0"

# The oldest time that a zip can say.
EPOCH_OF_ZIP = 315_532_800


class Problem(Exception):
    """What keeps packages from being made, in words for the one who makes them."""


@dataclass(frozen=True)
class File:
    """A file of a package."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Release:
    """Version, commit, time and address."""

    root: Path
    version: str
    commit: str
    epoch: int
    # https://github.com/OWNER/NAME, or nothing.
    repository: str = ""
    # 9, but for packages that are only tried.
    level: int = 9

    @staticmethod
    def of_this_checkout(repository: str, level: int = 9) -> "Release":
        root = Path(__file__).resolve().parents[3]
        manifest = (root / "Cargo.toml").read_text(encoding="utf-8")
        version = re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', manifest, re.MULTILINE)
        if not version:
            raise Problem("Cargo.toml has no version below [workspace.package]")
        commit = os.environ.get("WORKER_COMMIT") or _commit(root)
        epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct") or str(EPOCH_OF_ZIP)
        if not epoch.isdigit():
            raise Problem(f"SOURCE_DATE_EPOCH is {epoch!r}: it must be a number of seconds")
        return Release(root, version[1], commit, max(int(epoch), EPOCH_OF_ZIP), repository.rstrip("/"), level)

    @property
    def downloads(self) -> str:
        """The folder of this release's files; empty where no repository is known."""
        return f"{self.repository}/releases/download/v{self.version}" if self.repository else ""

    def document(self, name: str) -> File:
        return File(name, (self.root / name).read_bytes())


def receipt(by: str) -> bytes:
    """What `mcp-codex-worker update --check` reads beside the program: host/src/cli/update/installed.rs."""
    return f'{{"installed_by": "{by}"}}\n'.encode()


def tar_gz(release: Release, files: list[File], folders: dict[str, tuple[int, int]] | None = None) -> bytes:
    """A compressed archive; `folders` have entries of their own, with these modes and owners."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, (mode, owner) in sorted((folders or {}).items()):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, mode, release.epoch
            entry.uid = entry.gid = owner
            tar.addfile(entry)
        for file in sorted(files, key=lambda file: file.path):
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mtime = len(file.content), release.epoch
            entry.mode = 0o755 if file.executable else 0o644
            tar.addfile(entry, io.BytesIO(file.content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=release.level, mtime=release.epoch) as out:
        out.write(raw.getvalue())
    return packed.getvalue()


def zipped(release: Release, files: list[File]) -> bytes:
    """A zip, in the given order: a wheel's RECORD is its last file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=release.level) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.path, time.gmtime(release.epoch)[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            archive.writestr(entry, file.content)
    return packed.getvalue()


def _commit(root: Path) -> str:
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        archived = (root / "host/packaging/archived-commit").read_text(encoding="utf-8").strip()
        return archived if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", archived) else ""
    return commit + ("-dirty" if _git(root, "status", "--porcelain") else "")


def _git(root: Path, *arguments: str) -> str:
    # Only the checkout's own git: a package may lie within another repository.
    if not (root / ".git").exists():
        return ""
    try:
        return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
