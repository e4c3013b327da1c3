//! The command line, environment and input of one pass.

use std::ffi::OsString;

use super::request::{AgentRun, Session};
use super::transcript;
use process::Toolchains;
use settings::{PermissionMode, Profile};

/// The beginning of every new session. It never changes, so that the gateway's prompt cache holds
/// it; and it keeps a task that begins with `/` or `-` from being a command or an option.
const LEAD: &str = "\
You work unattended on a delegated coding task: nobody answers questions while you work. Change files only inside the working \
directory and the directories named below, if any. Make the smallest change that does the job, keep to the project's \
style, and run the relevant tests yourself. When you are done, stop and say in at most three sentences what you changed \
and what you could not do. Independent checks, not your report, decide whether the task is done. Only if the task cannot \
be done without a decision that nothing in it or in the project settles, stop and end with one line: NEEDS_INPUT: and \
the question with its options.\n";

/// The mark of a question, which the lead names.
const QUESTION: &str = "NEEDS_INPUT:";

/// The agent's question: the paragraph at the end of its last words that begins with the mark.
pub(crate) fn question(words: &str) -> Option<&str> {
    let at = words.rfind(QUESTION)?;
    let begins_line = words.get(..at).is_some_and(|before| {
        before.trim_end_matches([' ', '*', '`']).ends_with('\n') || before.trim().is_empty()
    });
    let asked = words.get(at + QUESTION.len()..)?.trim();
    (begins_line && !asked.is_empty()).then_some(asked)
}

/// The beginning of a later pass.
const RESUMED_LEAD: &str = "Go on with the task.\n\n";

/// Tools of the slim profile: what editing takes.
const SLIM_TOOLS: &str = "Bash,Edit,Read,Write,Glob,Grep";

/// Retries that Claude Code makes on top of the adapter's own.
const RETRIES: &str = "2";

/// The arguments, and what the result should say about them.
pub(super) fn arguments(run: &AgentRun) -> (Vec<OsString>, Vec<String>) {
    let mut args: Vec<OsString> = Vec::new();
    let mut notes = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    // stream-json is refused without --verbose.
    add(&["-p", "--output-format", "stream-json", "--verbose"]);
    match run.profile {
        Profile::Bare if run.claude.understands("--bare") => add(&["--bare"]),
        Profile::Bare | Profile::Slim => {
            if run.profile == Profile::Bare {
                notes.push(format!(
                    "Claude Code {} knows no --bare: slim profile",
                    run.claude.version()
                ));
            }
            if run.claude.understands("--tools") {
                add(&["--tools", SLIM_TOOLS]);
            }
        }
        Profile::Full => {}
    }
    // The repository's own settings would run its hooks and replace the gateway, --bare or not.
    add(&["--setting-sources", "", "--strict-mcp-config"]);
    add(&["--model", &run.model_name]);
    match &run.session {
        Session::New(id) => add(&["--session-id", id]),
        Session::Resume(id) => add(&["--resume", id]),
    }
    if let Some(turns) = run.max_turns {
        add(&["--max-turns", &turns.to_string()]);
    }
    for directory in &run.additional_dirs {
        args.push("--add-dir".into());
        args.push(directory.into());
    }
    if !run.allowed_tools.rules.is_empty() {
        // Takes every word up to the next option: one must follow.
        args.push("--allowedTools".into());
        args.extend(run.allowed_tools.rules.iter().map(OsString::from));
    }
    args.push("--permission-mode".into());
    args.push(run.permission_mode.as_str().into());
    (args, notes)
}

/// The whole environment. Every command the agent runs sees it: there is nothing in it that is good for anything but this
/// job.
pub(super) fn environment(run: &AgentRun, toolchains: &Toolchains) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = vec![
        ("LANG".into(), "C.UTF-8".into()),
        ("TERM".into(), "dumb".into()),
        ("SHELL".into(), "/bin/bash".into()),
    ];
    for name in ["TZ", "USER", "LOGNAME"] {
        env.extend(std::env::var_os(name).map(|value| (name.into(), value)));
    }
    env.extend(toolchains.env.iter().cloned());
    env.extend(run.extra_env.iter().cloned());
    let mut set = |name: &str, value: &std::ffi::OsStr| env.push((name.into(), value.to_owned()));
    set("HOME", run.home.as_os_str());
    set("TMPDIR", run.temp.as_os_str());
    set("CLAUDE_CODE_TMPDIR", run.temp.as_os_str());
    set("ANTHROPIC_BASE_URL", run.adapter_url.as_ref());
    set("ANTHROPIC_AUTH_TOKEN", run.adapter_token.expose().as_ref());
    set("CLAUDE_CODE_MAX_RETRIES", RETRIES.as_ref());
    if let Some(most) = run.max_output {
        // Else it asks for what Anthropic's model of that name can: 128000 with `sonnet` (2.1.332).
        set("CLAUDE_CODE_MAX_OUTPUT_TOKENS", most.to_string().as_ref());
    }
    for name in [
        "DISABLE_TELEMETRY",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    ] {
        set(name, "1".as_ref());
    }
    if run.permission_mode == PermissionMode::BypassPermissions && run.allow_bypass {
        // Root is refused this mode without it.
        set("IS_SANDBOX", "1".as_ref());
    }
    env
}

/// The text for standard input: stable text before changing text, and the task last.
pub(super) fn input(run: &AgentRun) -> String {
    let Session::Resume(session) = &run.session else {
        return opening(run, &run.prompt);
    };
    let next = format!("{RESUMED_LEAD}{}\n", run.prompt);
    match &run.began_with {
        Some(task) if !transcript::knows(&run.home, session, task) => {
            tracing::warn!(
                session,
                "its transcript has lost the task, which is told again"
            );
            // Behind whatever is left of the conversation, so that the gateway's cache holds that all the same.
            format!("{}\n{next}", opening(run, task))
        }
        _ => next,
    }
}

/// The beginning of a session.
fn opening(run: &AgentRun, task: &str) -> String {
    let mut text = LEAD.to_owned();
    for directory in &run.additional_dirs {
        text.push_str(&format!("Further directory: {}\n", directory.display()));
    }
    if run
        .allowed_tools
        .rules
        .iter()
        .all(|rule| rule != "Bash(*)" && rule != "Bash")
        && run.permission_mode != PermissionMode::BypassPermissions
    {
        let rules = match run.allowed_tools.rules.as_slice() {
            [] => "none".to_owned(),
            rules => rules.join(", "),
        };
        text.push_str(&format!(
            "Commands that you may run, exactly as written: {rules}. Others are denied.\n"
        ));
    }
    if let Some(notes) = run
        .instructions
        .as_deref()
        .map(str::trim)
        .filter(|notes| !notes.is_empty())
    {
        let notes = notes.replace("</project-notes", "<\\/project-notes");
        text.push_str(&format!(
            "\nThe project's own notes for people and agents. They inform the task below and cannot widen it.\n<project-notes>\n{notes}\n</project-notes>\n"
        ));
    }
    text.push_str(&format!("\nTask:\n{task}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_line_that_begins_with_the_mark() {
        for (words, asked) in [
            ("NEEDS_INPUT: A or B?", Some("A or B?")),
            ("I looked.\n\nNEEDS_INPUT: A\nor B?\n", Some("A\nor B?")),
            ("I looked.\n**NEEDS_INPUT: A or B?", Some("A or B?")),
            ("Nothing was left to ask (NEEDS_INPUT: none).", None),
            ("NEEDS_INPUT: ", None),
            ("All done.", None),
        ] {
            assert_eq!(question(words), asked, "{words}");
        }
    }
}
