"""The targets for which packages are made.

Windows and macOS are not among them: the program does not run there yet. A row is all that a target needs here, besides
what its archive is called where it is no tar.gz.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from .release import NAME, Problem


@dataclass(frozen=True)
class Target:
    """A target and what others call it."""

    triple: str
    # npm's words.
    os: str
    cpu: str
    # "glibc", "musl", or nothing where there is only one.
    libc: str
    # The words of `uname -s` and `uname -m`.
    uname: tuple[str, str]
    # Of OCI images.
    architecture: str
    # ELF's number of the machine.
    machine: int

    @property
    def npm_package(self) -> str:
        libc = {"glibc": "-gnu", "musl": "-musl"}.get(self.libc, "")
        return f"{NAME}-{self.os}-{self.cpu}{libc}"


TARGETS = {
    target.triple: target
    for target in [
        Target("x86_64-unknown-linux-gnu", "linux", "x64", "glibc", ("Linux", "x86_64"), "amd64", 62),
        Target("x86_64-unknown-linux-musl", "linux", "x64", "musl", ("Linux", "x86_64"), "amd64", 62),
        Target("aarch64-unknown-linux-gnu", "linux", "arm64", "glibc", ("Linux", "aarch64"), "arm64", 183),
        Target("aarch64-unknown-linux-musl", "linux", "arm64", "musl", ("Linux", "aarch64"), "arm64", 183),
    ]
}


def host_target() -> str:
    uname = (platform.system(), platform.machine())
    libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    for target in TARGETS.values():
        if (target.uname, target.libc) == (uname, libc):
            return target.triple
    raise Problem(f"no packages are made for this machine ({' '.join(uname)}); name a target by --target")
