//! Every bundled plugin, loaded and called once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::reason::{Reason, fail};
use ::plugins::{Kind, PluginSet};
use check_input::{Entry, JobView};
use plugins::summarizer::{Content, Request};
use redact::{KnownValues, Redactor};

/// Tries all plugins of one kind; answers their names, or those that failed and why.
type TryKind = fn(&PluginSet) -> Result<String, Reason>;

/// The attempts, in their order.
pub(super) const KINDS: &[(&str, TryKind)] = &[
    ("checks", |set| each(set, Kind::Check, check)),
    ("summarizers", |set| each(set, Kind::Summarizer, summarizer)),
    ("redactors", |set| each(set, Kind::Redactor, redactor)),
    ("dialects", dialects),
];

fn each(
    set: &PluginSet,
    kind: Kind,
    call: fn(&PluginSet, &str) -> Result<(), Reason>,
) -> Result<String, Reason> {
    let names = set.names(kind);
    all(set, &names, call)?;
    Ok(format!("{} called: {}", names.len(), names.join(", ")))
}

/// Calls each; the error names those that failed and why.
fn all(
    set: &PluginSet,
    names: &[String],
    call: fn(&PluginSet, &str) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let wrong: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name}: {}", call(set, name).err()?.0)))
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Reason(wrong.join("; "))),
    }
}

/// Every dialect plugin, and `declared` with each of its presets.
fn dialects(set: &PluginSet) -> Result<String, Reason> {
    let names = set.dialect_names();
    all(set, &names, dialect)?;
    let plugins = set.names(Kind::Dialect);
    Ok(format!(
        "{} called: {}, with {} presets",
        plugins.len(),
        plugins.join(", "),
        names.len() - plugins.len()
    ))
}

fn check(set: &PluginSet, name: &str) -> Result<(), Reason> {
    let plugin = set.check(name)?;
    // The only one that means nothing without settings.
    let settings = match name {
        "scope" => json!({"paths": ["src"]}),
        _ => Value::Null,
    };
    let report = plugin.run(Arc::new(small_change()?), &settings)?;
    if !report.is_passed() {
        fail!("fails a harmless change: {}", report.summary);
    }
    Ok(())
}

fn summarizer(set: &PluginSet, name: &str) -> Result<(), Reason> {
    const MOST: usize = 1_000;
    let passed = (1..=200).fold(String::new(), |mut text, number| {
        text.push_str(&format!("test number_{number} ... ok\n"));
        text
    });
    let text = format!(
        "running 201 tests\n{passed}test the_last ... FAILED\n\nfailures:\n\n---- the_last stdout ----\n\
         thread 'the_last' panicked at src/lib.rs:7:5:\nassertion failed: greeted\n\n\nfailures:\n    the_last\n\n\
         test result: FAILED. 200 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
    );
    let plugin = set.summarizer(name)?;
    let summary = plugin.summarize(&Request {
        content: Content::TestOutput,
        text: &text,
        origin: Some("cargo test"),
        exit_code: Some(101),
        max_bytes: MOST,
    })?;
    if !summary.text.contains("the_last") || summary.text.len() > MOST {
        fail!("does not say which test failed: {:?}", summary.text);
    }
    Ok(())
}

fn redactor(set: &PluginSet, name: &str) -> Result<(), Reason> {
    // Put together here, so that no scanner of this repository takes it for a real one.
    let key = format!("{}_{}", "ghp", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
    let plugin = set.redactor(name)?;
    let redactor = Redactor::new(KnownValues::new(), vec![plugin]);
    let clean = redactor
        .text(&format!(
            "the words before\nGITHUB_TOKEN={key}\nthe words after\n"
        ))
        .to_string();
    if clean.contains(&key) {
        fail!("lets a token through");
    }
    // What a broken redactor does: nothing passes.
    if !clean.contains("the words before") || !clean.contains("the words after") {
        fail!("withholds harmless text: {clean:?}");
    }
    Ok(())
}

fn dialect(set: &PluginSet, name: &str) -> Result<(), Reason> {
    const MODEL: &str = "some-model";
    let plugin = set.dialect(name)?;
    let facts = plugin.facts(MODEL)?;
    if !facts.canonical_request {
        let request = json!({
            "model": MODEL, "stream": true,
            "messages": [{"role": "user", "content": "Hello"}],
        });
        plugin.request(request.to_string().as_bytes(), MODEL)?;
    }
    if !facts.canonical_stream {
        plugin.translation(MODEL)?;
    }
    Ok(())
}

/// One changed file that no check should mind.
fn small_change() -> Result<JobView, Reason> {
    let file = |text: &str| Entry::File {
        bytes: text.into(),
        executable: false,
    };
    let at = |text: &str| BTreeMap::from([("src/greeting.txt".into(), file(text))]);
    let job = JobView::made_up(&BTreeMap::new(), &at("Hello\n"), &at("Hello, world\n"));
    Ok(job?.of("Change the greeting.", ""))
}
