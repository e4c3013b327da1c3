//! Secrets that a command is given on its standard input.

use super::commands::Form;
use super::line::{Word, word};
use super::secret::secret;
use crate::class::alnum;
use crate::rule::Out;
use crate::shape::wordy;
use crate::text::Text;

/// Words on a line that say that what it hands over is a secret.
const ASKS: &[&[u8]] = &[
    b"passw",
    b"passphrase",
    b"passwd",
    b"secret",
    b"token",
    b"login",
    b"auth",
    b"vault",
    b"kinit",
    b"crypt",
    b"unseal",
    b"credential",
    b"context create",
    b"lpass",
    b"pass insert",
    b"api-key",
    b"apikey",
    b"env add",
    b"openconnect",
    b"keystore",
    b"gpg",
];

/// `command <<< SECRET`, and `command <<EOF` with the secret on a line of its own, where the line
/// says that it asks for one.
pub(super) fn here(text: &Text<'_>, at: usize, out: &mut Out) {
    let marks = text.run(at, |b| b == b'<') - at;
    if text.before(at) == b'<' || text.at(at + 2) == b'<' && marks != 3 {
        return;
    }
    // Most of what begins like a here-document is none, which is cheaper to see than its line.
    let body = if marks == 3 {
        None
    } else {
        match document(text, at + marks) {
            Some(body) => Some(body),
            None => return,
        }
    };
    let line = text.line_start(at).max(at.saturating_sub(240));
    let before = text.slice(line, at).to_ascii_lowercase();
    let says = |needle: &[u8]| before.windows(needle.len()).any(|part| part == needle);
    let pairs = says(b"chpasswd");
    let form = if pairs { Form::Pair(b':') } else { Form::Next };
    if marks == 3 {
        if ASKS.iter().any(|word| says(word))
            && let Some(word) = word(text, at + 3)
        {
            secret(text, word, form, out);
        }
        return;
    }
    let ftp = says(b"ftp");
    if !ftp && (says(b">") || says(b"tee ") || !ASKS.iter().any(|word| says(word))) {
        return;
    }
    let Some((mark, mut i)) = body else { return };
    let mut alone = None;
    for count in 0..24 {
        let Some(word) = word(text, i) else { return };
        let bytes = text.slice(word.start, word.end);
        if bytes == mark {
            break;
        }
        let next = super::line::word(text, word.after);
        if ftp && bytes.eq_ignore_ascii_case(b"user") {
            if let Some(user) = next
                && let Some(password) = super::line::word(text, user.after)
            {
                secret(text, password, Form::Next, out);
            }
        } else if pairs {
            secret(text, word, form, out);
        }
        let single =
            count == 0 && next.is_none() && !bytes.iter().any(|b| matches!(b, b'=' | b':'));
        alone = single.then_some(word);
        let line_end = text.run_most(word.after, 400, |b| !matches!(b, 0 | b'\n' | b'\r'));
        let Some(next) = text.line_break(line_end) else {
            return;
        };
        i = next;
    }
    if let Some(word) = alone.filter(|_| !ftp && !pairs)
        && !wordy(text.slice(word.start, word.end))
    {
        secret(text, word, Form::Next, out);
    }
}

/// The mark that ends a here-document, and where its first line begins.
fn document<'a>(text: &Text<'a>, from: usize) -> Option<(&'a [u8], usize)> {
    let mark = text.run(from, |b| matches!(b, b'-' | b'~' | b' ' | b'\'' | b'"'));
    let end = text.run(mark, |b| alnum(b) || b == b'_');
    let rest = text.run_most(end, 80, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    let first = text.line_break(rest).filter(|_| end > mark)?;
    Some((text.slice(mark, end), first))
}

/// `send "PASSWORD\\r"` of expect.
pub(super) fn typed(text: &Text<'_>, from: usize, out: &mut Out) {
    let end = text.run_most(from, 80, |b| !matches!(b, 0..=b' ' | b'"' | b'\\'));
    let bytes = text.slice(from, end);
    if text.at(end) == b'\\'
        && matches!(text.at(end + 1), b'r' | b'n' | b'\\')
        && bytes.iter().any(u8::is_ascii_digit)
        && !wordy(bytes)
    {
        let word = Word {
            start: from,
            end,
            after: end,
        };
        secret(text, word, Form::Next, out);
    }
}

/// `tag LOGIN user password` of IMAP.
pub(super) fn imap(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if text.slice(at, at + len) != b" LOGIN " {
        return;
    }
    if let Some(user) = word(text, at + len)
        && let Some(password) = word(text, user.after)
        && word(text, password.after).is_none()
    {
        secret(text, password, Form::Next, out);
    }
}

/// `echo SECRET | command`, `command <<< SECRET`.
pub(super) fn piped(text: &Text<'_>, at: usize, end: usize, form: Form, out: &mut Out) {
    let line = text.line_start(at);
    let before = text.slice(line, at);
    let here = text.blanks(end);
    if text.starts(here, b"<<<") {
        if let Some(word) = word(text, here + 3) {
            secret(text, word, Form::Next, out);
        }
        return;
    }
    let find = |needle: &[u8]| {
        before
            .windows(needle.len())
            .rposition(|part| part == needle)
            .map(|i| line + i + needle.len())
    };
    let Some(mut from) = find(b"echo ").or_else(|| find(b"printf ")) else {
        return;
    };
    while let Some(word) = word(text, from).filter(|word| word.start < at) {
        let bytes = text.slice(word.start, word.end);
        if !bytes.starts_with(b"-") && !matches!(bytes, b"%s" | b"%s\\n") {
            let form = match form {
                Form::PipedPair => Form::Pair(b':'),
                _ => Form::Next,
            };
            secret(text, word, form, out);
            return;
        }
        from = word.after;
    }
}
