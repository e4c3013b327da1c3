//! The findings of check components, as SARIF 2.1.0: editors, code hosts and dashboards read it.

use serde_json::{Map, Value, json};

use plugins::Info;
use plugins::check::{Finding, Location, Severity};

/// The findings of one check.
#[derive(Debug)]
pub(super) struct Found {
    /// The check's name in the result.
    pub(super) check: String,
    /// The plugin, where it could be loaded.
    pub(super) plugin: Option<Info>,
    /// The findings.
    pub(super) findings: Vec<Finding>,
}

/// One run for each check.
pub(super) fn log(found: &[Found]) -> Value {
    let runs: Vec<Value> = found.iter().map(run).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    })
}

fn run(found: &Found) -> Value {
    let mut rules: Vec<&Finding> = found.findings.iter().collect();
    rules.sort_by(|a, b| a.rule.cmp(&b.rule));
    rules.dedup_by(|a, b| a.rule == b.rule);
    let rules = rules.iter().map(|finding| {
        let mut rule = json!({ "id": finding.rule });
        if let Some(link) = &finding.link {
            rule["helpUri"] = json!(link);
        }
        rule
    });
    let mut driver = json!({ "name": found.check, "rules": rules.collect::<Vec<_>>() });
    if let Some(plugin) = &found.plugin {
        driver["semanticVersion"] = json!(plugin.version);
        driver["fullName"] = json!(format!("{} {}", plugin.own_name, plugin.version));
        driver["properties"] = json!({ "sha256": plugin.sha256 });
    }
    let results: Vec<Value> = found.findings.iter().map(result).collect();
    json!({ "tool": { "driver": driver }, "results": results })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let text = match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level,
        "message": { "text": text },
    });
    if let Some(place) = &finding.place {
        result["locations"] = json!([location(place)]);
    }
    if !finding.related.is_empty() {
        let related: Vec<Value> = finding.related.iter().map(location).collect();
        result["relatedLocations"] = json!(related);
    }
    if !finding.fixes.is_empty() {
        let fixes = finding.fixes.iter().map(|fix| {
            json!({ "artifactChanges": [{
                "artifactLocation": { "uri": uri(&fix.place.path) },
                "replacements": [{
                    "deletedRegion": region(&fix.place),
                    "insertedContent": { "text": fix.text },
                }],
            }] })
        });
        result["fixes"] = json!(fixes.collect::<Vec<_>>());
    }
    if !finding.properties.is_empty() {
        result["properties"] = json!(finding.properties);
    }
    result
}

fn location(place: &Location) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.path) } });
    if place.line.is_some() {
        physical["region"] = region(place);
    }
    json!({ "physicalLocation": physical })
}

/// A region. SARIF's last column is behind the place, the contract's within it.
fn region(place: &Location) -> Value {
    let numbers = [
        ("startLine", Some(place.line.unwrap_or(1))),
        ("startColumn", place.column),
        ("endLine", place.end_line),
        ("endColumn", place.end_column.map(|column| column + 1)),
    ];
    let numbers = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name.to_owned(), json!(number?))));
    Value::Object(numbers.collect::<Map<String, Value>>())
}

/// A path as a relative URI.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_place_rule_and_fix() {
        let place = Location {
            path: "src/a b.rs".to_owned(),
            line: Some(3),
            column: Some(5),
            end_line: None,
            end_column: Some(7),
        };
        let finding = Finding {
            place: Some(place.clone()),
            hint: Some("remove it".to_owned()),
            fixes: vec![plugins::check::Fix {
                place,
                text: "x".to_owned(),
            }],
            link: Some("https://example.org/todo".to_owned()),
            ..Finding::new(
                "todo".to_owned(),
                Severity::Warning,
                "left behind".to_owned(),
            )
        };
        let found = Found {
            check: "no todo".to_owned(),
            plugin: None,
            findings: vec![finding],
        };
        let log = log(&[found]);
        let place = json!({ "startLine": 3, "startColumn": 5, "endColumn": 8 });
        let result = &log["runs"][0]["results"][0];
        for (at, expected) in [
            ("/ruleId", json!("todo")),
            ("/level", json!("warning")),
            ("/message/text", json!("left behind (remove it)")),
            (
                "/locations/0/physicalLocation/artifactLocation/uri",
                json!("src/a%20b.rs"),
            ),
            ("/locations/0/physicalLocation/region", place.clone()),
            (
                "/fixes/0/artifactChanges/0/replacements/0",
                json!({ "deletedRegion": place, "insertedContent": { "text": "x" } }),
            ),
        ] {
            assert_eq!(result.pointer(at), Some(&expected), "{at}");
        }
        let rule = &log["runs"][0]["tool"]["driver"]["rules"][0];
        assert_eq!(rule["helpUri"], "https://example.org/todo");
    }
}
