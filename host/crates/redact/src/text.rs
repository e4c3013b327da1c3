//! Text that goes into a reply: made safe to print, cut at fair places, measured in tokens.

use std::borrow::Cow;

use crate::invisible::{breaks_a_line, is_invisible};

/// Tokens that a text costs a planner, estimated from its bytes. Code and logs lie between 3.2 and 4 bytes a token
/// (o200k); 3.5 errs to the careful side.
pub fn tokens(bytes: usize) -> usize {
    bytes.saturating_mul(2).div_ceil(7)
}

/// The most bytes that cost at most this many tokens.
pub const fn bytes_of(tokens: usize) -> usize {
    tokens * 7 / 2
}

/// Takes out what a terminal would obey and a reader would not see: ANSI and OSC sequences, control characters,
/// bidirectional overrides, characters without a shape. A carriage return that overwrites its line (progress bars) leaves what was written last.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_start = 0;
    let mut overwrite = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_csi(&mut rest),
            '\n' | '\u{2028}' | '\u{2029}' => {
                out.push('\n');
                line_start = out.len();
                overwrite = false;
            }
            '\r' => overwrite = true,
            '\t' => {
                restart_line(&mut out, line_start, &mut overwrite);
                out.push('\t');
            }
            '\u{8}' => {
                if out.len() > line_start {
                    out.pop();
                }
            }
            c if is_invisible(c) => {}
            c => {
                restart_line(&mut out, line_start, &mut overwrite);
                out.push(c);
            }
        }
    }
    out
}

fn restart_line(out: &mut String, line_start: usize, overwrite: &mut bool) {
    if std::mem::take(overwrite) {
        out.truncate(line_start);
    }
}

fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_csi(rest);
        }
        // OSC, DCS, APC, PM, SOS: up to BEL or ST; a line end closes an unfinished one, so that it cannot swallow a log.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            rest.next();
            while let Some(&c) = rest.peek() {
                if c == '\n' {
                    return;
                }
                rest.next();
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' {
                    if rest.peek() == Some(&'\\') {
                        rest.next();
                    }
                    return;
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            rest.next();
            if rest.peek().is_some_and(|c| *c != '\n') {
                rest.next();
            }
        }
        Some(c) if ('0'..='~').contains(c) => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_csi(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&c) = rest.peek() {
        if !(' '..='~').contains(&c) {
            return;
        }
        rest.next();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

/// The longest prefix of at most `max` bytes that ends between characters.
pub fn prefix(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The longest suffix of at most `max` bytes that begins between characters.
pub fn suffix(text: &str, max: usize) -> &str {
    let mut start = text.len() - max.min(text.len());
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// One line of at most `max` bytes: line breaks become spaces, a cut is shown by `...`.
pub fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > max {
            break;
        }
    }
    if line.len() > max {
        let keep = prefix(&line, max.saturating_sub(3)).trim_end().len();
        line.truncate(keep);
        if max >= 3 {
            line.push_str("...");
        }
    }
    line
}

/// The text as one line that reads as what it is: line breaks and characters that nobody sees are written as git writes
/// them in names (`\\n`, `\\033`). For lines that hold what came from a tree, a repository or a plugin.
pub fn escaped_line(text: &str) -> Cow<'_, str> {
    if !text.contains(breaks_a_line) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\r' => line.push_str("\\r"),
            c if breaks_a_line(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    line.push_str(&format!("\\{byte:03o}"));
                }
            }
            c => line.push(c),
        }
    }
    Cow::Owned(line)
}

/// A fence of backticks that the text cannot close.
pub fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// A third from the head, the rest from the tail, whole lines where they fit, what is missing said between them.
/// Never longer than `max` bytes, nor than the text.
pub fn head_tail(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    // The longest note: `[... 18446744073709551615 lines left out ...]` and its line ends.
    const NOTE: usize = 48;
    if max < NOTE * 3 {
        return suffix(text, max).to_owned();
    }
    let room = max - NOTE;
    let head = whole_lines_front(text, room / 3);
    let tail = whole_lines_back(
        text.get(head.len()..).unwrap_or_default(),
        room - head.len(),
    );
    let middle = text
        .get(head.len()..text.len() - tail.len())
        .unwrap_or_default();
    let mut out = String::with_capacity(max);
    out.push_str(head);
    if !head.is_empty() && !head.ends_with('\n') {
        out.push('\n');
    }
    let lines = middle.trim_matches('\n').lines().count();
    out.push_str(&format!(
        "[... {lines} line{} left out ...]\n",
        if lines == 1 { "" } else { "s" }
    ));
    out.push_str(tail);
    out
}

