"""Building the program, and looking at what was built."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .release import NAME, Problem, Release
from .targets import Target, host_target

# What a build by zig is linked against: RHEL 8, Debian 10, Ubuntu 18.10.
GLIBC_OF_ZIG = "2.28"


@dataclass(frozen=True)
class Program:
    """A built program."""

    target: Target
    content: bytes
    # The oldest glibc that has what it needs, as (2, 34); nothing for a static program.
    glibc: tuple[int, int] | None

    @property
    def glibc_text(self) -> str:
        return ".".join(map(str, self.glibc)) if self.glibc else ""


def build(release: Release, target: Target, zig: bool) -> Path:
    """Builds it with the profile `dist`, and without the names of this machine's folders."""
    own = target.triple == host_target()
    musl_here = target.libc == "musl" and target.uname[1] == os.uname().machine
    environment = os.environ | {"WORKER_COMMIT": release.commit, "SOURCE_DATE_EPOCH": str(release.epoch)}
    cargo, triple = ["cargo", "build"], target.triple
    if zig or not (own or musl_here):
        cargo = ["cargo", "zigbuild"]
        if target.libc == "glibc":
            triple += f".{GLIBC_OF_ZIG}"
    elif musl_here and not own:
        environment.setdefault("CC_" + target.triple.replace("-", "_"), "musl-gcc")
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(
        f"--remap-path-prefix={folder}={name}" for folder, name in [(release.root, NAME), (cargo_home, "cargo")])
    command = [*cargo, "--locked", "--profile", "dist", "--package", NAME, "--bin", NAME, "--target", triple]
    print("dist:", " ".join(command), flush=True)
    if subprocess.run(command, cwd=release.root, env=environment).returncode != 0:
        raise Problem(f"{target.triple} does not build")
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or release.root / "target")
    return folder / target.triple / "dist" / NAME


def inspect(target: Target, path: Path) -> Program:
    """Reads a program, and refuses one that is of another machine or C library than its package would say."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from None
    if content[:6] != b"\x7fELF\x02\x01":
        raise Problem(f"{path} is no program for {target.triple}: no ELF file of 64 bits")
    machine = struct.unpack_from("<H", content, 18)[0]
    if machine != target.machine:
        raise Problem(f"{path} is no program for {target.triple}: it is for machine {machine}, not {target.machine}")
    # The names of versions are text in .dynstr; a static program has none.
    versions = {tuple(map(int, found)) for found in re.findall(rb"\x00GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\x00)", _dynstr(content))}
    if (target.libc == "glibc") != bool(versions):
        raise Problem(f"{path} is no program for {target.triple}: it {'needs' if versions else 'does not need'} glibc")
    return Program(target, content, max(versions) if versions else None)


def _dynstr(content: bytes) -> bytes:
    """The text of the dynamic section's names; empty in a static program."""
    table, = struct.unpack_from("<Q", content, 40)
    size, count, names_at = struct.unpack_from("<HHH", content, 58)
    sections = [struct.unpack_from("<IIQQQQ", content, table + size * index) for index in range(count)]
    if names_at >= len(sections):
        return b""
    names = content[sections[names_at][4]:][:sections[names_at][5]]
    for name, _, _, _, offset, length in sections:
        if names[name:names.index(b"\0", name)] == b".dynstr":
            # Names can follow each other without a gap only behind a zero byte.
            return content[offset:offset + length].replace(b"\0", b"\0\0")
    return b""
