//! The host's state of one instance of a plugin, and its functions for the plugin: version-free, `v1` binds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{Deterministic, WasiCtx, WasiCtxView, WasiView};

use super::Limits;
use super::check::{Sink, Snapshot};
use super::engine::TICK;
use super::grants::Grants;
use super::log::PluginLog;

/// The state of one instance.
pub(super) struct Host {
    /// The plugin's name, for its log lines.
    pub(super) plugin: Arc<str>,
    /// The settings, as JSON.
    pub(super) config: Arc<str>,
    pub(super) grants: Arc<Grants>,
    pub(super) limiter: Limiter,
    pub(super) deadline: Deadline,
    /// Handles that the host lent.
    pub(super) table: ResourceTable,
    /// The job that a check looks at.
    pub(super) job: Option<Arc<dyn Snapshot>>,
    /// The findings.
    pub(super) sink: Sink,
    /// The text that a summarizer shortens.
    pub(super) text: Option<Arc<str>>,
    /// Bytes that an answer may have.
    pub(super) output: u64,
    pub(super) log: Log,
    /// Only for components that import WASI.
    wasi: Option<WasiCtx>,
    /// The standard output and standard error of such a component.
    prints: Prints,
}

impl Host {
    pub(super) fn new(
        plugin: Arc<str>,
        config: Arc<str>,
        grants: Arc<Grants>,
        limits: &Limits,
        wasi: bool,
        job_log: Option<Arc<PluginLog>>,
    ) -> Self {
        let clock = grants.clock;
        let mut table = ResourceTable::new();
        table.set_max_capacity(Limits::HANDLES);
        let prints = Prints::new();
        Host {
            plugin,
            config,
            grants,
            limiter: Limiter {
                memory: limits.memory,
                used: 0,
                denied: None,
            },
            deadline: Deadline::start(Limits::START),
            table,
            job: None,
            sink: Sink::default(),
            text: None,
            output: limits.output,
            log: Log {
                left: limits.log,
                dropped: 0,
                last_error: None,
                job: job_log,
            },
            wasi: wasi.then(|| inert_wasi(&prints, clock)),
            prints,
        }
    }

    /// Logs what the plugin printed since the last time. When it broke down, the reason is in it: runtimes of other
    /// languages print an exception and give up.
    pub(super) fn log_prints(&mut self, broke_down: bool) {
        let printed = self.prints.take();
        let Some(reason) = printed_reason(&printed) else {
            return;
        };
        if !broke_down {
            return self.write_log(tracing::Level::INFO, &printed);
        }
        let reason = redact::text::one_line(reason, 400);
        self.write_log(tracing::Level::WARN, &printed);
        self.log.last_error.get_or_insert(reason);
    }

    /// Ends a call that is over its time, also when it spends it in host functions, which epochs do not interrupt.
    pub(super) fn in_time(&mut self) -> wasmtime::Result<()> {
        if self.deadline.over() {
            Err(wasmtime::Error::new(Overrun))
        } else {
            Ok(())
        }
    }
}

/// A call took too long.
#[derive(Debug, thiserror::Error)]
#[error("took too long")]
pub(super) struct Overrun;

/// A report has more text than is taken.
#[derive(Debug, thiserror::Error)]
#[error("a report is too long")]
pub(super) struct ReportTooLong;

/// Until when a call may run. Counted in time of the processor, so that a loaded machine fails no innocent plugin; on
/// the clock it may take ten times that and a second.
pub(super) struct Deadline {
    pub(super) limit: Duration,
    began: Instant,
    /// The processor time of this thread at the beginning of the call, as it was reckoned at the first look: a call that is over
    /// before is not charged for asking.
    began_processor: Option<Duration>,
}

impl Deadline {
    /// Counts from now, for the thread that asks.
    pub(super) fn start(limit: Duration) -> Self {
        Deadline {
            limit,
            began: Instant::now(),
            began_processor: None,
        }
    }

    /// Looks, at every tick of the clock, how long the call has run.
    pub(super) fn look(&mut self) {
        if self.began_processor.is_none() {
            // Until the first tick it had the processor to itself, or the tick is late.
            let ran = self.began.elapsed().min(TICK);
            self.began_processor = processor_time().map(|now| now.saturating_sub(ran));
        }
    }

