//! The log of the application under test, told from the report of the runner.
//!
//! A program that is tested goes on logging: `ERROR payment 7 failed` before, between and after the runner's own lines. Such
//! lines are set aside before a recogniser sees the output, so that a runner's blocks are whole however much was logged
//! into them. A line is the application's when it begins with a time stamp or with a level word in a log's form; what
//! runners themselves print in such a form is excepted, see [`Dialect`]. A stack trace that follows a logged line is part of
//! the log when it comes again and again: a runner's own trace, into which a single line was logged, stays.

use std::collections::HashMap;

use crate::lines::{Level, Line};

/// The tools that print levels of their own in front of each line.
#[derive(Debug, Clone, Copy, Default)]
struct Dialect {
    /// Maven: `[ERROR] Tests run: 3, Failures: 1`.
    maven: bool,
    /// Bazel: `ERROR: /src/BUILD:3:1: ...`.
    bazel: bool,
    /// sbt: `[info] - adds two numbers *** FAILED ***`.
    sbt: bool,
}

/// The number of times that a trace follows logged lines before it counts as part of the log.
const REPEATS: u32 = 3;

/// Marks the lines that belong to the application's log. The answer has an entry a line.
pub(crate) fn find(lines: &[Line<'_>]) -> Vec<Option<Level>> {
    let dialect = dialect(lines);
    let mut found: Vec<Option<Level>> = lines
        .iter()
        .map(|line| level(&line.text).filter(|_| !is_runners_own(&line.text, dialect)))
        .collect();
    traces(lines, &mut found);
    found
}

fn dialect(lines: &[Line<'_>]) -> Dialect {
    let mut dialect = Dialect::default();
    for line in lines {
        let text = line.text.as_ref();
        dialect.maven |= text.starts_with("[INFO] BUILD ")
            || text.starts_with("[INFO] Scanning for projects")
            || text.starts_with("[ERROR] Tests run:")
            || text.contains("<<< FAILURE!");
        dialect.bazel |= text.starts_with("INFO: Build completed")
            || text.starts_with("FAILED: Build did NOT complete")
            || text.starts_with("INFO: Elapsed time:");
        dialect.sbt |= text.starts_with("[info] Run completed in")
            || text.starts_with("[error] Failed: Total")
            || text.starts_with("[error] Failed tests:")
            || text.starts_with("[info] Tests: succeeded");
    }
    dialect
}

/// Returns true for lines that a runner prints in a log's form.
fn is_runners_own(text: &str, dialect: Dialect) -> bool {
    if dialect.maven
        && ["[ERROR]", "[INFO]", "[WARNING]"]
            .iter()
            .any(|own| text.starts_with(own))
    {
        return true;
    }
    if dialect.sbt
        && let Some(said) = ["[info] ", "[error] ", "[warn] "]
            .iter()
            .find_map(|own| text.strip_prefix(own))
    {
        return level(said).is_none();
    }
    let Some(rest) = text.strip_prefix("ERROR") else {
        return false;
    };
    if let Some(said) = rest.strip_prefix(": ") {
        // Bazel's `ERROR: /src/BUILD:3:1: ...`, unittest's `ERROR: test_x (module.Class.test_x)`.
        let unittest = said
            .split(' ')
            .nth(1)
            .is_some_and(|class| class.starts_with('(') && class.ends_with(')'));
        return dialect.bazel && (said.starts_with(['/', '@']) || said.starts_with("//"))
            || unittest;
    }
    // pytest's summary, webpack's modules.
    let word = rest.trim_start().split(' ').next().unwrap_or_default();
    word.contains("::") || word.ends_with(".py") || rest.starts_with(" in ./")
}

/// A line of a stack trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// `Traceback (most recent call last):`, which the exception ends.
    Opening,
    /// `ConnectionError: gateway 7 refused`.
    Exception,
    /// A function and its place.
    Frame,
    /// Source, or the rest of a frame.
    Inner,
}

/// Marks the traces right below logged lines, as far as the same lines come [`REPEATS`] times there. A runner's own trace
/// below a logged line has frames that no logged trace has, and stays.
fn traces(lines: &[Line<'_>], found: &mut [Option<Level>]) {
    let mut chains: Vec<(usize, Vec<(Trace, u64)>)> = Vec::new();
    let mut times: HashMap<u64, u32> = HashMap::new();
    let mut follows = false;
    for (at, line) in lines.iter().enumerate() {
        if found.get(at).is_some_and(Option::is_some) {
            follows = true;
            continue;
        }
        let kind = trace(&line.text).filter(|_| follows);
        let continues = chains
            .last()
            .is_some_and(|(start, chain)| start + chain.len() == at);
        let Some(kind) = kind.filter(|kind| continues || *kind != Trace::Inner) else {
            follows = false;
            continue;
        };
        let key = match kind {
            Trace::Opening | Trace::Exception => template(&line.text),
            Trace::Frame | Trace::Inner => hash(&line.text),
        };
        *times.entry(key).or_default() += 1;
        match chains.last_mut().filter(|_| continues) {
            Some((_, chain)) => chain.push((kind, key)),
            None => chains.push((at, vec![(kind, key)])),
        }
    }
    for (start, chain) in chains {
        let repeated = |at: usize| {
            chain
                .get(at)
                .and_then(|(_, key)| times.get(key))
                .is_some_and(|times| *times >= REPEATS)
        };
        let frame = |at: usize| {
            chain.get(at).is_some_and(|(kind, _)| *kind == Trace::Frame) && repeated(at)
        };
        let mut opened = false;
        for (at, (kind, _)) in chain.iter().enumerate() {
            let ends = *kind == Trace::Exception && opened && !frame(at + 1);
            let logged = match kind {
                Trace::Opening => frame(at + 1),
                Trace::Exception => repeated(at) && (opened || frame(at + 1)),
                Trace::Frame => repeated(at),
                // Source stands between two frames, or above the exception.
                Trace::Inner => {
                    let next = chain.get(at + 1).map(|(kind, _)| *kind);
                    repeated(at)
                        && repeated(at + 1)
                        && matches!(next, Some(Trace::Frame | Trace::Exception))
                }
            };
            if !logged {
                break;
            }
            opened |= *kind == Trace::Opening;
            if let Some(slot) = found.get_mut(start + at) {
                *slot = Some(Level::Plain);
            }
            if ends {
                break;
            }
        }
    }
}

/// The part of a stack trace that a line is.
fn trace(text: &str) -> Option<Trace> {
    let line = text.trim_start();
    if line.is_empty() {
        return None;
    }
    if line.starts_with("Traceback (most recent call last)") || line.starts_with("Stack trace:") {
        return Some(Trace::Opening);
    }
    let numbered = line
        .strip_prefix('#')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let frame = ["at ", "File \"", "from ", "goroutine "];
    if numbered || frame.iter().any(|start| line.starts_with(start)) {
        return Some(Trace::Frame);
    }
    let ends = ["Error", "Exception", "Failure", "Throwable"];
    let exception = line.starts_with("Caused by:")
        || line
            .split([':', ' '])
            .next()
            .is_some_and(|word| ends.iter().any(|end| word.ends_with(end)));
    if exception {
        return Some(Trace::Exception);
    }
    text.starts_with([' ', '\t']).then_some(Trace::Inner)
}

/// The level of a line that an application's log has written, or nothing when it is none.
pub(crate) fn level(text: &str) -> Option<Level> {
    let line = text.trim_start();
    // Lines of a log begin at the margin; one that stands far inside is part of something else.
    if text.len() - line.len() > 4 || line.len() < 5 {
        return None;
    }
    let line = behind_container(line);
    if let Some(rest) = behind_stamp(line) {
        return Some(level_among_first_words(rest));
    }
    if line.starts_with('{') {
        return structured(line);
    }
    if let Some(level) = leading_level(line) {
        return Some(level);
    }
    logfmt(line).or_else(|| klog(line))
}

/// `web-1  | ERROR ...` of several services in one output.
fn behind_container(line: &str) -> &str {
    let Some((name, rest)) = line.split_once(" | ").or_else(|| line.split_once("| ")) else {
        return line;
    };
    let name = name.trim_end();
    let is_service = !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_service { rest.trim_start() } else { line }
}

/// The text behind the time stamp that a line begins with, blanks and separators apart.
pub(crate) fn behind_stamp(line: &str) -> Option<&str> {
    behind_stamp_as_printed(line)
        .map(|rest| rest.trim_start_matches([' ', '\t', ':', '|', ']', '-', ',']))
}

/// The text behind the time stamp that a line begins with, its indentation kept.
pub(crate) fn behind_stamp_as_printed(line: &str) -> Option<&str> {
    let open = line.starts_with(['[', '(', '<']);
    let inner = if open {
        line.get(1..)?.trim_start()
    } else {
        line
    };
    let rest = date_and_time(inner)
        .or_else(|| clock(inner))
        .or_else(|| syslog(inner))
        .or_else(|| apache(inner))
        .or_else(|| if open { seconds(inner) } else { epoch(inner) })?;
    let rest = fraction_and_zone(rest);
    let rest = if open {
        let (stamp_end, rest) = rest.split_once([']', ')', '>'])?;
        // A bracket closes soon behind its stamp.
        (stamp_end.len() <= 40).then_some(rest)?
    } else {
        rest
    };
    let separated = rest.is_empty() || rest.starts_with([' ', '\t', ':', '|', ']', '[', '-', ',']);
    separated.then(|| rest.strip_prefix([' ', '\t']).unwrap_or(rest))
}

/// Takes `count` digits.
fn digits(text: &str, count: usize) -> Option<&str> {
    let (head, rest) = text.split_at_checked(count)?;
    head.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(rest)
}

/// Takes one of these characters.
fn one_of<'a>(text: &'a str, wanted: &[u8]) -> Option<&'a str> {
    let first = text.as_bytes().first()?;
    wanted.contains(first).then(|| text.get(1..)).flatten()
}

