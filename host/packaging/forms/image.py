"""An OCI image layout with nothing but the static program, for each machine that has one.

It has no git, no Claude Code and no certificates: it is a place to copy the program from, and serves where these are mounted.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from pathlib import Path

from .build import Program
from .release import LICENSE, NAME, File, Release, receipt, tar_gz

TYPES = "application/vnd.oci.image"
HOME = "/home/worker"
# As distroless images have it.
USER = 65532


def write(release: Release, programs: list[Program], out: Path) -> None:
    static = [program for program in programs if program.target.libc == "musl"]
    if not static:
        return
    layout = out / "image"
    (layout / "blobs/sha256").mkdir(parents=True)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(release.epoch))
    labels = {"org.opencontainers.image.version": release.version, "org.opencontainers.image.revision": release.commit,
              "org.opencontainers.image.licenses": LICENSE, "org.opencontainers.image.title": NAME}
    if release.repository:
        labels["org.opencontainers.image.source"] = release.repository
    manifests = []
    for program in static:
        layer = tar_gz(release, [
            File(f"usr/bin/{NAME}", program.content, executable=True),
            File(f"usr/share/{NAME}/install.json", receipt("image")),
            File(f"usr/share/doc/{NAME}/LICENSE", release.document("LICENSE").content),
        ], {"tmp": (0o1777, 0), HOME.strip("/"): (0o700, USER)})
        platform = {"architecture": program.target.architecture, "os": "linux"}
        config = {**platform, "created": created,
                  "config": {"User": f"{USER}:{USER}", "Env": [f"HOME={HOME}", "PATH=/usr/bin:/bin"], "WorkingDir": HOME,
                             "Entrypoint": [f"/usr/bin/{NAME}"], "Labels": labels},
                  "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"]},
                  "history": [{"created": created, "created_by": "host/packaging/dist.py"}]}
        manifest = {"schemaVersion": 2, "mediaType": f"{TYPES}.manifest.v1+json",
                    "config": _blob(layout, f"{TYPES}.config.v1+json", _json(config)),
                    "layers": [_blob(layout, f"{TYPES}.layer.v1.tar+gzip", layer)],
                    "annotations": labels}
        described = _blob(layout, f"{TYPES}.manifest.v1+json", _json(manifest))
        manifests.append({**described, "platform": platform,
                          "annotations": {"org.opencontainers.image.ref.name": f"{release.version}"}})
    index = {"schemaVersion": 2, "mediaType": f"{TYPES}.index.v1+json", "manifests": manifests}
    (layout / "index.json").write_bytes(_json(index))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _json(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _blob(layout: Path, media_type: str, content: bytes) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
