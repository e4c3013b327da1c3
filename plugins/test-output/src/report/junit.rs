//! JUnit XML in its dialects: Surefire, Gradle, pytest, GoogleTest, CTest, Catch2, PHPUnit, Playwright, Vitest, Bun, Deno,
//! behave, bats, Ruff.

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{Failure, Report};

/// The element that text between tags belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// A `failure` or `error`.
    Failure,
    /// `system-out` or `system-err` of a test.
    Printed,
    Elsewhere,
}

/// Reads a report to its end, or as far as it is whole; nothing when the text is another kind of XML.
pub(super) fn read(text: &str) -> Option<Report> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut report = Report::default();
    let mut is_report = false;
    let mut test: Option<Test> = None;
    let mut suite = String::new();
    let mut inside = Inside::Elsewhere;
    loop {
        let event = match reader.read_event() {
            Ok(Event::Eof) | Err(_) => break,
            Ok(event) => event,
        };
        match event {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "testsuites" => is_report = true,
                "testsuite" => {
                    is_report = true;
                    [suite] = attributes(&tag, ["name"]);
                }
                "testcase" => test = Some(Test::of(&tag, &suite)),
                "failure" | "error" => inside = begin(&mut test, &tag),
                "system-out" | "system-err" => inside = Inside::Printed,
                _ => {}
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "testsuites" | "testsuite" => is_report = true,
                "testcase" => report.tests += 1,
                "failure" | "error" => {
                    begin(&mut test, &tag);
                }
                _ => {}
            },
            Event::End(tag) => match tag.local_name().as_ref() {
                "testcase" => {
                    report.tests += 1;
                    if let Some(test) = test.take() {
                        report.failures.extend(test.end());
                    }
                    inside = Inside::Elsewhere;
                }
                "failure" | "error" | "system-out" | "system-err" => inside = Inside::Elsewhere,
                _ => {}
            },
            Event::Text(said) if inside != Inside::Elsewhere => add(&mut test, inside, &said),
            Event::CData(said) if inside != Inside::Elsewhere => add(&mut test, inside, &said),
            Event::GeneralRef(named) if inside != Inside::Elsewhere => {
                let whole = format!("&{};", &*named);
                let said =
                    unescape(&whole).map_or_else(|_| whole.clone(), |said| said.into_owned());
                add(&mut test, inside, &said);
            }
            _ => {}
        }
        if !is_report && reader.buffer_position() > 64 << 10 {
            return None;
        }
    }
    // What a torn report told of its last test.
    if let Some(test) = test.take() {
        report.failures.extend(test.end());
    }
    is_report.then_some(report)
}

struct Test {
    failure: Failure,
    failed: bool,
}

impl Test {
    fn of(tag: &BytesStart<'_>, suite: &str) -> Self {
        let [name, class, file, line] = attributes(tag, ["name", "classname", "file", "line"]);
        let name = match class.as_str() {
            "" => name,
            class if name.contains(class) => name,
            class => format!("{class} {name}"),
        };
        // Ruff and others name the suite after the file.
        let file = if file.is_empty() && !line.is_empty() && suite.contains('.') {
            suite.to_owned()
        } else {
            file
        };
        let place = match (file.is_empty(), line.is_empty()) {
            (true, _) => String::new(),
            (false, true) => file,
            (false, false) => format!("{file}:{line}"),
        };
        Self {
            failure: Failure {
                name,
                place,
                ..Failure::default()
            },
            failed: false,
        }
    }

    fn end(mut self) -> Option<Failure> {
        // A runner that has no words of its own leaves what the test printed: CTest.
        if self.failure.message.trim().is_empty() && self.failure.body.trim().is_empty() {
            self.failure.body = std::mem::take(&mut self.failure.printed);
        }
        self.failed.then_some(self.failure)
    }
}

/// Takes the message of a failure that begins.
fn begin(test: &mut Option<Test>, tag: &BytesStart<'_>) -> Inside {
    let Some(test) = test else {
        return Inside::Elsewhere;
    };
    let [message, kind] = attributes(tag, ["message", "type"]);
    if !test.failed {
        test.failure.message = if message.is_empty() {
            String::new()
        } else {
            message
        };
        // The kind says what the message does not: `ValueError`.
        if !test.failure.message.is_empty()
            && kind.ends_with("Error") | kind.ends_with("Exception")
            && !test.failure.message.contains(&kind)
        {
            test.failure.message = format!("{kind}: {}", test.failure.message);
        }
    } else {
        test.failure.body.push('\n');
        test.failure.body.push_str(&message);
        test.failure.body.push('\n');
    }
    test.failed = true;
    Inside::Failure
}

fn add(test: &mut Option<Test>, inside: Inside, said: &str) {
    /// A test's output is looked at no further.
    const BYTES: usize = 64 << 10;
    let Some(test) = test else { return };
    let into = match inside {
        Inside::Failure => &mut test.failure.body,
        Inside::Printed | Inside::Elsewhere => &mut test.failure.printed,
    };
    if into.len() < BYTES {
        into.push_str(said);
    }
}

/// The values of some attributes, empty where one is not there.
fn attributes<const N: usize>(tag: &BytesStart<'_>, wanted: [&str; N]) -> [String; N] {
    let mut values = [const { String::new() }; N];
    for attribute in tag.attributes().with_checks(false).flatten() {
        let key = attribute.key.local_name();
        let Some(slot) = wanted
            .iter()
            .position(|wanted| *wanted == key.as_ref())
            .and_then(|at| values.get_mut(at))
        else {
            continue;
        };
        // Line ends in an attribute stay: runners write them as they are.
        *slot = unescape(&attribute.value)
            .map_or_else(|_| attribute.value.to_string(), |value| value.into_owned());
    }
    values
}