/// `2026-01-01T10:00:00`, `2026/01/01 10:00:00`, `20260101 10:00:00`.
fn date_and_time(text: &str) -> Option<&str> {
    let rest = digits(text, 4)?;
    let rest = match one_of(rest, b"-/.") {
        Some(rest) => digits(one_of(digits(rest, 2)?, b"-/.")?, 2)?,
        None => digits(rest, 4)?,
    };
    clock(one_of(rest, b"T t_")?.trim_start())
}

/// `10:00:00`.
fn clock(text: &str) -> Option<&str> {
    let rest = digits(one_of(digits(text, 2)?, b":")?, 2)?;
    digits(one_of(rest, b":")?, 2)
}

/// `Jan 12 10:00:00`, `Mon Jan 12 10:00:00 2026`.
fn syslog(text: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    let text = DAYS
        .iter()
        .find_map(|day| text.strip_prefix(day))
        .unwrap_or(text);
    let rest = MONTHS
        .iter()
        .find_map(|month| text.strip_prefix(month))?
        .strip_prefix(' ')?
        .trim_start();
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    clock(rest.strip_prefix(' ')?)
}

/// `12/Jan/2026:10:00:00 +0000`.
fn apache(text: &str) -> Option<&str> {
    let rest = digits(text, 2)?.strip_prefix('/')?;
    let (_, rest) = rest.split_at_checked(3)?;
    clock(digits(rest.strip_prefix('/')?, 4)?.strip_prefix(':')?)
}

