//! The host's functions for a plugin: a log and its settings, to a check the job, its sink and the granted files, to a summarizer
//! the text.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::bindings::{Entry, files, findings, input, job, log, settings, types};
use crate::Limits;
use crate::check::{self as checks, Finding, Fix, Location, ReadError};
use crate::convert::{alike, each};
use crate::host::{Host, ReportTooLong};

/// The result of a read by a check; the outer error ends the call.
type Reading<T> = wasmtime::Result<Result<T, job::ReadError>>;

impl types::Host for Host {}

impl log::Host for Host {
    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<log::Field>,
    ) -> wasmtime::Result<()> {
        self.in_time()?;
        let mut line = message;
        for field in fields.into_iter().take(32) {
            line.push_str(&format!(" {}={}", field.key, field.value));
        }
        self.write_log(level_of(level), &line);
        Ok(())
    }

    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        self.in_time()?;
        Ok(match level_of(level) {
            tracing::Level::TRACE => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
            tracing::Level::DEBUG => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
            _ => true,
        })
    }
}

fn level_of(level: log::Level) -> tracing::Level {
    match level {
        log::Level::Trace => tracing::Level::TRACE,
        log::Level::Debug => tracing::Level::DEBUG,
        log::Level::Info => tracing::Level::INFO,
        log::Level::Warn => tracing::Level::WARN,
        log::Level::Error => tracing::Level::ERROR,
    }
}

impl settings::Host for Host {
    fn json(&mut self) -> wasmtime::Result<String> {
        self.in_time()?;
        Ok(self.config.to_string())
    }
}

impl Host {
    /// The lent job, for one host call.
    fn lent(&mut self) -> wasmtime::Result<Arc<dyn checks::Snapshot>> {
        self.in_time()?;
        self.job
            .clone()
            .ok_or_else(|| wasmtime::Error::msg("no job was lent"))
    }
}

/// Returns the most bytes that a read may give.
fn bounded(len: u32) -> Result<u32, job::ReadError> {
    if u64::from(len) > Limits::READ {
        Err(job::ReadError::TooLarge(Limits::READ))
    } else {
        Ok(len)
    }
}

impl job::Host for Host {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent()?.id())
    }

    fn task(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent()?.task())
    }

    fn changed_files(&mut self) -> wasmtime::Result<Vec<job::ChangedFile>> {
        Ok(each(self.lent()?.changed()))
    }

    fn commands(&mut self) -> wasmtime::Result<Vec<job::Command>> {
        Ok(each(self.lent()?.commands()))
    }

    fn changed_lines(
        &mut self,
        path: String,
        moment: job::Moment,
        after_line: u64,
        max_bytes: u32,
    ) -> Reading<job::LinePage> {
        let page = self
            .lent()?
            .changed_lines(&path, moment.into(), after_line, max_bytes);
        Ok(page.map(Into::into).map_err(job::ReadError::from))
    }

    fn diff(&mut self, path: Option<String>) -> Reading<Vec<u8>> {
        let diff = self.lent()?.diff(path.as_deref());
        Ok(match diff {
            // Never a part of it, nor nothing: a check would pass what it did not see.
            Ok(diff) if diff.len() as u64 > Limits::READ => {
                Err(job::ReadError::TooLarge(Limits::READ))
            }
            diff => diff.map_err(job::ReadError::from),
        })
    }

    fn read(
        &mut self,
        path: String,
        moment: job::Moment,
        offset: u64,
        max_bytes: u32,
    ) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        Ok(bounded(max_bytes)
            .and_then(|max_bytes| Ok(job.read(&path, moment.into(), offset, max_bytes)?)))
    }

    fn read_output(&mut self, command: u32, offset: u64, max_bytes: u32) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        Ok(bounded(max_bytes)
            .and_then(|max_bytes| Ok(job.read_output(command as usize, offset, max_bytes)?)))
    }

    fn agent_message(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent()?.agent_message())
    }
}

/// Paths that one page of `find` has.
const PATHS: usize = 10_000;

impl files::Host for Host {
    fn find(&mut self, glob: String, after: Option<String>) -> Reading<files::PathPage> {
        let found = match self.lent()?.find(&glob) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut paths = found.into_iter();
        let mut paths = paths
            .by_ref()
            .filter(|path| after.as_ref().is_none_or(|after| path > after))
            .filter(|path| self.grants.allows_file(path));
        let page = files::PathPage {
            paths: paths.by_ref().take(PATHS).collect(),
            more: paths.next().is_some(),
        };
        Ok(Ok(page))
    }

    fn read(&mut self, path: String, offset: u64, max_bytes: u32) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        if !self.grants.allows_file(&path) {
            return Ok(Err(job::ReadError::NotGranted));
        }
        Ok(bounded(max_bytes).and_then(|max_bytes| Ok(job.read_tree(&path, offset, max_bytes)?)))
    }
}

/// The handle of a finding that is not kept.
const NOT_KEPT: u32 = u32::MAX;

