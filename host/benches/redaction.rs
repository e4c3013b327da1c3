//! The speed of redaction through the bundled component, and the cost of a hostile line.
//!
//! `cargo bench --bench redaction [-- SECTION...]`, sections: first, speed, hostile, memory. Time of the processor, so that other
//! work on the machine counts less; the best of several passes. `cargo bench -p secrets` has the same texts natively.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugins::{Engine, Kind, Limits, PluginSet, PluginSettings};
use redact::{
    KnownValues, Redactor, ScanError, ScanNeeds, Scanner, ScannerSource, Verdicts, Window,
};

mod corpus;

const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let sections: [(&str, fn()); 4] = [
        ("first", first),
        ("speed", speed),
        ("hostile", hostile),
        ("memory", memory),
    ];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            section();
        }
    }
}

/// Time of the processor that this thread has used; redaction works on the caller's thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

fn best(count: usize, mut run: impl FnMut()) -> Duration {
    (0..count)
        .map(|_| {
            let began = processor_time();
            run();
            processor_time() - began
        })
        .min()
        .unwrap()
}

/// The bundled redactors, watched.
fn sources(prefilter: bool, watch: &Arc<Watch>) -> Vec<Arc<dyn ScannerSource>> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cache");
    let engine = Engine::shared(&cache).expect("an engine");
    PluginSet::load(&engine, &PluginSettings::default())
        .redactors()
        .into_iter()
        .map(|source| {
            Arc::new(WatchedSource {
                source,
                prefilter,
                watch: Arc::clone(watch),
            }) as Arc<dyn ScannerSource>
        })
        .collect()
}

/// The cost of single windows.
#[derive(Default)]
struct Watch(Mutex<Seen>);

#[derive(Default, Clone, Copy)]
struct Seen {
    windows: usize,
    bytes: usize,
    time: Duration,
    /// The window that took longest, and its size.
    worst: (Duration, usize),
    /// Of windows, the most of its deadline that one took.
    share: f64,
}

impl Watch {
    fn take(&self) -> Seen {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct WatchedSource {
    source: Arc<dyn ScannerSource>,
    prefilter: bool,
    watch: Arc<Watch>,
}

struct Watched {
    scanner: Box<dyn Scanner>,
    needs: ScanNeeds,
    watch: Arc<Watch>,
}

impl ScannerSource for WatchedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
        let scanner = self.source.start()?;
        let mut needs = scanner.needs().clone();
        if !self.prefilter {
            needs.prefilter.clear();
        }
        Ok(Box::new(Watched {
            scanner,
            needs,
            watch: Arc::clone(&self.watch),
        }))
    }
}

impl Scanner for Watched {
    fn needs(&self) -> &ScanNeeds {
        &self.needs
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError> {
        let began = processor_time();
        let answer = self.scanner.scan(window);
        let took = processor_time() - began;
        let mut seen = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.windows += 1;
        seen.bytes += window.bytes.len();
        seen.time += took;
        if took > seen.worst.0 {
            seen.worst = (took, window.bytes.len());
        }
        let limits = Limits::of(Kind::Redactor);
        let share = limits
            .deadline_per_mib
            .mul_f64(window.bytes.len() as f64 / MIB);
        let deadline = limits.deadline + share;
        seen.share = seen.share.max(took.as_secs_f64() / deadline.as_secs_f64());
        answer
    }
}

fn speed() {
    const SIZE: usize = 8 << 20;
    println!("\n## speed: MB/s a core (goal 50), texts of 8 MiB\n");
    println!(
        "| text | component, prefiltered | component, every byte | of it within the component | windows |\n|---|---|---|---|---|"
    );
    let watch = Arc::new(Watch::default());
    let fast = Redactor::new(KnownValues::new(), sources(true, &watch));
    let full = Redactor::new(KnownValues::new(), sources(false, &watch));
    let rate = |time: Duration| SIZE as f64 / time.as_secs_f64() / 1e6;
    for sample in corpus::ordinary(SIZE) {
        let bytes = sample.text.as_bytes();
        let stream = |redactor: &Redactor| {
            let mut stream = redactor.stream();
            let mut length = 0;
            for chunk in bytes.chunks(64 << 10) {
                length += stream.push(chunk).len();
            }
            length + stream.finish().len()
        };
        stream(&fast);
        watch.take();
        let prefiltered = best(5, || {
            stream(&fast);
        });
        let seen = watch.take();
        let every = best(5, || {
            stream(&full);
        });
        println!(
            "| {} | {:.0} | {:.0} | {:.0} % | {} of {:.1} KB |",
            sample.name,
            rate(prefiltered),
            rate(every),
            seen.time.as_secs_f64() / (prefiltered.as_secs_f64() * 5.0) * 100.0,
            seen.windows / 5,
            seen.bytes as f64 / seen.windows.max(1) as f64 / 1e3
        );
    }
}

/// Measures the cost of an instance before its first verdict.
fn first() {
    println!(
        "\n## first: start and first window of 100 bytes, us of processor time, the best of 20\n"
    );
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cache");
    let engine = Engine::shared(&cache).expect("an engine");
    let text = "an ordinary line of a log, nothing in it, ".repeat(3);
    let look = |source: &Arc<dyn ScannerSource>| {
        let mut scanner = source.start().expect("an instance");
        let window = Window {
            bytes: &text.as_bytes()[..100],
            decided: 0,
            last: true,
        };
        scanner.scan(window).expect("verdicts");
        scanner
    };
    let (mut fresh, mut further) = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        let sources = PluginSet::load(&engine, &PluginSettings::default()).redactors();
        let began = processor_time();
        let alive: Vec<_> = sources.iter().map(look).collect();
        fresh = fresh.min(processor_time() - began);
        let began = processor_time();
        sources.iter().for_each(|source| drop(look(source)));
        further = further.min(processor_time() - began);
        drop(alive);
    }
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "the first of a process, which tells what it needs to see: {:.0}; each further one: {:.0}",
        us(fresh),
        us(further)
    );
}