/// `[   12.345678]` of a kernel, `[0.123s]` of a virtual machine.
fn seconds(text: &str) -> Option<&str> {
    let whole = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = whole
        .strip_prefix('.')
        .filter(|_| whole.len() < text.len())?;
    let end = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (end.len() < rest.len()).then(|| end.strip_prefix('s').unwrap_or(end))
}

/// Seconds or milliseconds since 1970.
fn epoch(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let length = text.len() - rest.len();
    ((length == 10 || length == 13) && text.starts_with('1')).then_some(rest)
}

/// `.123`, `,123`, `Z`, `+00:00`, ` UTC`, ` +0000`, ` 2026`.
fn fraction_and_zone(text: &str) -> &str {
    let mut rest = text;
    if let Some(fraction) = one_of(rest, b".,") {
        let end = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if end.len() < fraction.len() {
            rest = end;
        }
    }
    for zone in ["Z", " UTC", " GMT", " AM", " PM"] {
        if let Some(end) = rest.strip_prefix(zone) {
            return end;
        }
    }
    let zone = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some(zone) = one_of(zone, b"+-")
        && let Some(zone) = digits(zone, 2)
        && let Some(end) = digits(zone.strip_prefix(':').unwrap_or(zone), 2)
    {
        return end;
    }
    rest
}

