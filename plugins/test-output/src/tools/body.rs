//! The common part of runners of all languages below the name of a failing test: the message,
//! expected and got, and the frames of a trace.

use super::{is_library_frame, number};
use crate::lines::Rank;
use crate::output::Output;

/// The worth of a line of a failure.
pub(crate) fn rank(text: &str) -> Rank {
    let line = text.trim();
    if is_ornament(line) || is_label(line) {
        return Rank::Noise;
    }
    if let Some(frame) = frame(line) {
        return if is_library_frame(frame) || is_framework(frame) {
            Rank::Noise
        } else {
            Rank::Place
        };
    }
    if is_code_frame(line) {
        return if line.starts_with(['>', '=', '→']) {
            Rank::Detail
        } else {
            Rank::Noise
        };
    }
    Rank::Explain
}

/// Rules, carets and blanks.
pub(super) fn is_ornament(line: &str) -> bool {
    line.chars()
        .all(|c| c.is_whitespace() || "─━═-=_*~#⎯│|^.·┊╷".contains(c))
}

/// Headings inside a failure, which say nothing themselves.
fn is_label(line: &str) -> bool {
    matches!(
        line.trim_end_matches(':').to_ascii_lowercase().as_str(),
        "message"
            | "stack"
            | "stacktrace"
            | "stack trace"
            | "error message"
            | "stack traceback"
            | "backtrace"
            | "..."
            | "(compared using ==)"
            | "traceback (most recent call last)"
            | "with expansion"
            | "standard output messages"
            | "standard error messages"
    ) || line.starts_with("To rerun use:")
        || line.starts_with("Error Context:")
        || line.starts_with("MethodSource [")
}

/// The part of a stack frame that says where it is, or nothing when the line is no frame.
pub(super) fn frame(line: &str) -> Option<&str> {
    // Perl's and Test::More's `#   at t/cart.t line 4.`, RSpec's `# ./spec/cart_spec.rb:8:in ...`.
    let line = line.strip_prefix("# ").map_or(line, str::trim_start);
    if let Some(rest) = line
        .strip_prefix("at ")
        .or_else(|| line.strip_prefix("❯ "))
        .or_else(|| line.strip_prefix("› "))
        .or_else(|| line.strip_prefix("from "))
        .or_else(|| line.strip_prefix("in call from "))
        .or_else(|| line.strip_prefix("in function "))
    {
        return has_place(rest).then_some(rest);
    }
    if line.starts_with("File \"") && line.contains(", line ") {
        return Some(line);
    }
    if (line.starts_with("(in test file ") || line.starts_with("(from function "))
        && line.contains(", line ")
    {
        return Some(line);
    }
    // `shop.CartTest.total(CartTest.java:15)`, `(shop 0.1.0) lib/cart.ex:6: Cart.discount/2`
    let java = line.ends_with(')')
        && !line.contains(' ')
        && line.rsplit_once('(').is_some_and(|(_, inside)| {
            is_place(inside.trim_end_matches(')')) || inside == "Native Method)"
        });
    if java {
        return Some(line);
    }
    let behind_app = line
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(") "))
        .map_or(line, |(_, rest)| rest);
    let (path, rest) = super::place(behind_app)?;
    // A path with its line alone, or with the function it is in.
    let alone = rest.is_empty()
        || rest.starts_with(":in ")
        || rest == ":"
        || rest.starts_with(": (")
        || rest.starts_with(" in ")
        || rest.starts_with(": in ")
        || behind_app.len() < line.len()
        || rest.starts_with(": ") && rest.contains('/') && rest.split(' ').count() == 2;
    (alone && !path.starts_with(['"', '\'', '<'])).then_some(line)
}

