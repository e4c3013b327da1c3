"""A Homebrew formula, for a tap. It takes the archives of the release, so it is made only where their address is known."""

from __future__ import annotations

from pathlib import Path

from . import archive
from .build import Program
from .release import NAME, Release, receipt

WORDS = {"x64": "on_intel", "arm64": "on_arm"}


def write(release: Release, programs: list[Program], out: Path) -> None:
    # Homebrew brings a glibc of its own where the system's is too old.
    chosen = {program.target.cpu: program for program in programs if program.target.libc == "glibc"}
    if not (release.downloads and chosen):
        return
    blocks = []
    for cpu, program in sorted(chosen.items()):
        name = f"{archive.name(release, program)}.tar.gz"
        blocks.append(f'    {WORDS[cpu]} do\n'
                      f'      url "{release.downloads}/{name}"\n'
                      f'      sha256 "{archive.sha256((out / name).read_bytes())}"\n'
                      f'    end\n')
    text = f'''class McpCodexWorker < Formula
  desc "Delegates coding work from Codex to verified background Claude Code jobs"
  homepage "{release.repository}"
  version "{release.version}"
  license any_of: ["MIT", "Apache-2.0"]

  on_linux do
{"".join(blocks)}  end

  def install
    bin.install "{NAME}"
    (share/"{NAME}/install.json").write <<~JSON
      {receipt("homebrew").decode().strip()}
    JSON
    generate_completions_from_executable(bin/"{NAME}", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{{bin}}/{NAME} --version")
    system bin/"{NAME}", "smoke"
  end
end
'''
    (out / "homebrew").mkdir()
    (out / "homebrew" / f"{NAME}.rb").write_text(text, encoding="utf-8")