const LOUD: [&str; 14] = [
    "ERROR",
    "ERR",
    "WARN",
    "WARNING",
    "FATAL",
    "CRITICAL",
    "CRIT",
    "SEVERE",
    "ALERT",
    "EMERG",
    "EMERGENCY",
    "PANIC",
    "WRN",
    "FTL",
];
const MILD: [&str; 11] = [
    "INFO", "DEBUG", "TRACE", "NOTICE", "FINE", "FINER", "FINEST", "VERBOSE", "INF", "DBG",
    "CONFIG",
];

fn level_of(word: &str) -> Option<Level> {
    let is = |known: &&str| word.eq_ignore_ascii_case(known);
    if LOUD.iter().any(is) {
        Some(Level::Loud)
    } else if MILD.iter().any(is) {
        Some(Level::Mild)
    } else {
        None
    }
}

/// A level behind a stamp, a thread or a name.
fn level_among_first_words(rest: &str) -> Level {
    rest.split([' ', '\t', '[', ']', ':', '|', '(', ')', '<', '>', '-', '.'])
        .filter(|word| !word.is_empty())
        .take(6)
        .find_map(|word| {
            level_of(word).or_else(|| {
                word.strip_prefix("level=")
                    .and_then(|level| level_of(level.trim_matches('"')))
            })
        })
        .unwrap_or(Level::Plain)
}

/// `ERROR payment 7 failed`, `ERROR: ...`, `ERROR:root:...`, `[error] ...`, `WARN  [main] ...`, `<INFO> ...`.
fn leading_level(line: &str) -> Option<Level> {
    if let Some(rest) = one_of(line, b"[<(") {
        let (word, rest) = rest.split_once([']', '>', ')'])?;
        let level = level_of(word.trim())?;
        // `[error]` alone, or behind it something said.
        return (rest.is_empty() || rest.starts_with([' ', '\t', ':', '['])).then_some(level);
    }
    let end = line
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end)?;
    if word.len() < 3 || !word.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let level = level_of(word)?;
    let said = rest
        .strip_prefix([':', ' ', '\t', '|', '-'])
        .or_else(|| rest.strip_prefix('['))?;
    (!said.trim().is_empty()).then_some(level)
}

/// `time=... level=error msg=...`.
fn logfmt(line: &str) -> Option<Level> {
    let first = line.split_once('=')?.0;
    let is_key = matches!(
        first,
        "time" | "ts" | "level" | "lvl" | "t" | "msg" | "severity" | "timestamp"
    );
    let at = line
        .find("level=")
        .map(|at| at + 6)
        .or_else(|| line.find("lvl=").map(|at| at + 4))
        .or_else(|| line.find("severity=").map(|at| at + 9))
        .filter(|_| is_key)?;
    let word = line.get(at..)?.trim_start_matches('"');
    let end = word
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(word.len());
    level_of(word.get(..end)?).or(Some(Level::Mild))
}

/// `E0102 10:00:00.000000    1 server.go:12] ...`.
fn klog(line: &str) -> Option<Level> {
    let level = match line.as_bytes().first()? {
        b'E' | b'W' | b'F' => Level::Loud,
        b'I' => Level::Mild,
        _ => return None,
    };
    clock(digits(line.get(1..)?, 4)?.strip_prefix(' ')?).map(|_| level)
}

