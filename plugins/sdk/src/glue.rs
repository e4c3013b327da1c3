//! Between the traits of this crate and the exports of a component. Not for authors.

use std::cell::RefCell;

use crate::bindings::mcp_codex_worker::check::{findings as sink, job as host};
use crate::bindings::mcp_codex_worker::summarizer::input;
use crate::job::{ChangedFile, Command, Job, LinePage, Moment, ReadError};
use crate::{Fault, Finding, Report, Translation};

/// The answer of a check as the host takes it.
pub use crate::bindings::check::exports::mcp_codex_worker::check::check::Report as WireReport;

/// The host's view of the job.
pub struct HostJob;

impl Job for HostJob {
    fn id(&self) -> String {
        host::id()
    }
    fn task(&self) -> String {
        host::task()
    }
    fn changed(&self) -> Vec<ChangedFile> {
        host::changed_files()
    }
    fn commands(&self) -> Vec<Command> {
        host::commands()
    }
    fn changed_lines(
        &self,
        path: &str,
        moment: Moment,
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        host::changed_lines(path, moment, after_line, max_bytes)
    }
    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError> {
        host::diff(path)
    }
    fn read(
        &self,
        path: &str,
        moment: Moment,
        offset: u64,
        max_bytes: u32,
    ) -> Result<Vec<u8>, ReadError> {
        host::read(path, moment, offset, max_bytes)
    }
    fn read_output(&self, command: u32, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ReadError> {
        host::read_output(command, offset, max_bytes)
    }
    fn agent_message(&self) -> String {
        host::agent_message()
    }
}

/// Puts the findings of a report into the host's sink.
pub fn put(report: Report) -> WireReport {
    for finding in &report.findings {
        put_finding(finding);
    }
    WireReport {
        outcome: report.outcome,
        summary: report.summary,
    }
}

fn put_finding(finding: &Finding) {
    let made = sink::Finding::new(&finding.rule, finding.severity, &finding.message);
    let (start_column, end_column) = finding.columns.unwrap_or_default();
    let place = finding.path.as_ref().map(|path| sink::Place {
        path: path.clone(),
        start_line: finding.line.unwrap_or_default(),
        start_column,
        end_line: finding.end_line.unwrap_or_default(),
        end_column,
    });
    if let Some(place) = &place {
        made.at(place);
        if let Some(text) = &finding.fix {
            made.fix(place, text);
        }
    }
    if let Some(hint) = &finding.hint {
        made.hint(hint);
    }
    if let Some(url) = &finding.link {
        made.link(url);
    }
    for (name, value) in &finding.properties {
        made.property(name, value);
    }
}

/// The whole text of a summarizer's input.
///
/// # Errors
/// When the host gives what is no text.
pub fn input_text() -> Result<String, Fault> {
    const PIECE: u32 = 16 << 20;
    let mut text = input::read_text(0, PIECE);
    while (text.len() as u64) < input::text_size() {
        let piece = input::read_text(text.len() as u64, PIECE);
        if piece.is_empty() {
            break;
        }
        text.extend(piece);
    }
    String::from_utf8(text).map_err(|_| Fault::unsupported("the text is no UTF-8"))
}

/// The streamed reply that an instance of a dialect serves.
#[derive(Default)]
pub struct Stream(RefCell<Option<Box<dyn Translation>>>);

impl Stream {
    /// No stream yet.
    pub const fn new() -> Self {
        Stream(RefCell::new(None))
    }

    /// Begins it.
    pub fn begin(&self, translation: Box<dyn Translation>) {
        *self.0.borrow_mut() = Some(translation);
    }

    /// Does something with it.
    ///
    /// # Errors
    /// What it answers, and that there is none yet.
    pub fn with<R>(
        &self,
        act: impl FnOnce(&mut dyn Translation) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        match &mut *self.0.borrow_mut() {
            Some(translation) => act(translation.as_mut()),
            None => Err(Fault::failed("no stream was begun")),
        }
    }
}

/// Sends a panic's message to the log, so that the host can tell why the plugin trapped.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        crate::log::write(crate::log::Level::Error, &panic.to_string());
    }));
}

/// The one instance of a plugin within an instance of its component.
#[macro_export]
#[doc(hidden)]
macro_rules! __plugin {
    ($plugin:ty, $kind:path) => {
        struct Component;

        ::std::thread_local! {
            static PLUGIN: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
        }

        fn with_plugin<R>(act: impl FnOnce(&mut $plugin) -> Result<R, $crate::Fault>) -> Result<R, $crate::Fault> {
            PLUGIN.with_borrow_mut(|plugin| match plugin {
                Some(plugin) => act(plugin),
                none => {
                    $crate::glue::report_panics();
                    let json = $crate::bindings::mcp_codex_worker::types::settings::json();
                    let made = <$plugin as $kind>::new($crate::settings_from(&json)?)?;
                    act(none.insert(made))
                }
            })
        }
    };
}

/// The interface `plugin`.
#[macro_export]
#[doc(hidden)]
macro_rules! __describe {
    ($plugin:ty, $kind:path) => {
        impl $crate::bindings::plugin::exports::mcp_codex_worker::types::plugin::Guest for Component {
            fn describe() -> Result<
                $crate::bindings::plugin::exports::mcp_codex_worker::types::plugin::Info,
                $crate::Fault,
            > {
                Ok($crate::bindings::plugin::exports::mcp_codex_worker::types::plugin::Info {
                    name: ::std::env!("CARGO_PKG_NAME").to_owned(),
                    version: ::std::env!("CARGO_PKG_VERSION").to_owned(),
                    summary: <$plugin as $kind>::SUMMARY.to_owned(),
                    settings_schema: <$plugin as $kind>::SCHEMA.map(str::to_owned),
                })
            }

            fn validate() -> Result<
                ::std::vec::Vec<
                    $crate::bindings::plugin::exports::mcp_codex_worker::types::plugin::Problem,
                >,
                $crate::Fault,
            > {
                match with_plugin(|_| Ok(())) {
                    Ok(()) => Ok(::std::vec::Vec::new()),
                    Err($crate::Fault::BadSettings(message)) => Ok(::std::vec![
                        $crate::bindings::plugin::exports::mcp_codex_worker::types::plugin::Problem {
                            key: None,
                            message,
                        }
                    ]),
                    Err(fault) => Err(fault),
                }
            }
        }
        $crate::bindings::plugin::export!(Component with_types_in $crate::bindings::plugin);
    };
}