impl findings::Host for Host {
    fn remaining(&mut self) -> wasmtime::Result<u32> {
        self.in_time()?;
        Ok(u32::try_from(self.sink.remaining()).unwrap_or(u32::MAX))
    }
}

impl Host {
    /// Adds something of so many bytes to the finding behind a handle.
    fn describe(
        &mut self,
        entry: &Resource<Entry>,
        bytes: usize,
        act: impl FnOnce(&mut Finding),
    ) -> wasmtime::Result<()> {
        self.in_time()?;
        if entry.rep() != NOT_KEPT {
            self.sink.with(entry.rep() as usize, bytes, act);
        }
        // What is far too much is not even kept until the run ends.
        if self.sink.bytes() > self.output.saturating_mul(2) {
            return Err(wasmtime::Error::new(ReportTooLong));
        }
        Ok(())
    }
}

impl findings::HostFinding for Host {
    fn new(
        &mut self,
        rule: String,
        severity: findings::Severity,
        message: String,
    ) -> wasmtime::Result<Resource<Entry>> {
        self.in_time()?;
        let number = self.sink.add(Finding::new(rule, severity.into(), message));
        let rep = number.and_then(|number| u32::try_from(number).ok());
        Ok(Resource::new_own(rep.unwrap_or(NOT_KEPT)))
    }

    fn at(&mut self, entry: Resource<Entry>, place: findings::Place) -> wasmtime::Result<()> {
        let bytes = place.path.len();
        self.describe(&entry, bytes, |finding| match &finding.place {
            None => finding.place = Some(place.into()),
            Some(_) => finding.related.push(place.into()),
        })
    }

    fn hint(&mut self, entry: Resource<Entry>, text: String) -> wasmtime::Result<()> {
        let bytes = text.len();
        self.describe(&entry, bytes, |finding| finding.hint = Some(text))
    }

    fn fix(
        &mut self,
        entry: Resource<Entry>,
        place: findings::Place,
        text: String,
    ) -> wasmtime::Result<()> {
        let bytes = place.path.len() + text.len();
        let place = place.into();
        self.describe(&entry, bytes, |finding| {
            finding.fixes.push(Fix { place, text })
        })
    }

    fn link(&mut self, entry: Resource<Entry>, url: String) -> wasmtime::Result<()> {
        let bytes = url.len();
        self.describe(&entry, bytes, |finding| finding.link = Some(url))
    }

    fn property(
        &mut self,
        entry: Resource<Entry>,
        name: String,
        value: String,
    ) -> wasmtime::Result<()> {
        let bytes = name.len() + value.len();
        self.describe(&entry, bytes, |finding| {
            finding.properties.insert(name, value);
        })
    }

    fn drop(&mut self, _: Resource<Entry>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl From<findings::Place> for Location {
    fn from(place: findings::Place) -> Self {
        let known = |number: u32| Some(number).filter(|number| *number > 0);
        Location {
            path: place.path,
            line: known(place.start_line),
            column: known(place.start_column),
            end_line: known(place.end_line),
            end_column: known(place.end_column),
        }
    }
}

impl input::Host for Host {
    fn text_size(&mut self) -> wasmtime::Result<u64> {
        self.in_time()?;
        Ok(self.text.as_ref().map_or(0, |text| text.len() as u64))
    }

    fn read_text(&mut self, offset: u64, max_bytes: u32) -> wasmtime::Result<Vec<u8>> {
        self.in_time()?;
        let text = self.text.as_deref().unwrap_or_default().as_bytes();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(text.len());
        let most = usize::try_from(u64::from(max_bytes).min(Limits::READ)).unwrap_or(usize::MAX);
        let end = start.saturating_add(most).min(text.len());
        Ok(text.get(start..end).unwrap_or_default().to_vec())
    }
}

impl From<ReadError> for job::ReadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => job::ReadError::NotFound,
            ReadError::NotGranted => job::ReadError::NotGranted,
            ReadError::TooLarge(limit) => job::ReadError::TooLarge(limit),
            ReadError::Other(message) => job::ReadError::Other(message),
        }
    }
}

alike!(enum checks::FileKind => job::FileKind { Regular, Executable, Symlink, Submodule, Other(word) });
alike!(struct checks::FileState => job::FileState { kind, mode, size, binary, object_id });
alike!(struct checks::ChangedFile => job::ChangedFile { path, previous_path, before: state, after: state, allowed });
alike!(struct checks::Command => job::Command { name, argv, exit_code, timed_out, wall_ms, output_size });
alike!(enum job::Moment => checks::Moment { Before, After });
alike!(struct checks::ChangedLine => job::ChangedLine { number, text });
alike!(struct checks::LinePage => job::LinePage { lines: each, more });
alike!(enum findings::Severity => checks::Severity { Note, Warning, Error });

fn state(state: Option<checks::FileState>) -> Option<job::FileState> {
    state.map(Into::into)
}
