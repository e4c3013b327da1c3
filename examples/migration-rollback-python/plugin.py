"""Check `migration-rollback-python`: every changed `NAME.up.sql` has a `NAME.down.sql` that is not empty."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.check import Outcome_Failed, Outcome_Passed, Report
from wit_world.exports.plugin import Info
from wit_world.imports import files, job, settings
from wit_world.imports.findings import Finding, Place, Severity
from wit_world.imports.job import ReadError_NotFound, ReadError_NotGranted
from wit_world.imports.types import Fault_Failed

READ = 1 << 20

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"folder": {"type": "string", "minLength": 1}},
}


def text(path):
    """A whole file of the tree, changed or not, as text."""
    whole = b""
    while True:
        # This is what the grant `files` is for: the rollback may have been there before the job.
        piece = files.read(path, len(whole), READ)
        whole += piece
        if len(piece) < READ:
            return whole.decode("utf-8", "replace")


def has_statement(sql):
    """Returns true if it has anything but blank lines and comments."""
    lines = (line.strip() for line in sql.splitlines())
    return any(line and not line.startswith("--") for line in lines)


def report(rule, path, message, hint):
    """Puts a finding into the host's sink; it fails the check."""
    finding = Finding(rule, Severity.ERROR, message)
    finding.at(Place(path, 0, 0, 0, 0))
    finding.hint(hint)
    return False


def judge(up, down):
    """Returns true if a migration has a rollback, and reports what is wrong."""
    try:
        if has_statement(text(down)):
            return True
    except Err as error:
        match error.value:
            case ReadError_NotFound():
                hint = f"add {down} with the SQL that undoes it"
                return report("no-rollback", up, f"{up} has no rollback", hint)
            case ReadError_NotGranted():
                # Not judged is not passed: a fault fails the check with this sentence.
                raise Err(Fault_Failed(f"may not read {down}: grant files for its folder")) from error
            case other:
                raise Err(Fault_Failed(f"cannot read {down}: {other}")) from error
    hint = "write the SQL that undoes the migration"
    return report("empty-rollback", down, "the rollback does nothing", hint)


class Plugin(exports.Plugin):
    def describe(self):
        return Info("migration-rollback-python", "0.1.0", "every migration has a rollback", json.dumps(SCHEMA))

    def validate(self):
        return []


class Check(exports.Check):
    def run(self):
        folder = json.loads(settings.json()).get("folder", "migrations").rstrip("/") + "/"
        ups = [
            file.path
            for file in job.changed_files()
            if file.path.startswith(folder) and file.path.endswith(".up.sql") and file.after
        ]
        # Each of them, and not only up to the first without one.
        judged = [judge(up, up.removesuffix(".up.sql") + ".down.sql") for up in ups]
        outcome = Outcome_Passed() if all(judged) else Outcome_Failed()
        return Report(outcome, f"{len(ups)} migrations")
