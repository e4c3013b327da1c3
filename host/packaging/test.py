#!/usr/bin/env python3
"""Tries the packages as users get them, without a network: host/packaging/test.py [--binary PATH] [NAME...]

One built program is enough, a debug one too; the static program is a stand-in of a few lines where none is built. npm's
registry and the mirrors of the installer are folders, or servers on 127.0.0.1. Ends by itself after five minutes.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import gzip
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from forms.release import NAME, Release  # noqa: E402
from forms.targets import TARGETS, host_target  # noqa: E402

BUDGET = 300
ROOT = HERE.parent.parent
TARGET_DIR = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
VERSION = Release.of_this_checkout("").version
REPOSITORY = "https://git.example.com/owner/mcp-codex-worker"
GNU = host_target()
MUSL = GNU.replace("-gnu", "-musl")
# What a home may be called.
HOME_NAME = "Jörg's höme dir"

scratch: Path
program: Path
static: Path
static_is_real = False
packages: Path


def setUpModule() -> None:
    global scratch, static, static_is_real, packages
    scratch = Path(tempfile.mkdtemp(prefix="worker-packages-"))
    unittest.addModuleCleanup(shutil.rmtree, scratch, ignore_errors=True)
    stripped = scratch / NAME
    subprocess.run(["strip", "-o", stripped, program], check=True)
    built = [TARGET_DIR / MUSL / "dist" / NAME]
    static_is_real = built[0].is_file()
    static = built[0] if static_is_real else stand_in(scratch / "static")
    packages = scratch / "packages"
    dist(packages, {GNU: stripped, MUSL: static}, "--repository", REPOSITORY)


def stand_in(path: Path) -> Path:
    """A static program that only says its version."""
    source = f'#include <stdio.h>\nint main(void) {{ puts("{NAME} {VERSION} (stand-in, {MUSL})"); return 0; }}\n'
    subprocess.run(["cc", "-static", "-x", "c", "-o", path, "-"], input=source, text=True, check=True)
    return path


def dist(out: Path, binaries: dict[str, Path], *arguments: str, fails: bool = False, **environment: str) -> str:
    command = [sys.executable, HERE / "dist.py", "--quick", "--out", out, *arguments]
    for triple, path in binaries.items():
        command += ["--binary", f"{triple}={path}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class User:
    """A user with an empty home, on a machine with the programs of this one."""

    def __init__(self, test: unittest.TestCase) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.folder / HOME_NAME
        self.home.mkdir()
        (self.folder / "bin").mkdir()
        self.environment = {"HOME": str(self.home), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "LANG": "C.UTF-8",
                            # Plugins are compiled once for all tests, not once for each user.
                            "WORKER_CACHE_DIR": str(TARGET_DIR / "test-cache")}

    def has_program(self, name: str, text: str) -> None:
        """Puts a program before that of the machine."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *command: str | Path, fails: bool = False, cwd: Path | None = None, **environment: str) -> str:
        done = subprocess.run([str(word) for word in command], cwd=cwd or self.home, env={**self.environment, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if (done.returncode != 0) != fails:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def files(self) -> list[str]:
        """What is in the home, but for what npm keeps for itself."""
        files = (path for path in self.home.rglob("*") if not path.is_dir())
        return sorted(str(path.relative_to(self.home)) for path in files if ".npm" not in path.parts)


class Server:
    """Serves a function from paths to bytes on 127.0.0.1."""

    def __init__(self, test: unittest.TestCase, answer) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = answer(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"


class Registry(Server):
    """An npm registry that has the packages of a folder."""

    def __init__(self, test: unittest.TestCase, folder: Path) -> None:
        self.asked: list[str] = []
        self.tarballs, self.manifests = {}, {}
        for path in folder.glob("*.tgz"):
            self.tarballs[path.name] = path.read_bytes()
            with tarfile.open(path) as tar:
                manifest = json.load(tar.extractfile("package/package.json"))
            self.manifests[manifest["name"]] = (manifest, path.name)
        super().__init__(test, self.answer)

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        name = path.strip("/").split("/")[0]
        if name == "tarballs":
            return self.tarballs.get(path.split("/")[-1])
        if name not in self.manifests:
            return None
        manifest, file = self.manifests[name]
        if path.endswith("/latest"):
            return json.dumps(manifest).encode()
        sum_ = hashlib.sha512(self.tarballs[file]).digest()
        release = {**manifest, "dist": {"tarball": f"{self.url}/tarballs/{file}",
                                        "integrity": f"sha512-{base64.b64encode(sum_).decode()}"}}
        return json.dumps({"name": name, "dist-tags": {"latest": manifest["version"]},
                           "versions": {manifest["version"]: release}}).encode()


def newer(test: unittest.TestCase) -> str:
    """The address of a registry that knows a newer release."""
    return Server(test, lambda path: b'{"version": "99.0.0"}').url + "/mcp-codex-worker/latest"


class Packages(unittest.TestCase):
    """What the command makes, looked at from outside."""

    def test_two_runs_give_the_same_bytes(self) -> None:
        outs = []
        for number, zone in enumerate(["UTC", "Asia/Tokyo"]):
            out = scratch / f"run {number}" / "packages"
            # Later, under another name and with other rights: none of it may show.
            copies = {GNU: out.parent / "a", MUSL: out.parent / f"b{number}"}
            out.parent.mkdir()
            shutil.copyfile("/bin/true", copies[GNU])
            shutil.copyfile(static, copies[MUSL])
            copies[GNU].chmod([0o600, 0o755][number])
            dist(out, copies, "--repository", REPOSITORY, TZ=zone, SOURCE_DATE_EPOCH="1700000000")
            outs.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
        self.assertEqual(sorted(outs[0]), sorted(outs[1]))
        for path, content in outs[0].items():
            self.assertEqual(content, outs[1][path], path)

    def test_a_program_that_is_not_what_its_package_would_say_is_refused(self) -> None:
        text = scratch / "text"
        text.write_text("no program")
        arm = "aarch64-unknown-linux-gnu" if GNU.startswith("x86_64") else "x86_64-unknown-linux-gnu"
        for triple, path, words in [
            (MUSL, Path("/bin/true"), "it needs glibc"),
            (GNU, static, "it does not need glibc"),
            (arm, Path("/bin/true"), "it is for machine"),
            (GNU, text, "no ELF file"),
            (GNU, scratch / "nothing", "No such file"),
            ("x86_64-pc-windows-gnu", text, "no packages are made for x86_64-pc-windows-gnu; there are: "),
        ]:
            with self.subTest(words):
                out = scratch / "refused"
                self.assertIn(words, dist(out, {triple: path}, fails=True))
                self.assertFalse(out.exists())

    def test_the_sums_are_those_of_the_files(self) -> None:
        said = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=packages, capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(f"{NAME}-{VERSION}-{GNU}.tar.gz: OK", said.stdout)

    def test_npm_packages_say_where_they_run_and_run_nothing_when_installed(self) -> None:
        own = TARGETS[GNU]
        names = [NAME, TARGETS[GNU].npm_package, TARGETS[MUSL].npm_package]
        for name in names:
            with tarfile.open(packages / "npm" / f"{name}-{VERSION}.tgz") as tar:
                manifest = json.load(tar.extractfile("package/package.json"))
                members = {member.name: member for member in tar.getmembers()}
            self.assertNotIn("scripts", manifest)
            self.assertNotIn("dependencies", manifest)
            self.assertEqual((manifest["name"], manifest["version"]), (name, VERSION))
            if name == NAME:
                self.assertEqual(manifest["optionalDependencies"], {other: VERSION for other in sorted(names[1:])})
                self.assertEqual(set(members), {f"package/{file}" for file in ["package.json", "README.md", "LICENSE",
                                                                               f"bin/{NAME}.js"]})
                continue
            libc = "glibc" if name.endswith("gnu") else "musl"
            self.assertEqual((manifest["os"], manifest["cpu"], manifest["libc"]), ([own.os], [own.cpu], [libc]))
            self.assertEqual(members[f"package/bin/{NAME}"].mode, 0o755)

    def test_cargo_binstall_is_told_the_archives_names(self) -> None:
        text = (ROOT / "host/Cargo.toml").read_text()
        table = text[text.index("[package.metadata.binstall]"):]
        words = {"repo": REPOSITORY, "version": VERSION, "target": GNU, "bin": NAME, "binary-ext": ""}
        url, inside = (re.sub(r"\{ ([a-z-]+) \}", lambda found: words[found[1]], re.search(rf'^{key} = "(.*)"', table, re.M)[1])
                       for key in ["pkg-url", "bin-dir"])
        base, _, file = url.rpartition("/")
        self.assertEqual(base, f"{REPOSITORY}/releases/download/v{VERSION}")
        with tarfile.open(packages / file) as tar:
            self.assertTrue(tar.getmember(inside).isfile())

    def test_git_archive_takes_the_commit_along(self) -> None:
        if not (ROOT / ".git").exists():
            self.skipTest("no checkout of git")
        git = ["git", "-C", str(ROOT)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
        packed = subprocess.run([*git, "archive", "HEAD", "host/packaging/archived-commit"], check=True, capture_output=True)
        (scratch / "source.tar").write_bytes(packed.stdout)
        with tarfile.open(scratch / "source.tar") as tar:
            self.assertEqual(tar.extractfile("host/packaging/archived-commit").read().decode(), head)

    def test_the_formula_names_the_archive_and_its_sum(self) -> None:
        text = (packages / f"homebrew/{NAME}.rb").read_text()
        archive = f"{NAME}-{VERSION}-{GNU}.tar.gz"
        self.assertIn(f'url "{REPOSITORY}/releases/download/v{VERSION}/{archive}"', text)
        self.assertIn(hashlib.sha256((packages / archive).read_bytes()).hexdigest(), text)
        if shutil.which("ruby"):
            subprocess.run(["ruby", "-c", packages / f"homebrew/{NAME}.rb"], check=True, capture_output=True)


class Npm(unittest.TestCase):
    """npm and npx against a registry that has the packages."""

    def setUp(self) -> None:
        self.registry = Registry(self, packages / "npm")
        self.user = User(self)
        self.user.environment["npm_config_registry"] = self.registry.url
        self.user.environment["npm_config_update_notifier"] = "false"

    def install(self) -> Path:
        """Installs it as most people do; answers the command."""
        prefix = self.user.home / "npm"
        self.user.run("npm", "install", "--global", "--prefix", prefix, NAME)
        return prefix / "bin" / NAME

    def test_an_installation_in_an_empty_home_works_and_knows_its_way_to_a_newer_one(self) -> None:
        began = time.monotonic()
        command = self.install()
        print(f"\n  npm install: {time.monotonic() - began:.1f} s", file=sys.stderr)
        said = self.user.run(command, "--version")
        self.assertRegex(said, rf"^{NAME} {re.escape(VERSION)} \(([0-9a-f]{{40}}|commit unknown)\S*, {GNU}\)\n$")
        self.assertNotIn(f"/tarballs/{TARGETS[MUSL].npm_package}-{VERSION}.tgz", self.registry.asked, "only one program is fetched")
        self.assertRegex(self.user.run(command, "smoke"), r"All \d+ work")
        said = self.user.run(command, "update", "--check", "--url", f"{self.registry.url}/{NAME}/latest")
        self.assertIn("installed by npm: ", said)
        self.assertIn("This is the newest release.", said)
        said = self.user.run(command, "update", "--check", WORKER_UPDATE_URL=newer(self))
        self.assertIn(f"99.0.0 is newer. To get it: npm install --global {NAME}@99.0.0", said)

    def test_npx_shows_the_demo_and_sends_setup_to_an_installation(self) -> None:
        self.assertIn(f"{NAME} {VERSION} ", self.user.run("npx", "--yes", NAME, "--version"))
        said = self.user.run("npx", "--yes", NAME, "setup", "--yes", "--root", self.user.home, fails=True)
        self.assertIn(f"npm install --global {NAME}", said)
        self.assertEqual(self.user.files(), [], "nothing was written")
        claude = sorted((TARGET_DIR / "test-cache/clients").glob("claude-code-*/node_modules/@anthropic-ai/claude-code-*/claude"))
        claude = [os.environ["WORKER_TEST_CLAUDE_CODE"]] if "WORKER_TEST_CLAUDE_CODE" in os.environ else claude
        if not claude and "CI" not in os.environ:
            self.skipTest("the pinned Claude Code is not installed: `cargo test --test with_clients` installs it")
        self.assertTrue(claude, "CI has the pinned Claude Code")
        began = time.monotonic()
        said = self.user.run("npx", "--yes", NAME, "demo", WORKER_CLAUDE_BIN=str(claude[0]))
        print(f"\n  npx {NAME} demo: {time.monotonic() - began:.1f} s", file=sys.stderr)
        self.assertIn('"job_status": "completed"', said)
        self.assertIn("The demo passed in", said)
        self.assertEqual(self.user.files(), [])

    def with_manifest(self, change) -> tuple[Path, Path]:
        """An installation whose main package was made for other platforms; answers its command and its modules."""
        command = self.install()
        folder = command.resolve().parents[1]
        path, modules = folder / "package.json", folder / "node_modules"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))
        return command, modules

    def test_a_platform_without_a_package_gets_one_sentence(self) -> None:
        def elsewhere(manifest: dict) -> None:
            manifest["platforms"] = [{**one, "os": "plan9"} for one in manifest["platforms"]]

        command, _ = self.with_manifest(elsewhere)
        own = TARGETS[GNU]
        self.assertEqual(self.user.run(command, "demo", fails=True),
                         f"{NAME}: there is no package for {own.os} {own.cpu}, only for plan9 {own.cpu}. "
                         'Build it from its source: README.md, "From source".\n')

    def test_a_package_that_npm_left_out_is_named(self) -> None:
        command = self.install()
        shutil.rmtree(command.resolve().parents[1] / "node_modules" / TARGETS[GNU].npm_package)
        said = self.user.run(command, "--version", fails=True)
        self.assertIn(f"npm install {TARGETS[GNU].npm_package}@{VERSION}", said)
        self.assertEqual(len(said.splitlines()), 1)

    def test_an_old_glibc_gets_the_static_program_or_a_sentence(self) -> None:
        def future(manifest: dict) -> None:
            for one in manifest["platforms"]:
                one["glibc"] = one["glibc"] and "99.0"

        command, modules = self.with_manifest(future)
        said = self.user.run(command, "--version", fails=True)
        self.assertIn("too old", said)
        self.assertIn(f"npm install --force {TARGETS[MUSL].npm_package}@{VERSION}", said)
        with tarfile.open(packages / "npm" / f"{TARGETS[MUSL].npm_package}-{VERSION}.tgz") as tar:
            tar.extractall(self.user.folder)
        (self.user.folder / "package").rename(modules / TARGETS[MUSL].npm_package)
        self.assertIn(MUSL, self.user.run(command, "--version"))

        def alone(manifest: dict) -> None:
            future(manifest)
            manifest["platforms"] = [one for one in manifest["platforms"] if one["libc"] == "glibc"]

        shutil.rmtree(modules / TARGETS[MUSL].npm_package)
        command, _ = self.with_manifest(alone)
        self.assertRegex(self.user.run(command, "--version", fails=True),
                         r"needs glibc 99\.0, and this system has \d+\.\d+\. Build it from its source")

    def test_the_command_ends_as_the_program_does_and_takes_it_along(self) -> None:
        command = self.install()
        self.assertIn("error: ", self.user.run(command, "no-such-command", fails=True))
        # Asked to end, the server ends in order; the command that is killed cannot ask it, and it ends all the same.
        for ending, expected in [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)]:
            server = subprocess.Popen([command, "serve"], env=self.user.environment, cwd=self.user.home, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.addCleanup(server.kill)
            call = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
                    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}
            server.stdin.write(json.dumps(call) + "\n")
            server.stdin.flush()
            self.assertIn("serverInfo", server.stdout.readline())
            server.send_signal(ending)
            # The program holds the other end of this pipe: it has ended when nothing can come any more.
            self.assertEqual(server.stdout.read(), "")
            self.assertEqual(server.wait(30), expected)
            server.stdin.close()
            server.stdout.close()


class Installer(unittest.TestCase):
    """The shell installer, from folders and servers, with what can be wrong with them."""

    def setUp(self) -> None:
        self.user = User(self)
        self.script = packages / "install.sh"
        self.archive = f"{NAME}-{VERSION}-{GNU}.tar.gz"

    def mirror(self, content: bytes) -> Path:
        """A folder that has these bytes in the place of the archive."""
        folder = self.user.folder / "mirror"
        folder.mkdir()
        (folder / self.archive).write_bytes(content)
        return folder

    def test_from_a_folder_into_a_home_with_spaces_and_umlauts(self) -> None:
        said = self.user.run("sh", self.script, "--from", packages)
        self.assertIn(f"Installed {NAME} {VERSION} (", said)
        self.assertIn("It is not on your PATH.", said)
        command = self.user.home / ".local/bin" / NAME
        self.assertIn(GNU, self.user.run(command, "--version"))
        self.assertIn("installed by its installer: ", self.user.run(command, "update", "--check", "--url", newer(self)))
        self.assertRegex(self.user.run(command, "smoke"), r"All \d+ work")
        installed = [f".local/bin/{NAME}", f".local/share/{NAME}/install.json"]
        self.assertEqual(self.user.files(), installed)
        # Once more, while it runs, with a way that the user chose.
        server = subprocess.Popen([command, "serve"], env=self.user.environment, stdin=subprocess.PIPE)
        self.user.run("sh", self.script, "--prefix", ".local", WORKER_INSTALL_FROM=f"file://{packages}",
                      PATH=f"{command.parent}:{self.user.environment['PATH']}")
        self.assertIsNone(server.poll())
        server.stdin.close()
        self.assertEqual(server.wait(30), 0)
        self.assertEqual(self.user.files(), installed)

    def test_from_a_server(self) -> None:
        def answer(path: str) -> bytes | None:
            file = packages / path.split("/")[-1]
            return file.read_bytes() if path.startswith("/v1/") and file.is_file() else None

        server = Server(self, answer)
        self.assertIn("cannot be fetched", self.user.run("sh", self.script, "--from", f"{server.url}/v2", fails=True))
        self.assertEqual(self.user.files(), [])
        self.user.run("sh", self.script, "--from", f"{server.url}/v1/")
        self.assertEqual(len(self.user.files()), 2)

    def test_a_damaged_or_foreign_archive_installs_nothing(self) -> None:
        whole = (packages / self.archive).read_bytes()
        foreign = (packages / f"{NAME}-{VERSION}-{MUSL}.tar.gz").read_bytes()
        for what, content in [("truncated", whole[:len(whole) // 2]), ("empty", b""), ("another", foreign),
                              ("a login page", b"<html>"), ("one bit", whole[:-1] + bytes([whole[-1] ^ 1]))]:
            with self.subTest(what):
                mirror = self.mirror(content)
                said = self.user.run("sh", self.script, "--from", mirror, fails=True)
                self.assertIn("is not the release's: its SHA-256 is", said)
                self.assertEqual(self.user.files(), [])
                shutil.rmtree(mirror)

    def test_what_keeps_it_from_installing_is_said_with_what_to_do(self) -> None:
        nowhere = self.user.folder / "empty"
        nowhere.mkdir()
        taken = self.user.folder / "taken"
        taken.mkdir()
        (taken / "bin").write_text("a file")
        for arguments, words in [
            (["--from", nowhere], f"{nowhere} has no {self.archive}"),
            (["--from", packages, "--prefix", "/proc/here"], "/proc/here cannot be written: choose another place by --prefix"),
            (["--from", packages, "--prefix", taken], f"{taken} cannot be written"),
            (["--prefix"], "--prefix needs a value"),
            (["--frob"], "--frob is not known"),
        ]:
            with self.subTest(words):
                self.assertIn(words, self.user.run("sh", self.script, *arguments, fails=True))
                self.assertEqual(self.user.files(), [])
        self.assertIn("HOME is not set", self.user.run("sh", self.script, "--from", packages, HOME="", fails=True))

    def test_a_read_only_prefix_is_told_before_anything_is_fetched(self) -> None:
        prefix = self.user.folder / "prefix"
        prefix.mkdir()
        mount = f'mount --bind "{prefix}" "{prefix}" && mount -o remount,bind,ro "{prefix}"'
        script = f'{mount} && exec sh "{self.script}" --from /nowhere --prefix "{prefix}"'
        if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode != 0:
            self.skipTest("no mount namespace can be had here")
        said = self.user.run("unshare", "--mount", "sh", "-c", script, fails=True)
        self.assertIn(f"{prefix} cannot be written: choose another place by --prefix DIR", said)

    def test_another_machine_gets_one_sentence(self) -> None:
        self.user.has_program("uname", 'case $1 in -s) echo Plan9 ;; *) echo mips ;; esac')
        said = self.user.run("sh", self.script, "--from", packages, fails=True)
        self.assertEqual(said, 'install.sh: there is no package for Plan9 mips. '
                               'Build it from its source: README.md, "From source".\n')

    def test_an_old_glibc_gets_the_static_program_or_a_sentence(self) -> None:
        for words in ["echo glibc 2.5", "exit 1"]:
            with self.subTest(words):
                self.user.has_program("getconf", words)
                self.assertIn(MUSL, self.user.run("sh", self.script, "--from", packages))
        without = scratch / "without static"
        dist(without, {GNU: Path("/bin/true")})
        self.user.has_program("getconf", "echo glibc 2.1.3")
        said = self.user.run("sh", without / "install.sh", "--from", without, fails=True)
        self.assertRegex(said, r"needs glibc 2\.\d+, and this system has 2\.1\.3\. Build it from its source")
        said = self.user.run("sh", without / "install.sh", fails=True)
        self.assertIn("knows no server", said)

    def test_the_static_program_can_be_asked_for(self) -> None:
        self.assertIn(MUSL, self.user.run("sh", self.script, "--musl", "--from", packages))

    def test_a_program_that_does_not_run_is_not_installed(self) -> None:
        # Of the right form and sum, and no program of ours.
        wrong = scratch / "wrong program"
        dist(wrong, {GNU: Path("/bin/false")})
        said = self.user.run("sh", wrong / "install.sh", "--from", wrong, fails=True)
        self.assertRegex(said, "does not run here|says that it is")
        self.assertEqual(self.user.files(), [])


class Archive(unittest.TestCase):
    def test_an_unpacked_archive_runs_where_it_is(self) -> None:
        user = User(self)
        user.run("tar", "-xzf", packages / f"{NAME}-{VERSION}-{GNU}.tar.gz")
        folder = user.home / f"{NAME}-{VERSION}-{GNU}"
        self.assertEqual(sorted(path.name for path in folder.iterdir()),
                         sorted([NAME, "install.json", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"]))
        said = user.run(folder / NAME, "update", "--check", "--url", newer(self))
        self.assertIn("installed by unpacking an archive: ", said)
        self.assertIn("To get it: unpack the archive of release 99.0.0 in its place", said)


class Update(unittest.TestCase):
    """`update --check` of the program as it was built."""

    def test_it_says_what_is_newer_and_changes_nothing(self) -> None:
        user = User(self)
        said = user.run(program, "update", "--check", "--url", newer(self))
        self.assertIn("installed by building it in a checkout: ", said)
        self.assertIn("99.0.0 is newer. To get it: in the checkout: git checkout v99.0.0", said)
        github = Server(self, lambda path: b'{"tag_name": "v0.0.1", "html_url": "x"}').url
        answer = json.loads(user.run(program, "update", "--check", "--json", WORKER_UPDATE_URL=github))
        self.assertEqual((answer["newest"], answer["newer"], answer["how"], answer["installed_by"]), ("0.0.1", False, None, "source"))
        self.assertIn("ahead of it", user.run(program, "update", "--check", WORKER_UPDATE_URL=github))
        self.assertEqual(user.files(), [])

    def test_what_keeps_it_from_knowing_is_said(self) -> None:
        user = User(self)
        gone = Server(self, lambda path: None).url
        page = Server(self, lambda path: b"<html>please log in</html>").url
        for url, words in [("http://127.0.0.1:1/x", "cannot be reached"), (gone, "answers 404"), (page, "names no version"),
                           ("not a url", "is no address")]:
            with self.subTest(words):
                said = user.run(program, "update", "--check", "--url", url, fails=True)
                self.assertIn(words, said)
        self.assertIn("update --check", user.run(program, "update", fails=True))


class Wheel(unittest.TestCase):
    def test_a_wheel_in_an_environment_of_its_own(self) -> None:
        user = User(self)
        environment = user.home / "venv"
        user.run(sys.executable, "-m", "venv", environment)
        began = time.monotonic()
        user.run(environment / "bin/pip", "install", "--quiet", "--no-index", "--disable-pip-version-check",
                 "--find-links", packages / "wheels", NAME)
        print(f"\n  pip install: {time.monotonic() - began:.1f} s", file=sys.stderr)
        command = environment / "bin" / NAME
        self.assertIn(GNU, user.run(command, "--version"))
        said = user.run(command, "update", "--check", "--url", newer(self))
        self.assertIn("installed by a Python wheel: ", said)
        self.assertIn(f"pip install {NAME}==99.0.0", said)
        user.run(environment / "bin/pip", "check")
        user.run(environment / "bin/pip", "uninstall", "--quiet", "--yes", NAME)
        self.assertFalse(command.exists())


class Image(unittest.TestCase):
    def blob(self, described: dict) -> bytes:
        kind, _, digest = described["digest"].partition(":")
        content = (packages / "image/blobs" / kind / digest).read_bytes()
        self.assertEqual(hashlib.sha256(content).hexdigest(), digest)
        self.assertEqual(len(content), described["size"])
        return content

    def test_the_image_is_a_layout_whose_program_runs_with_nothing_around_it(self) -> None:
        layout = packages / "image"
        self.assertEqual(json.loads((layout / "oci-layout").read_text()), {"imageLayoutVersion": "1.0.0"})
        index = json.loads((layout / "index.json").read_text())
        manifest = json.loads(self.blob(index["manifests"][0]))
        config = json.loads(self.blob(manifest["config"]))
        layer = self.blob(manifest["layers"][0])
        self.assertEqual(config["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"])
        self.assertEqual(config["architecture"], TARGETS[MUSL].architecture)
        user = User(self)
        root = user.folder / "root"
        root.mkdir()
        (user.folder / "layer.tar.gz").write_bytes(layer)
        user.run("tar", "-xzpf", user.folder / "layer.tar.gz", "-C", root)
        chroot = ["chroot", str(root)] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot", str(root)]
        said = user.run(*chroot, config["config"]["Entrypoint"][0], "--version")
        self.assertIn(f"{NAME} {VERSION} ", said)
        self.assertIn(MUSL, said)
        if static_is_real:
            variables = dict(word.split("=", 1) for word in config["config"]["Env"])
            said = user.run(*chroot, config["config"]["Entrypoint"][0], "smoke", **variables, WORKER_CACHE_DIR="/tmp/cache")
            self.assertRegex(said, r"All \d+ work")


def main() -> None:
    global program
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--binary", type=Path,
                       default=TARGET_DIR / "debug" / NAME)
    arguments, rest = words.parse_known_args()
    program = arguments.binary.resolve()
    if not program.is_file():
        sys.exit(f"{program} is not there: `cargo build` makes it, or name another by --binary")
    faulthandler.dump_traceback_later(BUDGET, exit=True)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
