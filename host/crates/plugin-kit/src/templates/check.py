"""Check `{{name}}`: no word of a list may stay behind in changed files."""

import json

from wit_world import exports
from wit_world.imports import config
from wit_world.exports.check import Finding, Report, Severity
from wit_world.exports.plugin import Info

READ = 1 << 20

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"words": {"type": "array", "items": {"type": "string", "minLength": 1}}},
}


def settings():
    return {"words": ["FIXME"], **json.loads(config.json())}


def text(job, path):
    """A whole changed file, as text."""
    whole = b""
    while True:
        piece = job.read(path, len(whole), READ)
        whole += piece
        if len(piece) < READ:
            return whole.decode("utf-8", "replace")


class Plugin(exports.Plugin):
    def describe(self):
        return Info("{{name}}", "0.1.0", "no left-over words in changed files", json.dumps(SCHEMA))

    def validate(self):
        pass


class Check(exports.Check):
    def run(self, job):
        words, findings = settings()["words"], []
        # A deleted file has no text, a binary one no lines.
        for file in job.changed():
            if file.binary or file.size == 0:
                continue
            for number, line in enumerate(text(job, file.path).splitlines(), 1):
                for word in words:
                    if word in line:
                        hint = f"do what the {word} says, or remove it"
                        message = f"{word} left behind"
                        findings.append(Finding("left-over", Severity.ERROR, file.path, number, message, hint))
        return Report(not findings, "", findings)
