"""Python wheels, for pip, pipx and uv: the program as a script."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from .build import Program
from .release import DESCRIPTION, LICENSE, NAME, File, Release, receipt, zipped

# PyPI's word for the name in file names.
STEM = NAME.replace("-", "_")


def write(release: Release, programs: list[Program], out: Path) -> None:
    (out / "wheels").mkdir()
    for program in programs:
        tag = f"py3-none-{_platform(program)}"
        info, data = f"{STEM}-{release.version}.dist-info", f"{STEM}-{release.version}.data"
        metadata = [f"Metadata-Version: 2.4\nName: {NAME}\nVersion: {release.version}\nSummary: {DESCRIPTION}\n"
                    f"License-Expression: {LICENSE}\nLicense-File: LICENSE\nRequires-Python: >=3.8\n"]
        if release.repository:
            metadata.append(f"Project-URL: Repository, {release.repository}\n")
        metadata.append("Description-Content-Type: text/markdown\n\n")
        readme = Path(__file__).resolve().parent.parent / "npm/README.md"
        metadata.append(readme.read_text(encoding="utf-8"))
        files = [
            File(f"{data}/data/share/{NAME}/install.json", receipt("wheel")),
            File(f"{data}/scripts/{NAME}", program.content, executable=True),
            File(f"{info}/METADATA", "".join(metadata).encode()),
            File(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()),
            File(f"{info}/licenses/LICENSE", release.document("LICENSE").content),
        ]
        record = "".join(f"{file.path},sha256={_digest(file.content)},{len(file.content)}\n" for file in files)
        files.append(File(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
        path = out / "wheels" / f"{STEM}-{release.version}-{tag}.whl"
        path.write_bytes(zipped(release, files))


def _platform(program: Program) -> str:
    machine = program.target.uname[1]
    if program.glibc:
        return f"manylinux_{program.glibc[0]}_{program.glibc[1]}_{machine}"
    # A static program runs with any musl, and pip on a system with glibc takes the other wheel.
    return f"musllinux_1_1_{machine}"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