/// `Cart.java:15`, `src/cart.mjs:6:29`.
fn is_place(text: &str) -> bool {
    super::place(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// A file and a line somewhere in a frame.
fn has_place(rest: &str) -> bool {
    let rest = rest.trim_end_matches('.');
    rest.contains(" line ") && rest.ends_with(|c: char| c.is_ascii_digit())
        || rest.contains(":line ")
        || rest.contains(", line ")
        || rest
            .split(|c: char| c.is_whitespace() || "()[]".contains(c))
            .any(|word| is_place(word.trim_end_matches([',', ':'])) || word.starts_with("file://"))
        || rest.contains("(Native Method)")
        || rest.starts_with('<')
}

/// Frames of test frameworks and of the languages' own libraries.
fn is_framework(frame: &str) -> bool {
    [
        "org.junit.",
        "junit.framework.",
        "java.base/",
        "java.lang.",
        "java.util.",
        "jdk.internal.",
        "sun.reflect.",
        "org.gradle.",
        "org.apache.maven.",
        "org.testng.",
        "org.opentest4j.",
        "org.hamcrest.",
        "org.assertj.",
        "org.scalatest.",
        "scala.",
        "munit.",
        "kotlin.",
        "io.kotest.",
        "eunit_",
        "Xunit.",
        "NUnit.",
        "System.",
        "Microsoft.",
        "/rspec-",
        "/minitest-",
        "/gems/",
        "vendor/phpunit",
        "vendor/bundle",
        "/usr/share/php",
        "/usr/lib/",
        "(ex_unit",
        "(elixir ",
        "(stdlib ",
        "ext:",
        "<Jasmine>",
        "jasmine-core",
        "(Native Method)",
        "<unknown>",
        "/behave/",
        "/unittest/",
        "Test::Builder",
        "/opt/hostedtoolcache/",
        "/rustc/",
    ]
    .iter()
    .any(|own| frame.contains(own))
}

/// Source around the failing line: `> 4 | code`, `  5 | code`, `=> 12: code`, `4| code`.
fn is_code_frame(line: &str) -> bool {
    let line = line.trim_start_matches(['>', '=', '→']).trim_start();
    match number(line) {
        Some((_, rest)) => {
            let rest = rest.trim_start();
            rest.starts_with(['|', '│']) || rest.starts_with(": ")
        }
        None => {
            line.starts_with(['|', '│']) && line.trim_matches(['|', '│', '^', '~', ' ']).is_empty()
        }
    }
}

/// Source that a Python trace shows below a frame explains nothing: detail below the caller's own, nothing below others'.
pub(super) fn quoted_sources(output: &mut Output<'_>) {
    for at in 1..output.lines.len() {
        let frame = output.lines.get(at - 1).filter(|line| {
            line.block > 0
                && line
                    .trimmed()
                    .trim_start_matches(['#', ' '])
                    .starts_with("File \"")
        });
        let Some((rank, block)) = frame.map(|line| (line.rank, line.block)) else {
            continue;
        };
        let quoted = output
            .lines
            .get(at)
            .is_some_and(|line| line.block == block && line.rank == Rank::Explain);
        if quoted {
            let rank = if rank == Rank::Noise {
                Rank::Noise
            } else {
                Rank::Detail
            };
            output.set(at, rank, block);
        }
    }
}

/// The first frame of the caller's own code is a failure's place; further ones are detail.
pub(super) fn first_places(output: &mut Output<'_>) {
    let mut seen = std::collections::HashSet::new();
    for at in 0..output.lines.len() {
        let Some(line) = output
            .lines
            .get(at)
            .filter(|line| line.rank == Rank::Place && line.block > 0)
        else {
            continue;
        };
        let block = line.block;
        if !seen.insert(block) && frame(line.text.trim()).is_some() {
            output.set(at, Rank::Detail, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_language_are_told_from_messages() {
        let rows = [
            (
                "     # ./spec/cart_spec.rb:8:in `block (3 levels) in <top (required)>'",
                Rank::Place,
            ),
            ("#   at t/cart.t line 4.", Rank::Place),
            ("# (in test file cart.bats, line 7)", Rank::Place),
            (
                "    cart_test.rb:12:in `test_discount_of_sixty'",
                Rank::Place,
            ),
            ("/src/cart/tests/CartTest.php:10", Rank::Place),
            ("       test/cart_test.exs:10: (test)", Rank::Place),
            (
                "       (shop 0.1.0) lib/cart.ex:6: Cart.discount/2",
                Rank::Place,
            ),
            (
                "in function cart_tests:total_test/0 (cart_tests.erl, line 6)",
                Rank::Place,
            ),
            (
                "in call from eunit_test:run_testfun/1 (eunit_test.erl, line 71)",
                Rank::Noise,
            ),
            (
                "\tat shop.CartTest.multipliesByTheCount(CartTest.java:15)",
                Rank::Place,
            ),
            (
                "        at org.junit.Assert.fail(Assert.java:89)",
                Rank::Noise,
            ),
            (
                "       shop.CartTest.takesSixtyPercentOff(CartTest.java:20)",
                Rank::Place,
            ),
            ("      at discount (/src/cart.mjs:6:78)", Rank::Place),
            (
                "   at Shop.Tests.CartTests.Total() in /src/CartTests.cs:line 15",
                Rank::Place,
            ),
            (
                "  File \"/src/test_cart.py\", line 13, in test_total",
                Rank::Place,
            ),
            ("    at file:///src/deno/cart_test.ts:6:10", Rank::Place),
            (
                "    at innerWrapped (ext:cli/40_test.js:300:11)",
                Rank::Noise,
            ),
            (
                "  spec/cart_spec.lua:4: Expected objects to be equal.",
                Rank::Explain,
            ),
            ("ValueError: percent out of range: 60", Rank::Explain),
            (
                "  => 12:     assert_equal 2, cart.discount(60)",
                Rank::Detail,
            ),
            ("     10:   end", Rank::Noise),
            ("> 6 |     expect(cart().total()).toBe(6);", Rank::Detail),
            ("       expected: 6", Rank::Explain),
            ("at least one item is missing", Rank::Explain),
            ("-----", Rank::Noise),
            ("", Rank::Noise),
        ];
        for (text, wanted) in rows {
            assert_eq!(rank(text), wanted, "{text}");
        }
    }
}
