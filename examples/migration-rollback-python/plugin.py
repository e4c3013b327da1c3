"""Check `migration-rollback-python`: every changed `NAME.up.sql` has a `NAME.down.sql` that is not empty."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.check import Finding, Report, Severity
from wit_world.exports.plugin import Info
from wit_world.imports import config, files
from wit_world.imports.job import Change, ReadError_NotFound, ReadError_NotGranted
from wit_world.imports.types import Fault_Failed

READ = 1 << 20

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"folder": {"type": "string", "minLength": 1}},
}


def text(job, path):
    """A whole file of the tree, changed or not, as text."""
    whole = b""
    while True:
        # This is what the grant `files` is for: the rollback may have been there before the job.
        piece = files.read(job, path, len(whole), READ)
        whole += piece
        if len(piece) < READ:
            return whole.decode("utf-8", "replace")


def has_statement(sql):
    """Whether anything stands in it but blank lines and comments."""
    lines = (line.strip() for line in sql.splitlines())
    return any(line and not line.startswith("--") for line in lines)


def judge(job, up, down):
    """What is wrong with one migration, or None."""
    try:
        if has_statement(text(job, down)):
            return None
    except Err as error:
        match error.value:
            case ReadError_NotFound():
                hint = f"add {down} with the SQL that undoes it"
                return Finding("no-rollback", Severity.ERROR, up, None, f"{up} has no rollback", hint)
            case ReadError_NotGranted():
                # Not judged is not passed: a fault fails the check with this sentence.
                raise Err(Fault_Failed(f"may not read {down}: grant files for its folder")) from error
            case other:
                raise Err(Fault_Failed(f"cannot read {down}: {other}")) from error
    hint = "write the SQL that undoes the migration"
    return Finding("empty-rollback", Severity.ERROR, down, None, "the rollback does nothing", hint)


class Plugin(exports.Plugin):
    def describe(self):
        return Info("migration-rollback-python", "0.1.0", "every migration has a rollback", json.dumps(SCHEMA))

    def validate(self):
        pass


class Check(exports.Check):
    def run(self, job):
        folder = json.loads(config.json()).get("folder", "migrations").rstrip("/") + "/"
        ups = [
            file.path
            for file in job.changed()
            if file.path.startswith(folder) and file.path.endswith(".up.sql") and file.change != Change.DELETED
        ]
        judged = (judge(job, up, up.removesuffix(".up.sql") + ".down.sql") for up in ups)
        findings = [finding for finding in judged if finding]
        return Report(not findings, f"{len(ups)} migrations", findings)
