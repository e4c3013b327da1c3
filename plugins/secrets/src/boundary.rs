//! Places where a word may begin.

use crate::class::{alnum, hex};
use crate::shape::wordy;
use crate::text::Text;

/// Returns true if a word can begin at `at`: nothing word-like is before it, or the end of an
/// escape sequence.
pub(crate) fn starts_here(text: &Text<'_>, at: usize) -> bool {
    let b = text.before(at);
    if !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b'+' | b'.')) {
        return true;
    }
    // `${NAME:-value}`
    if b == b'-' && at >= 2 && text.at(at - 2) == b':' {
        return true;
    }
    if b == b'/' {
        return in_path(text, at);
    }
    if matches!(b, b'-' | b'+' | b'.') {
        return false;
    }
    // `\n`, `\t`, `\r` written out; `%3D` and the like.
    if at >= 2 && matches!(b, b'n' | b't' | b'r') && text.at(at - 2) == b'\\' {
        return true;
    }
    at >= 3 && text.at(at - 3) == b'%' && hex(text.at(at - 2)) && hex(b)
}

/// Returns true if `at` begins a segment of a URL's path; base64 with its slashes is none.
fn in_path(text: &Text<'_>, at: usize) -> bool {
    let start = text.run_back(at, 240, |b| {
        alnum(b) || matches!(b, b'/' | b'-' | b'_' | b'.' | b':' | b'~' | b'@' | b'%')
    });
    let before = text.slice(start, at);
    if let Some(scheme) = before.windows(3).position(|three| three == b"://") {
        return scheme > 0;
    }
    before[0] == b'/'
        && before.len() > 1
        && before
            .split(|&b| b == b'/')
            .all(|part| part.len() < 24 && (part.is_empty() || wordy(part)))
}