fn hostile() {
    const SIZE: usize = 256 << 10;
    const PIECES: [usize; 4] = [SIZE, 4 << 10, 1 << 10, 7];
    println!("\n## hostile: single lines of 256 KiB, ms of processor time (goal 2000)\n");
    println!(
        "| line | in one piece | in pieces of 4 KiB | 1 KiB | 7 bytes | worst window | share of its deadline | withheld |\n|---|---|---|---|---|---|---|---|"
    );
    let watch = Arc::new(Watch::default());
    let redactor = Redactor::new(KnownValues::new(), sources(true, &watch));
    redactor.text("warm");
    watch.take();
    let mut most = [(0f64, ""); PIECES.len()];
    let mut most_share = (0f64, "");
    let samples = corpus::hostile(SIZE);
    for sample in &samples {
        let mut withheld = false;
        let mut row = format!("| {} |", sample.name);
        for (piece, most) in PIECES.into_iter().zip(&mut most) {
            let began = processor_time();
            let mut stream = redactor.stream();
            for chunk in sample.text.as_bytes().chunks(piece) {
                withheld |= stream.push(chunk).contains("[redacted:withheld]");
            }
            withheld |= stream.finish().contains("[redacted:withheld]");
            let took = (processor_time() - began).as_secs_f64() * 1e3;
            if took > most.0 {
                *most = (took, sample.name);
            }
            row.push_str(&format!(" {took:.0} |"));
        }
        let seen = watch.take();
        if seen.share > most_share.0 {
            most_share = (seen.share, sample.name);
        }
        println!(
            "{row} {:.1} ms for {} KB | {:.0} % | {} |",
            seen.worst.0.as_secs_f64() * 1e3,
            seen.worst.1 / 1000,
            seen.share * 100.0,
            if withheld { "YES" } else { "no" }
        );
    }
    println!("\nmost of {} lines:", samples.len());
    for (piece, (took, name)) in PIECES.into_iter().zip(most) {
        println!("- in pieces of {piece} bytes: {took:.0} ms, {name}");
    }
    println!(
        "- of a window's deadline: {:.0} %, {}",
        most_share.0 * 100.0,
        most_share.1
    );
}

fn resident_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

/// A stream keeps what it must and no more.
fn memory() {
    println!("\n## memory: 128 MiB through one stream\n");
    let watch = Arc::new(Watch::default());
    let redactor = Redactor::new(KnownValues::new(), sources(true, &watch));
    for sample in corpus::ordinary(4 << 20)
        .into_iter()
        .chain([corpus::Sample {
            name: "one line of base64 without end",
            text: "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVph".repeat((4 << 20) / 36),
        }])
    {
        // The second round has what the allocator and the pool keep.
        let mut grown = 0;
        let mut held = 0i64;
        for _ in 0..2 {
            let before = resident_kib("VmRSS");
            let mut most = before;
            let mut stream = redactor.stream();
            let (mut given, mut got) = (0i64, 0i64);
            for _ in 0..32 {
                for chunk in sample.text.as_bytes().chunks(16 << 10) {
                    given += chunk.len() as i64;
                    got += stream.push(chunk).len() as i64;
                    // Only where nothing was cut does the difference say what is held back.
                    held = held.max(given - got);
                }
                most = most.max(resident_kib("VmRSS"));
            }
            stream.finish();
            grown = most - before;
        }
        println!(
            "{}: grows by {grown} KiB{}",
            sample.name,
            if sample.name.contains("secret") {
                String::new()
            } else {
                format!(", holds back at most {held} bytes")
            }
        );
    }
}
