#!/usr/bin/env python3
"""Builds the program for the given targets and makes everything that is handed out.

    host/packaging/dist.py                                  this machine's target
    host/packaging/dist.py --target x86_64-unknown-linux-gnu --target x86_64-unknown-linux-musl
    host/packaging/dist.py --binary x86_64-unknown-linux-gnu=PATH    packs what is built already

Into target/packages: npm packages, archives, an installer, wheels, a Homebrew formula, an OCI image layout, SHA256SUMS. The same
binaries give the same bytes: files are sorted, owned by nobody and as old as the commit (SOURCE_DATE_EPOCH).
Python's standard library suffices; nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

from forms import archive, build, homebrew, image, installer, npm, wheel  # noqa: E402
from forms.release import Release, Problem  # noqa: E402
from forms.targets import TARGETS, host_target  # noqa: E402


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--target", action="append", default=[], metavar="TRIPLE", help="build for it; may be repeated")
    words.add_argument("--binary", action="append", default=[], metavar="TRIPLE=PATH", help="pack this program instead")
    words.add_argument("--out", type=Path, metavar="DIR", help="default: target/packages")
    words.add_argument("--repository", default=os.environ.get("WORKER_REPOSITORY", ""), metavar="URL",
                       help="where releases are published, as https://github.com/OWNER/NAME; goes into the packages")
    words.add_argument("--zig", action="store_true", help="build with cargo-zigbuild, for glibc 2.28 and for other machines")
    words.add_argument("--quick", action="store_true", help="compress little: for packages that are only tried")
    arguments = words.parse_args()
    try:
        make(arguments)
    except Problem as problem:
        print(f"dist: {problem}", file=sys.stderr)
        return 1
    return 0


def make(arguments: argparse.Namespace) -> None:
    release = Release.of_this_checkout(arguments.repository, 1 if arguments.quick else 9)
    out = arguments.out or release.root / "target/packages"
    given = dict(word.partition("=")[::2] for word in arguments.binary)
    targets = arguments.target + [name for name in given if name not in arguments.target]
    targets = sorted(targets or [host_target()])
    for name in targets:
        if name not in TARGETS:
            raise Problem(f"no packages are made for {name}; there are: {', '.join(sorted(TARGETS))}")
    programs = []
    for name in targets:
        path = Path(given[name]) if name in given else build.build(release, TARGETS[name], arguments.zig)
        programs.append(build.inspect(TARGETS[name], path))

    # Made beside its place and then moved there: what is in `out` is whole, and of one run.
    made = out.with_name(out.name + ".new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    npm.write(release, programs, made)
    archive.write(release, programs, made)
    wheel.write(release, programs, made)
    image.write(release, programs, made)
    homebrew.write(release, programs, made)
    installer.write(release, programs, made)
    archive.write_sums(made)
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
    for path in sorted(out.rglob("*")):
        if path.is_file() and "blobs" not in path.parts:
            print(f"{path.stat().st_size:>11,}  {path.relative_to(out)}")


if __name__ == "__main__":
    sys.exit(main())