    pub(super) fn over(&mut self) -> bool {
        let clock = self.began.elapsed();
        if clock < self.limit {
            return false;
        }
        self.look();
        let processor = processor_time()
            .zip(self.began_processor)
            .map(|(now, began)| now.saturating_sub(began));
        processor.is_none_or(|used| used >= self.limit)
            || clock >= self.limit * 10 + Duration::from_secs(1)
    }
}

/// Time of the processor that this thread has used.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn processor_time() -> Option<Duration> {
    None
}

/// Bounds the memory of all linear memories and tables of one instance together.
pub(super) struct Limiter {
    memory: u64,
    pub(super) used: u64,
    /// The refusal, as a clause for the error: allocators abort with a trap that says nothing.
    pub(super) denied: Option<String>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self
            .used
            .saturating_add(desired.saturating_sub(current) as u64);
        if used > self.memory {
            self.denied = Some(format!(
                "needs more than {} of memory",
                super::limits::bytes(self.memory)
            ));
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > Limits::TABLE_ENTRIES {
            self.denied = Some(format!(
                "needs a table of more than {} entries",
                Limits::TABLE_ENTRIES
            ));
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        Limits::INSTANCES
    }

    fn tables(&self) -> usize {
        Limits::TABLES
    }

    fn memories(&self) -> usize {
        Limits::MEMORIES
    }
}

/// The log of one instance.
pub(super) struct Log {
    left: u64,
    dropped: u64,
    /// The last line of level error: the message of a panic, which the trap does not carry.
    pub(super) last_error: Option<String>,
    /// The log from which the job's log takes it.
    job: Option<Arc<PluginLog>>,
}

impl Host {
    /// Writes one line of the plugin's, cut and counted.
    pub(super) fn write_log(&mut self, level: tracing::Level, message: &str) {
        let message = cut_at_space(message, Limits::MESSAGE);
        if level == tracing::Level::ERROR {
            self.log.last_error = Some(redact::text::one_line(message, 400));
        }
        match self.log.left.checked_sub(message.len() as u64 + 1) {
            Some(left) => self.log.left = left,
            None => {
                if self.log.dropped == 0 {
                    tracing::warn!(target: "plugin", plugin = %self.plugin, "writes too much: further lines are dropped");
                }
                self.log.dropped += 1;
                return;
            }
        }
        let plugin = &*self.plugin;
        if let Some(job) = &self.log.job {
            job.tell(plugin, level, message);
        }
        match level {
            tracing::Level::ERROR => tracing::error!(target: "plugin", plugin, "{message}"),
            tracing::Level::WARN => tracing::warn!(target: "plugin", plugin, "{message}"),
            tracing::Level::INFO => tracing::info!(target: "plugin", plugin, "{message}"),
            tracing::Level::DEBUG => tracing::debug!(target: "plugin", plugin, "{message}"),
            tracing::Level::TRACE => tracing::trace!(target: "plugin", plugin, "{message}"),
        }
    }
}

/// The first `most` bytes of a text without the word that does not fit whole: half a secret is one that no redactor
/// knows.
fn cut_at_space(text: &str, most: usize) -> &str {
    let start = redact::text::prefix(text, most);
    if start.len() == text.len() {
        return text;
    }
    let end = start.rfind(char::is_whitespace);
    end.and_then(|end| start.get(..end))
        .unwrap_or("(a line without a space, too long to be kept)")
}

/// Returns the reason of its end that a runtime printed: the exception below Python's last traceback, the one that JavaScript's
/// engine could not return as a fault, else the last line.
fn printed_reason(printed: &str) -> Option<&str> {
    let words = |text: &'_ str| !text.trim().is_empty();
    let python = || {
        let (_, traceback) = printed.rsplit_once("Traceback (most recent call last):")?;
        let mut lines = traceback.lines();
        lines.find(|line| words(line) && !line.starts_with(' '))
    };
    let javascript = || {
        let (_, said) = printed.rsplit_once("(received `")?;
        let (exception, _) = said.rsplit_once("`) specified for `")?;
        Some(exception)
    };
    let quickjs = || {
        let (_, said) = printed.rsplit_once("Exception { message: Some(\"")?;
        let (exception, _) = said.split_once("\"), stack:")?;
        Some(exception)
    };
    let go = || {
        let mut lines = printed.lines();
        lines.find_map(|line| {
            let panic = line.strip_prefix("panic: ");
            panic.or_else(|| line.strip_prefix("fatal error: "))
        })
    };
    let known = python().or_else(javascript).or_else(quickjs).or_else(go);
    known.or_else(|| {
        let note = |line: &str| line.contains("RUST_BACKTRACE");
        let mut lines = printed.lines().rev();
        lines.find(|line| words(line) && !note(line))
    })
}

/// WASI for components whose language runtime cannot do without: no files, no network, no environment, no arguments, and
/// the same random numbers each time. Its clocks are the machine's where the operator grants that, else counters.
fn inert_wasi(prints: &Prints, clock: bool) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(prints.pipe.clone())
        .stderr(prints.pipe.clone())
        .secure_random(Deterministic::new((0..=255).collect()))
        .insecure_random(Deterministic::new((0..=255).collect()))
        .insecure_random_seed(0)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(1 << 16);
    if !clock {
        wasi.wall_clock(StoppedClock)
            .monotonic_clock(CountingClock::default());
    }
    wasi.build()
}

