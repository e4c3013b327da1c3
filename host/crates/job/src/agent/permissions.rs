//! The commands that the agent may run without asking, in `acceptEdits` and `dontAsk`.

use crate::checks::{CheckSpec, CommandLine};

/// Permission rules for `claude --allowedTools`, and what the result says about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedTools {
    /// Rules in Claude Code's own form, `Bash(npm test)` for example.
    pub rules: Vec<String>,
    /// Set when the agent may run less than usual.
    pub note: Option<String>,
}

/// The rules of a job: what the operator set; else any command where file access is confined by the kernel; else exactly
/// the commands of the job's own checks, since a command is arbitrary code and nothing else would hold it.
pub fn allowed_tools(
    setting: Option<&[String]>,
    files_confined: bool,
    checks: &[CheckSpec],
) -> AllowedTools {
    if let Some(rules) = setting {
        // An option cannot be smuggled in as a rule.
        let rules = rules
            .iter()
            .map(|rule| rule.trim())
            .filter(|rule| !rule.is_empty() && !rule.starts_with('-'));
        return AllowedTools {
            rules: rules.map(str::to_owned).collect(),
            note: None,
        };
    }
    if files_confined {
        return AllowedTools {
            rules: vec!["Bash(*)".into()],
            note: None,
        };
    }
    let mut rules = Vec::new();
    for check in checks {
        let CheckSpec::Command(check) = check else {
            continue;
        };
        for command in commands(&check.command) {
            let rule = format!("Bash({command})");
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    AllowedTools {
        rules,
        note: Some("unconfined: the agent could run only the checks' own commands".into()),
    }
}

/// A check's command as Claude Code would have to write it, and, since it judges compound commands part by part, its parts.
fn commands(command: &CommandLine) -> Vec<String> {
    let text = match command {
        CommandLine::Shell(text) => text.trim().to_owned(),
        CommandLine::Argv(words) if words.iter().all(|word| is_plain(word)) => words.join(" "),
        CommandLine::Argv(_) => return Vec::new(),
    };
    // `*` and a final `:` are wildcards in a rule; a rule is one line.
    if text.is_empty() || text.contains(['*', '\n', '\r']) || text.ends_with(':') {
        return Vec::new();
    }
    if text.contains(['\'', '"', '\\', '`', '$', '(', ')']) {
        return vec![text];
    }
    let parts = text.replace("&&", ";").replace("||", ";").replace('|', ";");
    let parts: Vec<String> = parts
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if parts.len() > 1 { parts } else { vec![text] }
}

fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./=,:@+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CommandCheck;

    fn check(command: CommandLine) -> CheckSpec {
        CheckSpec::Command(CommandCheck::new("check", command, 1))
    }

    #[test]
    fn the_operators_list_comes_first_then_confinement_then_the_checks() {
        let shell = |text: &str| check(CommandLine::Shell(text.into()));
        let checks = [shell("npm test")];
        let own = [
            "Bash(make *)".to_owned(),
            "--dangerously-skip-permissions".into(),
            " ".into(),
        ];
        assert_eq!(
            allowed_tools(Some(&own), true, &checks).rules,
            ["Bash(make *)"]
        );
        assert_eq!(allowed_tools(Some(&[]), true, &checks).rules, [""; 0]);
        assert_eq!(allowed_tools(None, true, &checks).rules, ["Bash(*)"]);
        assert_eq!(allowed_tools(None, true, &checks).note, None);
        let unconfined = allowed_tools(None, false, &checks);
        assert_eq!(unconfined.rules, ["Bash(npm test)"]);
        assert!(unconfined.note.is_some());
    }

    #[test]
    fn a_checks_command_never_becomes_a_wider_rule() {
        let rules = |command| allowed_tools(None, false, &[check(command)]).rules;
        let shell = |text: &str| rules(CommandLine::Shell(text.into()));
        assert_eq!(
            shell("cd web && npm ci; npm test | cat"),
            [
                "Bash(cd web)",
                "Bash(npm ci)",
                "Bash(npm test)",
                "Bash(cat)"
            ]
        );
        assert_eq!(shell("pytest -k 'a;b'"), ["Bash(pytest -k 'a;b')"]);
        assert_eq!(shell("ls *.rs"), [""; 0]);
        assert_eq!(shell("make\nrm -rf /"), [""; 0]);
        assert_eq!(shell("  "), [""; 0]);
        let argv = |words: &[&str]| {
            rules(CommandLine::Argv(
                words.iter().map(|word| (*word).to_owned()).collect(),
            ))
        };
        assert_eq!(
            argv(&["cargo", "test", "--lib"]),
            ["Bash(cargo test --lib)"]
        );
        assert_eq!(argv(&["sh", "-c", "a b"]), [""; 0]);
    }
}
