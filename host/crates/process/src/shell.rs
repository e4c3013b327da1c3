//! Text for a shell's command line.

use std::borrow::Cow;

/// The text as one word of a shell's command line, quoted only where the shell would read something else. On Windows clients
/// give a command to `cmd`, which knows no single quotes.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    // No `=`: at the start of a line a shell takes `a=b` for an assignment.
    let plain = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(character, '/' | '.' | '_' | '-' | ':' | '@' | '+')
    };
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    if cfg!(windows) {
        format!("\"{text}\"").into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''")).into()
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_shell_reads_a_word_as_the_text_that_it_was() {
        for (text, word) in [
            ("/opt/bin/mcp-codex-worker", "/opt/bin/mcp-codex-worker"),
            ("--config=/a", "'--config=/a'"),
            ("/home/an na/worker", "'/home/an na/worker'"),
            ("it's", r"'it'\''s'"),
            ("$HOME `x` \\ \"\n*", "'$HOME `x` \\ \"\n*'"),
            ("~", "'~'"),
            ("é", "'é'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
            let read = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {word}")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(read.stdout).unwrap(), text);
        }
    }
}