/// `{"level":"error","msg":"..."}`: an object on one line with a level and something said.
fn structured(line: &str) -> Option<Level> {
    let key = |name: &str| {
        line.match_indices(name).find_map(|(at, _)| {
            line.get(at + name.len()..)?
                .trim_start()
                .strip_prefix(':')
                .map(str::trim_start)
        })
    };
    let level = [
        "\"level\"",
        "\"severity\"",
        "\"lvl\"",
        "\"levelname\"",
        "\"log.level\"",
        "\"@level\"",
    ]
    .iter()
    .find_map(|name| key(name))?;
    let says = ["\"msg\"", "\"message\"", "\"event\"", "\"@message\""]
        .iter()
        .any(|name| key(name).is_some());
    let stamped = [
        "\"time\"",
        "\"ts\"",
        "\"timestamp\"",
        "\"@timestamp\"",
        "\"asctime\"",
    ]
    .iter()
    .any(|name| key(name).is_some());
    if !(says || stamped) || !line.ends_with('}') {
        return None;
    }
    let word = level.trim_start_matches('"');
    let end = word
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(word.len());
    // Pino and bunyan number their levels; from 40 on it is a warning.
    let number: String = word.chars().take_while(char::is_ascii_digit).collect();
    let numbered = number.parse::<u32>().ok().map(|number| {
        if number >= 40 {
            Level::Loud
        } else {
            Level::Mild
        }
    });
    Some(
        word.get(..end)
            .and_then(level_of)
            .or(numbered)
            .unwrap_or(Level::Mild),
    )
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A number that two lines share when they differ in figures, identifiers and stamps alone.
pub(crate) fn template(text: &str) -> u64 {
    let mut hash = OFFSET;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let bytes = text.trim_start().as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !byte.is_ascii_alphanumeric() {
            add(*byte);
            at += 1;
            continue;
        }
        let word = bytes
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let token = bytes.get(at..at + word).unwrap_or_default();
        let identifier = word >= 8
            && token.iter().all(u8::is_ascii_hexdigit)
            && token.iter().any(u8::is_ascii_digit);
        if identifier {
            add(b'#');
        } else {
            let mut in_number = false;
            for byte in token {
                let digit = byte.is_ascii_digit();
                if !digit {
                    add(*byte);
                } else if !in_number {
                    add(b'#');
                }
                in_number = digit;
            }
        }
        at += word;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_told_by_its_stamp_or_its_level() {
        let loud = Some(Level::Loud);
        let mild = Some(Level::Mild);
        let plain = Some(Level::Plain);
        let rows = [
            ("ERROR payment 7 failed", loud),
            ("WARN  [main] slow query", loud),
            ("INFO:root:started", mild),
            ("[error] 12#0: upstream timed out", loud),
            ("[ERROR   ] pool is empty", loud),
            ("2026-01-01T10:00:00Z ERROR payment 7 failed", loud),
            (
                "2026-01-01 10:00:00,123 - app.pay - ERROR - payment 7 failed",
                loud,
            ),
            ("2026/01/01 10:00:00 listening", plain),
            ("20260101 10:00:00.000 payment", plain),
            (
                "[2026-01-01T10:00:00.000+00:00] app.ERROR: payment 7 failed",
                loud,
            ),
            ("10:00:00.123 [error] GenServer terminating", loud),
            ("[10:00:00] starting", plain),
            ("Jan 12 10:00:00 host app[1]: x", plain),
            ("E0102 10:00:00.000000       1 server.go:12] no route", loud),
            ("time=\"2026-01-01T10:00:00Z\" level=warning msg=slow", loud),
            ("level=info msg=\"all well\"", mild),
            (
                r#"{"level":"error","time":1700000000,"msg":"payment 7 failed"}"#,
                loud,
            ),
            (
                r#"{"level":50,"time":1700000000,"msg":"payment 7 failed"}"#,
                loud,
            ),
            (r#"{"level":30,"time":1700000000,"msg":"ok"}"#, mild),
            ("web-1  | 2026-01-01T10:00:00Z DEBUG pool", mild),
            ("[   12.345678] usb 1-1: new device", plain),
            ("1700000000.123 payment", plain),
            // None of these is a log's.
            ("ERRORS!", None),
            ("error: payment 7 failed", None),
            ("error[E0308]: mismatched types", None),
            ("FAILED tests/test_a.py::test_b - assert", None),
            ("Error: expect(received)", None),
            ("  5 | code", None),
            ("Counts Lines   | PASS |", None),
            ("[ RUN      ] Cart.Total", None),
            ("[  FAILED  ] Cart.Total", None),
            ("[xUnit.net 00:00:00.45]     Cart.Total [FAIL]", None),
            ("         Error: deep inside", None),
            ("1) CartTest::testTotal", None),
            ("12:5  error  Unexpected", None),
            ("{\"a\":1}", None),
            ("", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(level(text), wanted, "{text}");
        }
    }

    #[test]
    fn lines_that_differ_in_figures_are_one_template() {
        let rows = [
            ("ERROR payment 7 failed", "ERROR payment 1234 failed", true),
            ("at 10:00:00.123 x", "at 11:22:33.4 x", true),
            ("id 5f3e9a7c11 gone", "id 00aa11bb22cc gone", true),
            ("ERROR payment 7 failed", "ERROR refund 7 failed", false),
            ("case_a", "case_b", false),
        ];
        for (one, other, same) in rows {
            assert_eq!(template(one) == template(other), same, "{one} / {other}");
        }
    }
}
