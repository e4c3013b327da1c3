//! Every limit in a pair: what obeys it goes through, what violates it ends in a sentence that names plugin, function and
//! remedy, and nothing else suffers.

use std::path::Path;
use std::sync::Arc;

use gateway::wire::Sse;
use plugins::check::Report;
use plugins::summarizer::{Content, Request};
use plugins::{PluginError, PluginSet, PluginSettings, Stage};
use redact::{ScannerSource, Window};
use serde_json::json;

use super::guests::{engine, guest, set_with, sha256};
use super::job::Job;

fn hostile(limits: &str, act: &str, count: u64) -> Result<Report, PluginError> {
    let set = set_with("hostile", "hostile-check", limits);
    set.check("hostile")?
        .run(Arc::new(Job), &json!({"do": act, "count": count}))
}

/// The plugin as its errors name it: version and digest.
fn named() -> String {
    format!(
        "check hostile 0.1.0 ({}): ",
        &sha256(&guest("hostile-check"))[..12]
    )
}

fn refused(stage: Stage, limits: &str, act: &str, count: u64) -> String {
    let error = hostile(limits, act, count).unwrap_err();
    assert_eq!(error.stage, stage, "{act}: {error}");
    let text = error.to_string();
    assert!(text.starts_with(&named()), "{text}");
    text
}

const SHORT: &str = "limits = { deadline = \"100ms\" }";

#[test]
fn time_obeyed() {
    assert!(hostile(SHORT, "nothing", 0).unwrap().is_passed());
}

#[test]
fn time_violated_by_loops_host_calls_and_bulk_instructions() {
    for act in [
        "loop for ever",
        "ask the host for ever",
        "fill memory for ever",
    ] {
        let text = refused(Stage::Deadline, SHORT, act, 0);
        assert!(text.contains("took longer than 100 ms in run"), "{text}");
        assert!(
            text.contains("a higher deadline in [plugins.hostile.limits]"),
            "{text}"
        );
    }
}

#[test]
fn a_runaway_does_not_disturb_others() {
    let set = set_with("hostile", "hostile-check", "limits = { deadline = \"1s\" }");
    let check = set.check("hostile").unwrap();
    std::thread::scope(|scope| {
        let runaway = scope.spawn(|| check.run(Arc::new(Job), &json!({"do": "loop for ever"})));
        let mut calls = 0;
        while !runaway.is_finished() {
            assert!(check.run(Arc::new(Job), &json!({})).unwrap().is_passed());
            calls += 1;
        }
        assert!(calls > 10, "only {calls} calls beside the runaway");
        assert_eq!(runaway.join().unwrap().unwrap_err().stage, Stage::Deadline);
    });
}

#[test]
fn endless_recursion_is_named() {
    let text = refused(Stage::Trap, "", "call itself", 0);
    assert!(text.contains("calls itself without end"), "{text}");
}

#[test]
fn memory_obeyed() {
    assert!(
        hostile("limits = { memory = \"32MiB\" }", "take memory", 16)
            .unwrap()
            .is_passed()
    );
}

#[test]
fn memory_violated() {
    let text = refused(
        Stage::Memory,
        "limits = { memory = \"32MiB\" }",
        "take memory",
        64,
    );
    assert!(
        text.contains("needs more than 32 MiB of memory, in run"),
        "{text}"
    );
    assert!(text.contains("[plugins.hostile.limits]"), "{text}");
    refused(Stage::Memory, "", "take memory", 5000);
}

#[test]
fn output_obeyed() {
    assert_eq!(hostile("", "find much", 1000).unwrap().findings.len(), 1000);
    assert_eq!(
        hostile("", "say much", 1 << 20).unwrap().summary.len(),
        1 << 20
    );
}

#[test]
fn output_violated() {
    let much = hostile("", "find much", 2500).unwrap();
    assert_eq!((much.findings.len(), much.more), (1000, 1500));
    assert!(refused(Stage::Output, "", "say much", (1 << 20) + 1).contains("at most 1 MiB"));
    // 900 findings that share one text of 60 kB: refused before the host has made 54 MB of it.
    let much = refused(Stage::Output, "", "say the same often", 900);
    assert!(much.contains("a report of more than the 1 MiB"), "{much}");
    // Handles that are never given back: as many as there are findings, and so many more.
    assert_eq!(hostile("", "hoard", 3000).unwrap().more, 2000);
    refused(Stage::Trap, "", "hoard", 1 << 20);
}

#[test]
fn input_obeyed_and_violated() {
    assert!(hostile("", "read much", 16 << 20).unwrap().is_passed());
    let text = refused(Stage::Fault, "", "read much", (16 << 20) + 1);
    assert!(text.contains("at most 16777216 bytes"), "{text}");
}

#[test]
fn a_file_that_did_not_change_is_not_shown() {
    let text = refused(Stage::Fault, "", "read what did not change", 0);
    assert!(text.contains("is not there"), "{text}");
}

#[test]
fn a_flood_of_log_is_dropped_and_harms_nothing() {
    assert!(hostile("", "write log", 10_000).unwrap().is_passed());
    assert!(
        hostile("", "write a long line", 1 << 20)
            .unwrap()
            .is_passed()
    );
}

#[test]
fn a_panic_reaches_the_message() {
    let text = refused(Stage::Trap, "", "panic", 0);
    assert!(
        text.contains("broke down in run") && text.contains("the moon is full"),
        "{text}"
    );
    assert!(text.contains("plugin remove hostile"), "{text}");
}

#[test]
fn a_check_can_only_tighten() {
    assert!(!hostile("", "pass with an error", 0).unwrap().is_passed());
    let text = refused(Stage::Fault, "", "refuse", 0);
    assert_eq!(text, format!("{}not today", named()));
}

