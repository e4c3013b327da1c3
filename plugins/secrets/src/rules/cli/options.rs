//! Options of well-known commands.

use std::mem;

use super::commands::{COMMANDS, Form};
use super::input::{here, imap, piped, typed};
use super::line::{Line, Word};
use super::secret::secret;
use crate::class::alnum;
use crate::names::classify;
use crate::quoting::{quote_at, quoted_end};
use crate::rule::{Family, NEAR, Out, families};
use crate::text::Text;

/// The table of commands, a family a row.
pub(crate) const RULES: &[Family] = families!(COMMANDS, |row| COMMANDS[row].names, rule, NEAR);

/// A command of the row `index` of [`COMMANDS`], whose name of `len` bytes is at `at`.
pub(super) fn rule(text: &Text<'_>, at: usize, len: usize, index: usize, out: &mut Out) {
    let before = text.before(at);
    let first = text.at(at);
    if first != b' '
        && first != b'<'
        && (alnum(before) || matches!(before, b'_' | b'.') && first != b'-')
        && !(matches!(before, b'n' | b't') && text.at(at.wrapping_sub(2)) == b'\\')
    {
        return;
    }
    let end = at + len;
    // `ab -A`: the name took the dash along.
    let dash = text.slice(at, end).ends_with(b" -");
    let mut line = Line::new(text, end - usize::from(dash));
    for &(option, form) in COMMANDS[index].rows {
        match form {
            Form::Piped | Form::PipedPair => piped(text, at, end, form, out),
            Form::Here => here(text, at, out),
            Form::Typed => typed(text, end, out),
            Form::Imap => imap(text, at, len, out),
            Form::Share => share(text, end, out),
            _ => words(text, &mut line, option, form, out),
        }
    }
}

/// Goes through the words of a command for one of its options.
fn words(text: &Text<'_>, line: &mut Line<'_>, option: &str, form: Form, out: &mut Out) {
    let option = option.as_bytes();
    let mut plain = 0;
    let mut seen_option = option.is_empty();
    // The word before is an option, which may take this one as its value.
    let mut valued = false;
    // The number of words before the value that an option announced.
    let mut awaited: Option<usize> = None;
    for index in 0..Line::MOST {
        let Some(word) = line.word(index) else { return };
        let bytes = text.slice(word.start, word.end);
        match awaited {
            Some(0) => {
                awaited = None;
                secret(text, word, form, out);
                continue;
            }
            Some(more) => {
                awaited = Some(more - 1);
                continue;
            }
            None => {}
        }
        let begins = bytes.len() > option.len() && bytes.starts_with(option);
        match form {
            Form::Next | Form::Pair(_) | Form::Cookie | Form::Login | Form::Printed
                if !option.is_empty() && bytes == option =>
            {
                awaited = Some(0)
            }
            Form::Next | Form::Pair(_) | Form::Cookie | Form::Printed
                if begins && bytes[option.len()] == b'=' =>
            {
                let start = word.start + option.len() + 1;
                let quote = quote_at(text, start).map_or(0, |quote| quote.length);
                let start = (start + quote).min(word.end);
                secret(text, Word { start, ..word }, form, out);
            }
            // `-uname:password`
            Form::Pair(_) if begins && option.len() == 2 => {
                let start = word.start + option.len();
                secret(text, Word { start, ..word }, form, out);
            }
            Form::After if bytes.to_ascii_lowercase().starts_with(option) => awaited = Some(0),
            Form::Second if begins => awaited = Some(1),
            Form::Login if option.is_empty() && !bytes.starts_with(b"-") => {
                secret(text, word, form, out);
            }
            Form::Named => {
                if !seen_option && bytes == option {
                    seen_option = true;
                } else if seen_option && !bytes.starts_with(b"-") {
                    let last = bytes
                        .rsplit(|b| matches!(b, b'/' | b':'))
                        .next()
                        .unwrap_or(bytes);
                    if classify(last).is_some() {
                        awaited = Some(0);
                    }
                }
            }
            Form::Slash | Form::SlashAt => {
                let slash = bytes.iter().position(|&b| b == b'/');
                let mark = bytes.iter().position(|&b| b == b'@');
                let strict = form == Form::SlashAt;
                let found = slash.filter(|&slash| {
                    slash > 0 && mark.is_none_or(|mark| slash < mark) && !bytes.starts_with(b"-")
                });
                let equals = bytes.iter().position(|&b| b == b'=');
                if let Some(slash) = found
                    .filter(|_| !strict || mark.is_some())
                    .filter(|&slash| {
                        equals.is_none_or(|equals| equals > slash || bytes.starts_with(b"userid="))
                    })
                {
                    let start = word.start + slash + 1;
                    let end = word.start + mark.unwrap_or(bytes.len());
                    secret(text, Word { start, end, ..word }, form, out);
                    return;
                }
                if strict {
                    return;
                }
            }
            Form::Attached if begins && !(option == b"-p" && long_option(bytes)) => {
                let mut start = word.start + option.len();
                let mut end = word.end;
                if let Some(quote) = quote_at(text, start) {
                    start += quote.length;
                    end = quoted_end(text, start, quote);
                }
                secret(text, Word { start, end, ..word }, form, out);
            }
            Form::Operand => {
                if !seen_option {
                    seen_option = bytes == option;
                } else if bytes.starts_with(b"-") {
                    valued = !bytes.contains(&b'=');
                } else if !mem::take(&mut valued) {
                    secret(text, word, form, out);
                    return;
                }
            }
            Form::Word(index) => {
                if !seen_option && bytes == option {
                    seen_option = true;
                } else if seen_option && !bytes.starts_with(b"-") {
                    if plain == index {
                        secret(text, word, form, out);
                        return;
                    }
                    plain += 1;
                }
            }
            _ => {}
        }
    }
}

/// `-port`, `-print`: options that only begin like `-p`.
fn long_option(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-port")
        || bytes.starts_with(b"-prof")
        || bytes.starts_with(b"-print")
        || bytes.starts_with(b"-p=")
}

/// `net use Z: \\\\server\\share PASSWORD /user:joe`: the word that is no option, drive or share.
fn share(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    for _ in 0..16 {
        i = text.blanks(i);
        let (start, end, after) = match quote_at(text, i).filter(|quote| quote.mark == b'"') {
            Some(quote) => {
                let start = i + quote.length;
                let end = quoted_end(text, start, quote);
                (start, end, end + quote.length)
            }
            None => {
                let shared = text.at(i) == b'\\' && text.at(i + 1) == b'\\';
                let end = text.run(i, |b| {
                    !matches!(b, 0..=b' ' | b'"') && (shared || b != b'\\')
                });
                (i, end, end)
            }
        };
        let bytes = text.slice(start, end);
        if end == start {
            return;
        }
        let drive = bytes.len() == 2 && bytes[1] == b':';
        if !drive && !matches!(bytes[0], b'/' | b'\\' | b'*' | b'-') {
            let word = Word { start, end, after };
            secret(text, word, Form::Next, out);
        }
        i = after;
    }
}
