//! The log: `tracing` events as lines, masked, on stderr and in a file.
//!
//! A runner has one job and one step at a time, so what any of its threads says belongs to those: the spans of target
//! [`CONTEXT`] put their fields into every line for as long as they are open, entered or not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::file::LogFile;
use settings::LogFormat;

/// The target of spans whose fields stand in every line.
pub const CONTEXT: &str = "context";

/// Takes secrets out of what is logged. The module `redact` stands above this one, so it is handed in.
pub trait Mask: Send + Sync {
    /// A finished line without its secrets.
    fn line(&self, line: &str) -> String;
    /// A value without its secrets, still of the same shape.
    fn json(&self, value: Value) -> Value;
}

/// The log of this process.
pub struct Log(Arc<Shared>);

/// Sends `tracing` events and panics of this process to stderr, each line through `mask`. `filter` is WORKER_LOG; one that
/// is empty or cannot be parsed counts as `warn` on stderr and as `info` in the file. Only the first call in a process has
/// an effect.
pub fn init(filter: &str, mask: Arc<dyn Mask>) -> Log {
    let shared = Arc::new(Shared {
        mask,
        file: OnceLock::new(),
        context: Mutex::default(),
    });
    let layer = |sink| Lines {
        shared: Arc::clone(&shared),
        sink,
    };
    let first = tracing_subscriber::registry()
        .with(layer(Sink::Stderr).with_filter(quiet(filter, "warn")))
        .with(layer(Sink::File).with_filter(quiet(filter, "warn,mcp_codex_worker=info")))
        .try_init()
        .is_ok();
    if first {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic
                .payload()
                .downcast_ref::<&str>()
                .map(|message| (*message).to_owned())
                .or_else(|| panic.payload().downcast_ref::<String>().cloned())
                .unwrap_or_default();
            let location = panic.location().map(ToString::to_string);
            tracing::error!(location = location.unwrap_or_default(), "panic: {message}");
        }));
    }
    Log(shared)
}

impl Log {
    /// From here on lines go to the file at `path` too. One that cannot be written costs the file, and nothing else.
    pub fn write_to(&self, path: &Path, format: LogFormat) {
        match LogFile::open(path) {
            Ok(file) => drop(self.0.file.set((file, format))),
            Err(fault) => {
                tracing::warn!(path = %path.display(), "WORKER_LOG_FILE cannot be written: {fault}");
            }
        }
    }
}

/// The filter, which is `otherwise` when it is empty or no filter. rmcp logs whole messages below `warn`, prompts
/// included, and does so only when it is asked for by name.
fn quiet(filter: &str, otherwise: &str) -> EnvFilter {
    let mut parsed = Some(filter.trim())
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new(otherwise));
    let context = format!("{CONTEXT}=error");
    for (wanted, directive) in [
        (!filter.contains("rmcp"), "rmcp=warn"),
        (true, context.as_str()),
    ] {
        if let (true, Ok(directive)) = (wanted, directive.parse()) {
            parsed = parsed.add_directive(directive);
        }
    }
    parsed
}

