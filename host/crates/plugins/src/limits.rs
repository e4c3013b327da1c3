//! The limits of one call of a plugin.

use std::time::Duration;

use super::Kind;

/// One mebibyte.
const MIB: u64 = 1 << 20;

/// The limits of one plugin: the defaults of its kind, changed by the operator's `limits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory of one instance.
    pub memory: u64,
    /// The longest that one call may take, in time of the processor; ten times that and a second on the clock.
    pub deadline: Duration,
    /// Added to the deadline for each mebibyte of input.
    pub deadline_per_mib: Duration,
    /// Bytes that one answer may have.
    pub output: u64,
    /// Bytes of log that one instance may write; what is beyond is dropped and counted.
    pub log: u64,
}

impl Limits {
    /// The longest that an instance may take to start: to initialise its memory, read its settings, describe itself.
    pub const START: Duration = Duration::from_secs(5);
    /// Bytes that one read of a file, a diff or an output may give to a check.
    pub const READ: u64 = 16 * MIB;
    /// Findings of one report.
    pub const FINDINGS: usize = 1000;
    /// Bytes of one window for a redactor.
    pub const WINDOW: usize = 256 << 10;
    /// Bytes of text for a summarizer.
    pub const TEXT: usize = 32 << 20;
    /// Bytes of a request or reply for a dialect.
    pub const BODY: usize = 16 << 20;
    /// The longest that a dialect may take for a whole request or reply.
    pub const WHOLE_BODY: Duration = Duration::from_secs(1);
    /// Bytes of one log message.
    pub const MESSAGE: usize = 4 << 10;
    /// Core instances within one component (a Rust plugin has 1 to 4, a Python plugin about 25).
    pub const INSTANCES: usize = 64;
    /// Tables within one component.
    pub const TABLES: usize = 64;
    /// Entries of one table.
    pub const TABLE_ENTRIES: usize = 100_000;
    /// Linear memories within one component.
    pub const MEMORIES: usize = 8;
    /// Handles that one instance may hold at a time: more than findings, which languages with a garbage collector give back
    /// late.
    pub const HANDLES: usize = 4096;

    /// The defaults of a kind.
    pub fn of(kind: Kind) -> Self {
        let limits = Limits {
            memory: 64 * MIB,
            deadline: Duration::from_secs(2),
            deadline_per_mib: Duration::ZERO,
            output: MIB,
            log: 64 << 10,
        };
        match kind {
            Kind::Check => Limits {
                // An estimate of what bundled checks read in a second, not a measurement.
                deadline_per_mib: Duration::from_millis(200),
                ..limits
            },
            Kind::Summarizer => Limits {
                memory: 128 * MIB,
                deadline: Duration::from_secs(1),
                output: 4 * MIB,
                ..limits
            },
            Kind::Redactor => Limits {
                // An ordinary window takes a millisecond or less. Windows of lines made to hurt take up to a tenth of a
                // second (`cargo bench --bench redaction hostile`) and are to be scanned, not withheld: five times
                // that is for slower machines.
                deadline: Duration::from_millis(500),
                deadline_per_mib: Duration::from_secs(1),
                output: 8 * MIB,
                ..limits
            },
            Kind::Dialect => Limits {
                deadline: Duration::from_millis(100),
                output: 32 * MIB,
                ..limits
            },
        }
    }

    /// The longest that a call with so much input may take.
    pub(super) fn call(&self, input: usize) -> Duration {
        let share = self.deadline_per_mib.mul_f64(input as f64 / MIB as f64);
        self.deadline.saturating_add(share)
    }
}

/// `64 MiB`, `100 KiB`, `12 bytes`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        count if count >= MIB && count.is_multiple_of(MIB) => format!("{} MiB", count / MIB),
        count if count >= 1024 && count.is_multiple_of(1024) => format!("{} KiB", count / 1024),
        count => format!("{count} bytes"),
    }
}

/// `2 s`, `50 ms`.
pub(super) fn duration(time: Duration) -> String {
    match time.as_millis() {
        millis if millis >= 1000 && millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}
