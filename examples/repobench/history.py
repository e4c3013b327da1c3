#!/usr/bin/env python3
"""Makes a repository with six merged pull requests, each of which mends one function and adds its test: history.py FOLDER."""

import pathlib
import subprocess
import sys

TASKS = 6


def git(folder: pathlib.Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Maker", "-c", "user.email=maker@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def faulty(number: int) -> str:
    return f"def shift_{number}(x):\n    return x - {number}\n"


def mended(number: int) -> str:
    return f"def shift_{number}(x):\n    return x + {number}\n"


def test(number: int) -> str:
    return (
        f"from shop.shift_{number} import shift_{number}\n\n\n"
        f"def test_shift_{number}():\n    assert shift_{number}(1) == {number + 1}\n    assert shift_{number}(0) == {number}\n"
    )


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    (folder / "shop").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "shop/__init__.py").write_text("")
    (folder / "conftest.py").write_text("")
    (folder / "tests/test_begin.py").write_text("def test_begin():\n    assert True\n")
    for number in range(1, TASKS + 1):
        (folder / f"shop/shift_{number}.py").write_text(faulty(number))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    for number in range(1, TASKS + 1):
        (folder / f"shop/shift_{number}.py").write_text(mended(number))
        (folder / f"tests/test_shift_{number}.py").write_text(test(number))
        git(folder, "add", "-A")
        subject = f"fix: shift_{number} goes the wrong way (#{number})"
        body = (
            f"`shift_{number}(x)` in shop/shift_{number}.py returns a smaller number than it was given. It must return x plus "
            f"{number}, so that shift_{number}(0) is {number}. Callers in the basket depend on it."
        )
        git(folder, "commit", "-q", "-m", subject, "-m", body)


if __name__ == "__main__":
    main()
