//! What the host gives a plugin: a log, its settings, and, where they were granted, the clock, the job and its files.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::component::Resource;

use super::bindings::{Lent, clock, config, files, job, log, types};
use crate::Limits;
use crate::check::{self as checks, ReadError};
use crate::convert::{alike, each};
use crate::host::Host;

/// What a check reads; the outer error ends the call.
type Reading<T> = wasmtime::Result<Result<T, job::ReadError>>;

impl types::Host for Host {}

impl log::Host for Host {
    fn write(
        &mut self,
        level: types::Level,
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

    fn enabled(&mut self, level: types::Level) -> wasmtime::Result<bool> {
        self.in_time()?;
        Ok(match level_of(level) {
            tracing::Level::TRACE => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
            tracing::Level::DEBUG => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
            _ => true,
        })
    }
}

fn level_of(level: types::Level) -> tracing::Level {
    match level {
        types::Level::Trace => tracing::Level::TRACE,
        types::Level::Debug => tracing::Level::DEBUG,
        types::Level::Info => tracing::Level::INFO,
        types::Level::Warn => tracing::Level::WARN,
        types::Level::Error => tracing::Level::ERROR,
    }
}

impl config::Host for Host {
    fn json(&mut self) -> wasmtime::Result<String> {
        self.in_time()?;
        Ok(self.config.to_string())
    }
}

impl clock::Host for Host {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.in_time()?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
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

/// What a read may give at most.
fn bounded(len: u32) -> Result<u32, job::ReadError> {
    if u64::from(len) > Limits::READ {
        Err(job::ReadError::TooLarge(Limits::READ))
    } else {
        Ok(len)
    }
}

impl job::Host for Host {}

impl job::HostSnapshot for Host {
    fn id(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.id())
    }

    fn task(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.task())
    }

    fn changed(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<job::ChangedFile>> {
        Ok(each(self.lent()?.changed()))
    }

    fn commands(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<job::Command>> {
        Ok(each(self.lent()?.commands()))
    }

    fn diff_size(&mut self, _: Resource<Lent>) -> wasmtime::Result<u64> {
        Ok(self.lent()?.diff_size())
    }

    fn changed_lines(
        &mut self,
        _: Resource<Lent>,
        path: String,
        side: job::Side,
        after_line: u64,
        max_bytes: u32,
    ) -> Reading<job::LinePage> {
        let page = self
            .lent()?
            .changed_lines(&path, side.into(), after_line, max_bytes);
        Ok(page.map(Into::into).map_err(job::ReadError::from))
    }

    fn diff(&mut self, _: Resource<Lent>, path: Option<String>) -> Reading<String> {
        let diff = self.lent()?.diff(path.as_deref());
        Ok(match diff {
            // Never a part of it, nor nothing: a check would pass what it did not see.
            Ok(diff) if diff.len() as u64 > Limits::READ => {
                Err(job::ReadError::TooLarge(Limits::READ))
            }
            diff => diff.map_err(job::ReadError::from),
        })
    }

    fn read(&mut self, _: Resource<Lent>, path: String, offset: u64, len: u32) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        Ok(bounded(len).and_then(|len| Ok(job.read(&path, offset, len)?)))
    }

    fn read_base(
        &mut self,
        _: Resource<Lent>,
        path: String,
        offset: u64,
        len: u32,
    ) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        Ok(bounded(len).and_then(|len| Ok(job.read_base(&path, offset, len)?)))
    }

    fn read_output(
        &mut self,
        _: Resource<Lent>,
        command: u32,
        which: job::Output,
        offset: u64,
        len: u32,
    ) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        Ok(bounded(len)
            .and_then(|len| Ok(job.read_output(command as usize, which.into(), offset, len)?)))
    }

    fn agent_message(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.agent_message())
    }

    fn drop(&mut self, lent: Resource<Lent>) -> wasmtime::Result<()> {
        self.table.delete(lent)?;
        Ok(())
    }
}

impl files::Host for Host {
    fn find(&mut self, _: Resource<Lent>, glob: String) -> Reading<Vec<String>> {
        let found = self.lent()?.find(&glob);
        Ok(found.map_err(job::ReadError::from).map(|mut paths| {
            paths.retain(|path| self.grants.allows_file(path));
            paths.truncate(10_000);
            paths
        }))
    }

    fn read(&mut self, _: Resource<Lent>, path: String, offset: u64, len: u32) -> Reading<Vec<u8>> {
        let job = self.lent()?;
        if !self.grants.allows_file(&path) {
            return Ok(Err(job::ReadError::NotGranted));
        }
        Ok(bounded(len).and_then(|len| Ok(job.read_tree(&path, offset, len)?)))
    }
}

impl From<ReadError> for job::ReadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => job::ReadError::NotFound,
            ReadError::NotGranted => job::ReadError::NotGranted,
            ReadError::TooLarge(limit) => job::ReadError::TooLarge(limit),
            ReadError::Io(message) => job::ReadError::Io(message),
        }
    }
}

alike!(enum checks::Change => job::Change { Added, Modified, Deleted, Renamed, TypeChanged, ModeChanged });
alike!(struct checks::ChangedFile => job::ChangedFile { path, change, previous_path, size, binary, allowed });
alike!(struct checks::Command => job::Command { name, argv, exit_code, timed_out, wall_ms, stdout_size, stderr_size });
alike!(enum job::Side => checks::Side { Added, Removed });
alike!(struct checks::ChangedLine => job::ChangedLine { number, text });
alike!(struct checks::LinePage => job::LinePage { lines: each, more });
alike!(enum job::Output => checks::Output { Stdout, Stderr });
