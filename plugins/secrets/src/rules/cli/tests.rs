#![allow(clippy::expect_used)]
//! Each name and each row of the table of commands finds a secret.

use super::commands::{COMMANDS, Form};
use super::options::rule;
use crate::memory::Memory;
use crate::rule::Out;
use crate::text::Text;

const SECRET: &str = "tr0utLake9x7";

/// A command line with a secret where the row has it.
fn line(name: &str, option: &str, form: Form) -> String {
    // `ab -A`: the name takes the dash along.
    let (name, option) = match name.strip_suffix(" -") {
        Some(name) => (format!("{name} "), option),
        None if name.ends_with([' ', ':']) || matches!(form, Form::Typed) => {
            (name.to_owned(), option)
        }
        None => (format!("{name} "), option),
    };
    match form {
        Form::Next => format!("{name}{option} {SECRET} x"),
        Form::Attached => format!("{name}{option}{SECRET} x"),
        Form::Pair(sign) => format!("{name}{option} joe{}{SECRET} x", char::from(sign)),
        Form::Word(words) => format!("{name}{option} {}{SECRET}", "x ".repeat(words)),
        Form::After => format!("{name}{option}x {SECRET}"),
        Form::Operand => format!("{name}{option} --name x {SECRET}"),
        Form::Printed => format!("{name}{option} 'echo -n {SECRET}' x"),
        Form::Slash | Form::SlashAt => format!("{name}joe/{SECRET}@host"),
        Form::Second => format!("{name}{option}x joe {SECRET}"),
        Form::Named => format!("{name}{option} app/password {SECRET}"),
        Form::Login => format!("{name}{option} joe:{SECRET}@host"),
        Form::Cookie => format!("{name}{option} sid={SECRET}"),
        Form::Share => format!("{name}Z: \\\\host\\share {SECRET}"),
        Form::Piped => format!("echo {SECRET} {name}"),
        Form::PipedPair => format!("echo joe:{SECRET} {name}"),
        Form::Here if name == "<<< " => format!("passwd {name}{SECRET}"),
        Form::Here => {
            let open = name.trim_end();
            let quote: String = open.chars().filter(|c| matches!(c, '\'' | '"')).collect();
            let mark = if open.contains('_') { "_eof" } else { "eof" };
            format!("passwd {open}of{quote}\n{SECRET}\n{mark}\n")
        }
        Form::Typed => format!("{name}{SECRET}\\r"),
        Form::Imap => format!("a1{}joe {SECRET}", name.to_ascii_uppercase()),
    }
}

#[test]
fn each_name_finds_a_secret_with_each_of_its_rows() {
    for (row, command) in COMMANDS.iter().enumerate() {
        for name in command.names {
            for &(option, form) in command.rows {
                let text = line(name, option, form);
                let at = text.to_ascii_lowercase().find(name).expect(&text);
                let memory = Memory::default();
                let around = Text::around(text.as_bytes(), at, 512, 4096, true, &memory);
                let mut out = Out::default();
                rule(&around, at, name.len(), row, &mut out);
                let found = out.ranges().any(|(start, end)| &text[start..end] == SECRET);
                assert!(found, "{text}");
            }
        }
    }
}
