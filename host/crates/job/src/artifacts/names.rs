//! The names of artifacts, and the file names that they become.

/// The whole diff against the base.
pub const DIFF: &str = "diff";
/// The agent's own last words, unverified.
pub const AGENT_REPORT: &str = "agent_report";
/// The agent's actions, line by line.
pub const TRANSCRIPT: &str = "transcript";
/// The plugins that had a part in the job, each with its version and digest.
pub const PLUGINS: &str = "plugins";
/// The input and the answers of the check components in the last pass, for `plugin case`.
pub const CASE: &str = "case";
/// The ignored files that the job touched, by name.
pub const IGNORED: &str = "ignored";
/// The signed statement of what the host proved; see [`crate::statement`].
pub const STATEMENT: &str = "statement";

/// The name under which what check components found in a pass is kept, as SARIF.
pub fn findings_name(pass: u32) -> String {
    match pass {
        1 => "findings.sarif".to_owned(),
        pass => format!("findings.pass-{pass}.sarif"),
    }
}

/// The name under which the output of a check is kept: readable, and safe wherever it is used.
pub fn check_name(check: &str, pass: u32) -> String {
    let mut slug = String::from("check-");
    for c in check.chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() >= 40 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if pass > 1 {
        format!("{slug}.pass-{pass}")
    } else {
        slug.to_owned()
    }
}

/// Every name becomes one plain file name: what is not a letter, digit, `-`, `_` or `.` is written `%XX`, and so is a
/// leading dot.
pub(super) fn file_name(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().take(80).enumerate() {
        match byte {
            b'.' if at == 0 => out.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                out.push(char::from(byte))
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

pub(super) fn artifact_name(file: &str) -> Option<String> {
    if file.starts_with('.') {
        return None;
    }
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