struct Shared {
    mask: Arc<dyn Mask>,
    file: OnceLock<(LogFile, LogFormat)>,
    /// By sink and name of the field: the span that brought it, and its value.
    context: Mutex<BTreeMap<(Sink, &'static str), (Id, Value)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sink {
    Stderr,
    File,
}

/// One of the places that lines go to.
struct Lines {
    shared: Arc<Shared>,
    sink: Sink,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if span.metadata().target() != CONTEXT {
            return;
        }
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut context = self.context();
        for (name, value) in fields.named {
            context.insert((self.sink, name), (id.clone(), value));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let sink = self.sink;
        self.context()
            .retain(|(of, _), (span, _)| *of != sink || *span != id);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let format = match (self.sink, self.shared.file.get()) {
            (Sink::Stderr, _) => LogFormat::Text,
            (Sink::File, Some((_, format))) => *format,
            (Sink::File, None) => return,
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let context = self
            .context()
            .iter()
            .filter(|((sink, name), _)| {
                *sink == self.sink && !fields.named.iter().any(|(own, _)| own == name)
            })
            .map(|((_, name), (_, value))| (*name, value.clone()))
            .collect();
        let entry = Entry {
            level: *event.metadata().level(),
            context,
            fields,
        };
        let mut line = match format {
            LogFormat::Text => self.shared.mask.line(&printable(&entry.text())),
            LogFormat::Json => self.shared.mask.json(entry.json()).to_string(),
        };
        line.push('\n');
        match (self.sink, self.shared.file.get()) {
            // A full disk must not fill stderr as well: what the file misses is missed.
            (Sink::File, Some((file, _))) => drop(file.append(&line)),
            // There is nobody to tell when stderr is gone.
            _ => drop(io::stderr().lock().write_all(line.as_bytes())),
        }
    }
}

impl Lines {
    fn context(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Sink, &'static str), (Id, Value)>> {
        self.shared
            .context
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event, with what it happened in.
struct Entry {
    level: tracing::Level,
    context: Vec<(&'static str, Value)>,
    fields: Fields,
}

impl Entry {
    /// `2026-11-22T11:40:00.123456Z  WARN [71] job=... step=...: message key=value`
    fn text(&self) -> String {
        let mut line = format!("{} {:>5} [{}]", now(), self.level, std::process::id());
        let mut put = |name: &str, value: &Value| {
            let _ = match value {
                Value::String(text) => write!(line, " {name}={text}"),
                value => write!(line, " {name}={value}"),
            };
        };
        for (name, value) in &self.context {
            put(name, value);
        }
        let plugin = |(name, _): &&(&str, Value)| *name == "plugin";
        for (name, value) in self.fields.named.iter().filter(plugin) {
            put(name, value);
        }
        let _ = write!(line, ": {}", self.fields.message);
        for (name, value) in self.fields.named.iter().filter(|field| !plugin(field)) {
            let _ = match value {
                Value::String(text) => write!(line, " {name}={text}"),
                value => write!(line, " {name}={value}"),
            };
        }
        line
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), now().into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("pid".to_owned(), json!(std::process::id()));
        object.insert("message".to_owned(), self.fields.message.as_str().into());
        for (name, value) in self.context.iter().chain(&self.fields.named) {
            // A field must not pass itself off as what stands before it.
            object
                .entry((*name).to_owned())
                .or_insert_with(|| value.clone());
        }
        Value::Object(object)
    }
}

fn now() -> String {
    let mut text = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields {
    message: String,
    named: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.named.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
}

/// Escapes what a terminal would obey and what would begin a line of its own (THREATS T13).
fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let mut out = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if obeyed(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_log_line_stays_one_line_and_commands_no_terminal() {
        assert_eq!(
            printable("a\u{1b}[31m\nERROR fake\r\u{9b}\u{202e}\tb"),
            "a\\u{1b}[31m\\u{a}ERROR fake\\u{d}\\u{9b}\\u{202e}\tb"
        );
    }

    #[test]
    fn context_stands_in_every_line_for_as_long_as_it_is_open() {
        struct Nothing;
        impl Mask for Nothing {
            fn line(&self, line: &str) -> String {
                line.replace("secret", "***")
            }
            fn json(&self, value: Value) -> Value {
                value.to_string().replace("secret", "***").parse().unwrap()
            }
        }
        for format in [LogFormat::Text, LogFormat::Json] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let shared = Arc::new(Shared {
                mask: Arc::new(Nothing),
                file: OnceLock::new(),
                context: Mutex::default(),
            });
            Log(Arc::clone(&shared)).write_to(&path, format);
            let lines = Lines {
                shared,
                sink: Sink::File,
            };
            let subscriber = tracing_subscriber::registry()
                .with(lines.with_filter(quiet("mcp_codex_worker_redact::log=info", "warn")));
            tracing::subscriber::with_default(subscriber, || {
                let job = tracing::error_span!(target: CONTEXT, "job", job = "j1");
                let mut step = tracing::error_span!(target: CONTEXT, "step", step = "first");
                tracing::info!(number = 7, "a secret\nword");
                tracing::debug!("not asked for");
                // The next step begins before the last one ends.
                step = {
                    let next = tracing::error_span!(target: CONTEXT, "step", step = "second");
                    drop(step);
                    next
                };
                tracing::warn!(plugin = "scope", message_of = "x", "said");
                drop((step, job));
                tracing::info!(pid = "forged", "after");
            });
            let text = std::fs::read_to_string(&path).unwrap();
            let own = format!("[{}]", std::process::id());
            let shown: Vec<String> = text
                .lines()
                .map(|line| match format {
                    LogFormat::Text => line.split_once(' ').unwrap().1.replace(&own, "[PID]"),
                    LogFormat::Json => {
                        let mut line: Map<String, Value> = serde_json::from_str(line).unwrap();
                        assert!(line.shift_remove("timestamp").unwrap().is_string());
                        assert_eq!(line.shift_remove("pid").unwrap(), json!(std::process::id()));
                        json!(line).to_string()
                    }
                })
                .collect();
            let expected: &[&str] = match format {
                LogFormat::Text => &[
                    " INFO [PID] job=j1 step=first: a ***\\u{a}word number=7",
                    " WARN [PID] job=j1 step=second plugin=scope: said message_of=x",
                    " INFO [PID]: after pid=forged",
                ],
                LogFormat::Json => &[
                    r#"{"level":"INFO","message":"a ***\nword","job":"j1","step":"first","number":7}"#,
                    r#"{"level":"WARN","message":"said","job":"j1","step":"second","plugin":"scope","message_of":"x"}"#,
                    r#"{"level":"INFO","message":"after"}"#,
                ],
            };
            assert_eq!(shown, expected);
        }
    }
}
