"""Check `{{name}}`: no word of a list may be left behind in what a job adds."""

import json

from wit_world import exports
from wit_world.exports.check import Outcome_Failed, Outcome_Passed, Report
from wit_world.exports.plugin import Info
from wit_world.imports import job, settings
from wit_world.imports.findings import Finding, Place, Severity
from wit_world.imports.job import Moment

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"words": {"type": "array", "items": {"type": "string", "minLength": 1}}},
}


def given():
    return {"words": ["FIXME"], **json.loads(settings.json())}


def added(path):
    """The lines that the job added to a file, however many there are."""
    last, more = 0, True
    while more:
        page = job.changed_lines(path, Moment.AFTER, last, 1 << 20)
        for line in page.lines:
            last = line.number
            yield line.number, line.text.decode("utf-8", "replace")
        more = page.more


class Plugin(exports.Plugin):
    def describe(self):
        return Info("{{name}}", "0.1.0", "no left-over words in added lines", json.dumps(SCHEMA))

    def validate(self):
        # What the schema cannot say: a list of Problem(key, message).
        return []


class Check(exports.Check):
    def run(self):
        words, failed = given()["words"], False
        for file in job.changed_files():
            for number, line in added(file.path):
                for word in words:
                    if word in line:
                        finding = Finding("left-over", Severity.ERROR, f"{word} left behind")
                        finding.at(Place(file.path, number, 0, 0, 0))
                        finding.hint(f"do what the {word} says, or remove it")
                        failed = True
        return Report(Outcome_Failed() if failed else Outcome_Passed(), "")
