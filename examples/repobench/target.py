#!/usr/bin/env python3
"""One task of RepoBench as a job of mcp-codex-worker: target.py MODEL[,MODEL...] WORKSPACE PROMPT_FILE TASK."""

import json
import os
import subprocess
import sys


def main() -> int:
    models, workspace, prompt_file, task = sys.argv[1:5]
    with open(prompt_file, encoding="utf-8") as file:
        prompt = file.read()
    job = {"prompt": f"Task: {prompt}", "allowed_dirs": [workspace]}
    names = models.split(",")
    if len(names) == 1:
        job["model"] = names[0]
    else:
        # A ladder needs trees of its own; what was verified comes into the workspace at once.
        job |= {"isolation": "worktree", "apply": "patch", "attempts": {"models": names}}
    if check := os.environ.get("REPOBENCH_CHECK"):
        job["checks"] = [{"name": "tests", "command": check}]
    worker = os.environ.get("MCP_CODEX_WORKER", "mcp-codex-worker")
    # The workspace is RepoBench's own, wherever it put it.
    settings = ["--set", f"SANDBOX_ROOT={workspace}"]
    done = subprocess.run(
        [worker, *settings, "run", "--job", "-", "--json", "--quiet"],
        input=json.dumps(job),
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    print(done.stdout, end="")
    if spent := os.environ.get("REPOBENCH_SPENT"):
        result = json.loads(done.stdout or "{}")
        line = {"task": task, "models": names, "end": result.get("job_status")}
        line |= {key: result.get(key) for key in ("tokens", "cost_usd", "patch")}
        with open(spent, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
