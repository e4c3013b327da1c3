//! A file for each family of tools. A recogniser first makes sure that its tool is there, then claims lines.

mod body;
mod boxed;
mod cargo;
mod cpp;
mod generic;
mod go;
mod javascript;
mod jvm;
mod lint;
mod listed;
mod node;
mod numbered;
mod platforms;
mod python;
mod runtimes;
mod rustc;
mod tap;

use crate::output::Output;

pub(crate) use body::rank as rank_of_failure_line;

/// Lets every recogniser claim its lines of an output that the application's log is set aside from.
pub(crate) fn recognise(output: &mut Output<'_>) {
    cargo::recognise(output);
    rustc::recognise(output);
    numbered::recognise(output);
    boxed::recognise(output);
    jvm::recognise(output);
    platforms::recognise(output);
    python::recognise(output);
    javascript::recognise(output);
    runtimes::recognise(output);
    tap::recognise(output);
    node::recognise(output);
    go::recognise(output);
    cpp::recognise(output);
    lint::recognise(output);
    listed::recognise(output);
    output.settle_loose_blocks();
    body::quoted_sources(output);
    body::first_places(output);
}

/// Takes what nobody claimed, the application's log among it.
pub(crate) fn rest(output: &mut Output<'_>) {
    generic::recognise(output);
}

/// A stack frame in the tool's own or in library code: says nothing about the failure.
fn is_library_frame(frame: &str) -> bool {
    [
        "node_modules",
        "node:",
        "(internal/",
        "/rustc/",
        "/.cargo/registry/",
        "site-packages",
        "/lib/python",
        "<anonymous>)",
        "<frozen ",
    ]
    .iter()
    .any(|library| frame.contains(library))
        || frame.starts_with("at process.")
        || frame.starts_with("at new Promise")
}

/// A path alone on its line: an extension or a slash, no blanks.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace) && text.contains(['.', '/', '\\'])
}

/// Splits off a decimal number.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

/// `path:12` or `path:12:7`, then `rest`: the column and what follows. The path has an extension or a slash.
fn place(text: &str) -> Option<(&str, &str)> {
    let colon = text.match_indices(':').map(|(at, _)| at).find(|at| {
        text.get(at + 1..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    let path = text.get(..colon)?;
    let looks_like_a_path =
        !path.is_empty() && !path.contains(' ') && path.contains(['.', '/', '\\']);
    let (_, rest) = number(text.get(colon + 1..)?).filter(|_| looks_like_a_path)?;
    let rest = rest
        .strip_prefix(':')
        .and_then(number)
        .map_or(rest, |(_, rest)| rest);
    Some((path, rest))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_a_file_and_a_line() {
        let rows = [
            ("src/a.c:3:5: error: x", Some(("src/a.c", ": error: x"))),
            ("a.py:3: note", Some(("a.py", ": note"))),
            (
                "./a.go:3:5: undefined: x",
                Some(("./a.go", ": undefined: x")),
            ),
            ("at 10:30:00", None),
            ("10:30:00 started", None),
            ("https://host:80/x", None),
            ("Time: 3", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(
                place(text).filter(|(path, _)| !path.starts_with("http")),
                wanted,
                "{text}"
            );
        }
    }
}
