"""npm: a main package that starts the program of the platform's package. Neither runs anything when it is installed."""

from __future__ import annotations

import json
from pathlib import Path

from .build import Program
from .release import DESCRIPTION, LICENSE, NAME, File, Release, receipt, tar_gz

HERE = Path(__file__).resolve().parent.parent / "npm"


def write(release: Release, programs: list[Program], out: Path) -> None:
    common = {"version": release.version, "license": LICENSE}
    if release.repository:
        common["repository"] = {"type": "git", "url": f"git+{release.repository}.git"}
        common["homepage"] = f"{release.repository}#readme"
    license_file = release.document("LICENSE")
    platforms = []
    for program in programs:
        target = program.target
        manifest = {"name": target.npm_package, **common,
                    "description": f"The program of {NAME} for {target.triple}",
                    "os": [target.os], "cpu": [target.cpu]}
        if target.libc:
            manifest["libc"] = [target.libc]
        # Yarn must not leave it in a zip, where it cannot be started.
        manifest["preferUnplugged"] = True
        _pack(release, manifest, out, [
            license_file,
            File(f"bin/{NAME}", program.content, executable=True),
            File("bin/install.json", receipt("npm")),
        ])
        platforms.append({"package": target.npm_package, "os": target.os, "cpu": target.cpu, "libc": target.libc,
                          "glibc": program.glibc_text})
    manifest = {"name": NAME, **common, "description": DESCRIPTION,
                "keywords": ["mcp", "mcp-server", "codex", "claude-code", "delegation", "agents"],
                "bin": {NAME: f"bin/{NAME}.js"}, "engines": {"node": ">=18"},
                "optionalDependencies": {platform["package"]: release.version for platform in platforms},
                # What bin/mcp-codex-worker.js chooses from.
                "platforms": platforms}
    _pack(release, manifest, out, [
        license_file,
        File("README.md", (HERE / "README.md").read_bytes()),
        File(f"bin/{NAME}.js", (HERE / "launcher.js").read_bytes(), executable=True),
    ])


def _pack(release: Release, manifest: dict, out: Path, files: list[File]) -> None:
    text = json.dumps(manifest, indent=2) + "\n"
    files = [File("package.json", text.encode()), *files]
    packed = [File(f"package/{file.path}", file.content, file.executable) for file in files]
    (out / "npm").mkdir(exist_ok=True)
    path = out / "npm" / f"{manifest['name']}-{release.version}.tgz"
    path.write_bytes(tar_gz(release, packed))