#[test]
fn a_plugin_that_breaks_down_again_and_again_is_put_aside() {
    let set = set_with("hostile", "hostile-check", "");
    let check = set.check("hostile").unwrap();
    for _ in 0..5 {
        assert!(
            check
                .run(Arc::new(Job), &json!({"do": "panic"}))
                .unwrap_err()
                .to_string()
                .contains("moon")
        );
    }
    let error = check.run(Arc::new(Job), &json!({})).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("broke down 5 times in the last ten minutes"),
        "{error}"
    );
}

/// A job is a process: what breaks down once in each of them is put aside, too, and another version of it is not.
#[test]
fn breakdowns_are_counted_over_processes() {
    let state = tempfile::tempdir().unwrap();
    let path = guest("hostile-check");
    let table = format!("[hostile]\npath = {path:?}\nsha256 = \"{}\"", sha256(&path));
    let process = || {
        let mut settings =
            PluginSettings::from_table(&table.parse().unwrap(), Path::new("/nowhere"));
        settings.troubles = Some(state.path().join("plugins"));
        PluginSet::load(&engine(), &settings)
    };
    for _ in 0..5 {
        let check = process().check("hostile").unwrap();
        check.run(Arc::new(Job), &json!({})).unwrap();
        let error = check.run(Arc::new(Job), &json!({"do": "panic"}));
        assert!(error.unwrap_err().to_string().contains("moon"));
    }
    let error = process().check("hostile").err().unwrap();
    assert_eq!(error.stage, Stage::Trap);
    assert!(
        error
            .to_string()
            .contains("broke down 5 times in the last ten minutes"),
        "{error}"
    );
    // Others are as they were.
    process().check("scope").unwrap();
}

#[test]
fn a_redactor_that_breaks_a_rule_is_not_believed() {
    let set = set_with("fish", "hostile-redactor", "kind = \"redactor\"");
    let redactor = set.redactor("fish").unwrap();
    let scan = |text: &str| {
        let mut scanner = redactor.start().unwrap();
        scanner.scan(Window {
            bytes: text.as_bytes(),
            decided: 0,
            last: true,
        })
    };
    assert_eq!(scan("a swordfish").unwrap().hits.len(), 1);
    for (text, says) in [
        ("hit outside", "gave a hit at 0..12 in a window of 11 bytes"),
        ("bad label", "label"),
        ("settle less", "settled 0 of 11 bytes"),
        ("settle more", "settled 12 of 11 bytes"),
        ("refuse", "not this text"),
        ("panic", "a rule broke"),
        ("loop", "in scan"),
    ] {
        let error = scan(text).unwrap_err();
        assert!(error.reason.contains(says), "{text}: {error}");
        assert!(!error.reason.contains("bytes: ["), "no text in the reason");
    }
    let set = set_with(
        "fish",
        "hostile-redactor",
        "kind = \"redactor\"\nconfig = { lookahead = 1000000 }",
    );
    let error = set.redactor("fish").unwrap().start().err().unwrap();
    assert!(error.reason.contains("lookahead of 1000000"), "{error}");
}

#[test]
fn a_redactor_that_is_missing_withholds_everything() {
    let set = super::guests::set(
        "redact = [\"corp\"]\n[corp]\nkind = \"redactor\"\npath = \"/nowhere/corp.wasm\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
    );
    let redactors = set.redactors();
    let corp = redactors
        .iter()
        .find(|redactor| redactor.name() == "corp")
        .expect("it stays in the list");
    assert!(
        corp.start()
            .err()
            .unwrap()
            .reason
            .contains("/nowhere/corp.wasm")
    );
    assert!(
        redactors
            .iter()
            .any(|redactor| redactor.name() == "secrets")
    );
}

#[test]
fn a_summary_that_is_too_long_or_kept_what_is_not_there_is_not_believed() {
    let set = set_with("sum", "hostile-summarizer", "");
    let summarize = |text: &str| {
        let request = Request {
            content: Content::Other,
            text,
            origin: None,
            exit_code: None,
            max_bytes: 20,
        };
        set.summarizer("sum").unwrap().summarize(&request)
    };
    assert_eq!(summarize("short").unwrap().text, "short");
    assert!(
        summarize("too-much")
            .unwrap_err()
            .to_string()
            .contains("gave 21 bytes; 20 were asked for")
    );
    assert!(
        summarize("panic")
            .unwrap_err()
            .to_string()
            .contains("no words")
    );
    let kept = summarize("wrong-spans in here").unwrap().kept;
    assert_eq!((kept.len(), kept.first()), (1, Some(&(0..4))));
}

#[test]
fn a_stream_that_breaks_down_ends_alone() {
    let set = set_with("odd", "hostile-dialect", "");
    let dialect = set.dialect("odd").unwrap();
    let event = |data: &str| {
        [Sse {
            event: None,
            data: data.to_owned(),
        }]
    };
    let mut stream = dialect.translation("m").unwrap();
    assert_eq!(stream.push(&event("a")).unwrap(), ["A"]);
    for (data, says) in [
        ("panic", "lost the thread"),
        ("loop", "took longer than 100 ms in push"),
        ("flood", "push"),
    ] {
        let mut broken = dialect.translation("m").unwrap();
        let error = broken.push(&event(data)).unwrap_err();
        assert!(error.to_string().contains(says), "{data}: {error}");
        assert!(
            broken
                .push(&event("a"))
                .unwrap_err()
                .to_string()
                .contains("not called again")
        );
    }
    assert_eq!(stream.push(&event("b")).unwrap(), ["B"]);
    assert_eq!(stream.finish(true).unwrap(), ["2 events, complete: true"]);
}