/// Whole lines from the front, or as much of the first one as fits.
fn whole_lines_front(text: &str, max: usize) -> &str {
    let cut = prefix(text, max);
    match cut.rfind('\n') {
        Some(end) => cut.get(..=end).unwrap_or_default(),
        None => cut,
    }
}

/// Whole lines from the back, or as much of the last one as fits.
fn whole_lines_back(text: &str, max: usize) -> &str {
    let cut = suffix(text, max);
    if cut.len() == text.len() {
        return cut;
    }
    let whole_from = text.len() - cut.len();
    if text
        .get(..whole_from)
        .is_some_and(|before| before.ends_with('\n'))
    {
        return cut;
    }
    // The last line's own end does not count: a single long last line is cut, not dropped.
    match cut.strip_suffix('\n').unwrap_or(cut).find('\n') {
        Some(end) => cut.get(end + 1..).unwrap_or_default(),
        None => cut,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_gone() {
        let rows = [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}1mbold", "bold"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            (
                "a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b",
                "alinkb",
            ),
            ("open\u{1b}]0;never closed\nnext", "open\nnext"),
            ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
            ("ab\u{8}c", "ac"),
            ("safe\u{202e}txt", "safetxt"),
            ("nul\0bell\u{7}", "nulbell"),
            ("tab\tstays", "tab\tstays"),
            ("line\u{2028}separator", "line\nseparator"),
            ("\u{1b}", ""),
            ("\u{1b}(Bplain", "plain"),
        ];
        for (input, wanted) in rows {
            assert_eq!(printable(input), wanted, "{input:?}");
        }
    }

    #[test]
    fn an_escaped_line_holds_nothing_that_ends_it_or_hides() {
        let rows = [
            (
                "plain \"text\" with \\ and \u{e9}",
                "plain \"text\" with \\ and \u{e9}",
            ),
            ("a\n     check  t: passed", "a\\n     check  t: passed"),
            ("\u{1b}[31mred\r\t", "\\033[31mred\\r\\t"),
            (
                "\u{202e}x\u{2028}y\u{ad}",
                "\\342\\200\\256x\\342\\200\\250y\\302\\255",
            ),
        ];
        for (text, wanted) in rows {
            assert_eq!(escaped_line(text), wanted);
            assert_eq!(escaped_line(wanted), wanted);
        }
    }

    #[test]
    fn a_long_text_keeps_its_head_and_its_end() {
        let text: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
        let cut = head_tail(&text, 400);
        assert!(cut.starts_with("line 1\nline 2\n"), "{cut}");
        assert!(cut.ends_with("line 999\nline 1000\n"), "{cut}");
        let left_out: usize = cut
            .lines()
            .find_map(|l| l.strip_prefix("[... "))
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(left_out + cut.lines().count() - 1, 1000);
    }

    #[test]
    fn a_single_endless_line_is_cut_too() {
        let cut = head_tail(&"x".repeat(10_000), 500);
        assert!(cut.len() <= 500 && cut.contains("left out"));
    }

    proptest! {
        #[test]
        fn no_cut_is_ever_longer_than_asked(text in "(\\PC{0,40}\n){0,60}\\PC{0,300}", max in 0usize..900) {
            let cut = head_tail(&text, max);
            prop_assert!(cut.len() <= max && cut.len() <= text.len());
            prop_assert!(one_line(&text, max).len() <= max);
            prop_assert!(prefix(&text, max).len() <= max && suffix(&text, max).len() <= max);
        }

        #[test]
        fn printable_is_stable(text in any::<String>()) {
            let once = printable(&text);
            prop_assert_eq!(printable(&once), once.clone());
            prop_assert!(!once.contains('\u{1b}'), "an escape is left");
        }
    }
}