/// The standard output and error of a component: kept up to a bound, after which the streams are closed.
struct Prints {
    pipe: MemoryOutputPipe,
    taken: usize,
}

impl Prints {
    fn new() -> Self {
        Prints {
            pipe: MemoryOutputPipe::new(64 << 10),
            taken: 0,
        }
    }

    fn take(&mut self) -> String {
        let all = self.pipe.contents();
        let new = all.get(self.taken..).unwrap_or_default();
        self.taken = all.len();
        String::from_utf8_lossy(new).into_owned()
    }
}

struct StoppedClock;

impl wasmtime_wasi::HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// A clock that goes on by a microsecond each time it is asked: a runtime that waits for time to pass (Go's does, before it
/// runs anything) gets on, and two runs with the same input see the same times.
#[derive(Default)]
struct CountingClock(AtomicU64);

impl wasmtime_wasi::HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        1000
    }
    fn now(&self) -> u64 {
        self.0.fetch_add(1000, Ordering::Relaxed) + 1000
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self
                .wasi
                .get_or_insert_with(|| inert_wasi(&self.prints, false)),
            table: &mut self.table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_exception_and_not_what_the_runtime_adds() {
        let python = "on the way\nTraceback (most recent call last):\n  File \"/0/plugin.py\", line 4, in run\nKeyError: 'a'\n\n\
             During handling of the above exception, another exception occurred:\n\n\
             Traceback (most recent call last):\n  File \"/0/plugin.py\", line 9, in run\nValueError: the moon is full\n\
             thread '<unnamed>' panicked\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(printed_reason(python), Some("ValueError: the moon is full"));
        let javascript = "on the way\nwarning: invalid variant tag value `undefined` (received `Error: the `moon` is\nfull`) \
             specified for `Fault`\nStack:\n  run@/tmp/initializer.js:1059:17\nRedirecting call to abort() to mozalloc_abort\n";
        assert_eq!(
            printed_reason(javascript),
            Some("Error: the `moon` is\nfull")
        );
        let quickjs = "on the way\nthread '<unnamed>' (1) panicked at crates/runtime/src/interpreter.rs:51:31:\n\
             Failed to call 'run': Value(Exception(\nException { message: Some(\"the moon is full\"), stack: Some(\"  at run\\n\") })\n)\n";
        assert_eq!(printed_reason(quickjs), Some("the moon is full"));
        let go = "on the way\npanic: the moon is full\n\ngoroutine 1 [running]:\nworker.local/plugin.Run(...)\n\t/plugin.go:9\n";
        assert_eq!(printed_reason(go), Some("the moon is full"));
        assert_eq!(printed_reason("one\ntwo\n\n"), Some("two"));
        assert_eq!(printed_reason(" \n"), None);
    }

    /// Go's runtime waits for it to go on before it runs anything.
    #[test]
    fn without_the_grant_a_clock_counts_its_questions_the_same_in_every_run() {
        use wasmtime_wasi::{HostMonotonicClock as _, HostWallClock as _};
        let asked = || {
            let clock = CountingClock::default();
            [clock.now(), clock.now(), clock.now()]
        };
        assert!(asked().is_sorted_by(|before, after| before < after) && asked()[0] > 0);
        assert_eq!(asked(), asked());
        assert_eq!(StoppedClock.now(), Duration::ZERO, "no time of day");
    }

    #[test]
    fn a_message_that_is_cut_ends_before_the_word_that_does_not_fit() {
        assert_eq!(cut_at_space("key abcdef", 20), "key abcdef");
        assert_eq!(cut_at_space("key abcdef", 7), "key");
        assert_eq!(
            cut_at_space("abcdef", 3),
            "(a line without a space, too long to be kept)"
        );
    }
}
