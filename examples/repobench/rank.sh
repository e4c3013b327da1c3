#!/bin/bash
# Two models of known skill on a small history: the report must rank them rightly. MCP_CODEX_WORKER names the program,
# WORKER_CLAUDE_BIN a Claude Code, PYTHON one with RepoBench 0.8.0 and pytest in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
gateway=
cleanup() {
    if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
# It is made for Python 3.12, and lacks one thing in an earlier one.
cat > "$work/repobench.py" <<'END'
import shutil, sys

if sys.version_info < (3, 12):
    plain = shutil.rmtree

    def rmtree(path, *rest, onexc=None, **more):
        if onexc:
            more["onerror"] = lambda call, name, fault: onexc(call, name, fault[1])
        return plain(path, *rest, **more)

    shutil.rmtree = rmtree
sys.path.pop(0)
from repobench.cli.app import run_cli

sys.exit(run_cli())
END
repobench() { "${PYTHON:-python3}" "$work/repobench.py" "$@"; }
bin=$(dirname "$("${PYTHON:-python3}" -c 'import sys; print(sys.executable)')")
export PATH="$bin:$PATH"

python3 "$here/models.py" "$work/port" &
gateway=$!
until [ -s "$work/port" ]; do sleep 0.1; done

export WORKER_STATE_DIR="$work/state" ONEAPI_BASE_URL="http://127.0.0.1:$(cat "$work/port")/v1"
export ONEAPI_API_KEY=none-is-needed CLAUDE_MODEL=steady WORKER_CHECK_BEFORE=0
export WORKER_PRICE_TABLE='{"steady":{"input":2,"output":8},"shaky":{"input":0.2,"output":0.8}}'
export REPOBENCH_SPENT="$work/spent.jsonl"

python3 "$here/history.py" "$work/shop"
sed "s|TARGET|$here/target.py|" "$here/repobench.yml" > "$work/shop/repobench.yml"
cd "$work/shop"
repobench analyze
repobench benchmark build
repobench run steady shaky --trust-custom-command --yes
repobench report
repobench report --format json > "$work/report.json"
python3 - "$work/report.json" "$work/spent.jsonl" <<'END'
import json, sys

report = json.load(open(sys.argv[1]))
solved = {}
def walk(value):
    if isinstance(value, dict):
        name = value.get("target") or value.get("target_id") or value.get("name")
        rate = value.get("solve_rate")
        if isinstance(name, str) and isinstance(rate, (int, float)):
            solved[name] = rate
        for part in value.values():
            walk(part)
    elif isinstance(value, list):
        for part in value:
            walk(part)
walk(report)
spent = [json.loads(line) for line in open(sys.argv[2])]
print("solve rates:", solved, "tasks run:", len(spent), "USD:", sum(line["cost_usd"] or 0 for line in spent))
assert solved["steady"] > solved["shaky"], solved
END
