//! The cost of plugins: to load, to make an instance of, to call, to start with, to get rid of.
//!
//! `cargo bench --bench plugins [-- SECTION...]`, sections: load, fresh, call, memory, dispatch, stream, start, runaway, job.
//! Medians; goals are those of the plugin system, for a release build on a quiet machine. `floor` is wasmtime without the
//! host around it: the same component, the same engine settings, a call through the same bindings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unused_crate_dependencies,
    missing_docs
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::wire::Sse;
use plugin_kit::build::encode;
use plugins::check::{
    self, ChangedFile, FileKind, FileState, LinePage, Moment, ReadError, Snapshot,
};
use plugins::summarizer::{Content, Request};
use plugins::{BUNDLED, Bundled, Engine, Kind, PluginSet, PluginSettings};
use redact::{ScannerSource as _, Window};
use serde_json::json;

#[path = "../../tests/plugin_platform/guests.rs"]
mod guests;

fn bundled(name: &str) -> &'static Bundled {
    BUNDLED
        .iter()
        .find(|bundled| bundled.name == name)
        .expect("it is bundled")
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let Some(("--child", rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return child(rest);
    }
    let sections: [(&str, fn()); 9] = [
        ("load", load),
        ("fresh", fresh),
        ("call", call),
        ("memory", memory),
        ("dispatch", dispatch),
        ("stream", stream),
        ("start", start),
        ("runaway", runaway),
        ("job", job),
    ];
    for (name, section) in sections {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            section();
        }
    }
}

// ---- measuring

/// Durations of single runs, sorted.
struct Runs(Vec<Duration>);

impl Runs {
    fn of(count: usize, mut run: impl FnMut()) -> Self {
        let mut runs: Vec<Duration> = (0..count)
            .map(|_| {
                let began = Instant::now();
                run();
                began.elapsed()
            })
            .collect();
        runs.sort_unstable();
        Runs(runs)
    }

    /// Runs too short to be timed one by one: each duration is the mean of `batch` of them.
    fn batched(count: usize, batch: u32, mut run: impl FnMut()) -> Self {
        let mut runs = Self::of(count, || (0..batch).for_each(|_| run()));
        runs.0.iter_mut().for_each(|run| *run /= batch);
        runs
    }

    fn at(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    fn median(&self) -> Duration {
        self.at(0.5)
    }
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `ok` or `MISSED`, with the goal.
fn against(value: f64, goal: f64, unit: &str) -> String {
    let verdict = if value <= goal { "ok" } else { "MISSED" };
    format!("goal {goal} {unit}: {verdict}")
}

/// Time of the processor that this thread has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0 kB");
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .unwrap_or(0.0)
}

// ---- plugins

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cache")
}

fn engine() -> Arc<Engine> {
    Engine::shared(&cache()).expect("an engine")
}

fn set() -> PluginSet {
    PluginSet::load(&engine(), &PluginSettings::default())
}

/// The example dialect that translates every event, which no bundled one has to.
fn acme() -> PluginSet {
    let folder = guests::workspace().join("examples/acme-gateway");
    let target = guests::folder();
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(&folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the example builds");
    let core =
        std::fs::read(target.join("wasm32-unknown-unknown/release/acme_gateway.wasm")).unwrap();
    let component = target.join("bench-acme.wasm");
    std::fs::write(&component, encode(&core).unwrap()).unwrap();
    guests::set(&format!(
        "[acme]\nkind = \"dialect\"\npath = {component:?}\nsha256 = \"{}\"",
        guests::sha256(&component)
    ))
}

/// A job whose diff has a given size.
struct Work {
    diff: String,
}

impl Work {
    fn of(size: usize) -> Arc<Self> {
        let mut diff = String::from(
            "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,9999 @@\n",
        );
        let mut line = 0;
        while diff.len() < size {
            line += 1;
            let _ = writeln!(
                diff,
                "+    let value_{line} = compute({line}, &mut state)?;"
            );
        }
        diff.truncate(size);
        Arc::new(Work { diff })
    }
}

impl Snapshot for Work {
    fn id(&self) -> String {
        "job-1".to_owned()
    }
    fn task(&self) -> String {
        "do it".to_owned()
    }
    fn changed(&self) -> Vec<ChangedFile> {
        vec![ChangedFile {
            path: "src/a.rs".to_owned(),
            previous_path: None,
            before: None,
            after: Some(FileState {
                kind: FileKind::Regular,
                mode: 0o644,
                size: self.diff.len() as u64,
                binary: false,
                object_id: None,
            }),
            allowed: true,
        }]
    }
    fn commands(&self) -> Vec<check::Command> {
        Vec::new()
    }
    fn changed_lines(
        &self,
        _: &str,
        moment: Moment,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let lines = self.diff.lines().zip(1..);
        let added = lines.filter_map(|(line, number)| {
            let text = line.strip_prefix('+').filter(|_| moment == Moment::After)?;
            (number > after).then_some((number, text.as_bytes()))
        });
        LinePage::of(added, max_bytes)
    }
    fn diff(&self, _: Option<&str>) -> Result<Vec<u8>, ReadError> {
        Ok(self.diff.clone().into_bytes())
    }
    fn read(&self, _: &str, _: Moment, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let bytes = self.diff.as_bytes();
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let end = start.saturating_add(len as usize).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }
    fn read_output(&self, _: usize, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}

/// Output of a test run, of a given size, without a secret in it.
fn log(size: usize) -> String {
    let mut text = String::with_capacity(size + 100);
    let mut line = 0;
    while text.len() < size {
        line += 1;
        let _ = writeln!(
            text,
            "test module_{}::case_{line} ... ok ({} ms)",
            line % 7,
            line % 90
        );
    }
    text.truncate(size);
    text
}

const SIZES: [(&str, usize); 3] = [("100 B", 100), ("10 KB", 10 << 10), ("1 MB", 1 << 20)];

// ---- wasmtime alone

mod floor {
    use wasmtime::component::{Component, HasSelf, Linker};
    use wasmtime::{
        Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    };

    pub(super) mod redactor {
        wasmtime::component::bindgen!({
            path: ["../wit/v1/types", "../wit/v1/redactor"],
            world: "mcp-codex-worker:redactor/redactor-plugin",
        });
    }
    pub(super) mod dialect {
        wasmtime::component::bindgen!({
            path: ["../wit/v1/types", "../wit/v1/dialect"],
            world: "mcp-codex-worker:dialect/dialect-plugin",
        });
    }

    /// The imports' host state: nothing.
    pub(super) struct Nothing;

    macro_rules! imports {
        ($world:ident) => {
            impl $world::mcp_codex_worker::types::types::Host for Nothing {}
            impl $world::mcp_codex_worker::types::log::Host for Nothing {
                fn write(
                    &mut self,
                    _: $world::mcp_codex_worker::types::log::Level,
                    _: String,
                    _: Vec<$world::mcp_codex_worker::types::log::Field>,
                ) {
                }
                fn enabled(&mut self, _: $world::mcp_codex_worker::types::log::Level) -> bool {
                    false
                }
            }
            impl $world::mcp_codex_worker::types::settings::Host for Nothing {
                fn json(&mut self) -> String {
                    "{}".to_owned()
                }
            }
        };
    }
    imports!(redactor);
    imports!(dialect);

    pub(super) fn engine() -> Engine {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_stacks(1)
            .total_memories(64)
            .linear_memory_keep_resident(64 << 10)
            .table_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Engine::new(&config).unwrap()
    }

    pub(super) fn store(engine: &Engine) -> Store<Nothing> {
        let mut store = Store::new(engine, Nothing);
        store.set_epoch_deadline(u64::MAX / 2);
        store
    }

    pub(super) fn redactor_pre(
        engine: &Engine,
        bytes: &[u8],
    ) -> redactor::RedactorPluginPre<Nothing> {
        let component = Component::from_binary(engine, bytes).unwrap();
        let mut linker = Linker::new(engine);
        redactor::RedactorPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).unwrap();
        redactor::RedactorPluginPre::new(linker.instantiate_pre(&component).unwrap()).unwrap()
    }

    pub(super) fn dialect_pre(engine: &Engine, bytes: &[u8]) -> dialect::DialectPluginPre<Nothing> {
        let component = Component::from_binary(engine, bytes).unwrap();
        let mut linker = Linker::new(engine);
        dialect::DialectPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).unwrap();
        dialect::DialectPluginPre::new(linker.instantiate_pre(&component).unwrap()).unwrap()
    }
}

// ---- sections

/// Each bundled component: compiled for the first time, and taken from the cache.
fn load() {
    println!(
        "\n## load: compiled cold, and taken from the cache (described and validated included)\n"
    );
    println!("| component | kind | .wasm KB | cold ms | warm us |\n|---|---|---|---|---|");
    let cold = tempfile::tempdir().unwrap();
    let cold_set = PluginSet::load(
        &Engine::shared(cold.path()).unwrap(),
        &PluginSettings::default(),
    );
    let (mut all_cold, mut all_warm) = (Duration::ZERO, Duration::ZERO);
    for bundled in BUNDLED {
        let began = Instant::now();
        cold_set.info(bundled.name).unwrap();
        let compiled = began.elapsed();
        set().info(bundled.name).unwrap();
        let warm = Runs::of(15, || {
            set().info(bundled.name).unwrap();
        });
        all_cold += compiled;
        all_warm += warm.median();
        println!(
            "| {} | {:?} | {} | {:.0} | {:.0} |",
            bundled.name,
            bundled.kind,
            bundled.size / 1024,
            ms(compiled),
            us(warm.median())
        );
    }
    println!(
        "| all {} | | | {:.0} | {:.0} |",
        BUNDLED.len(),
        ms(all_cold),
        us(all_warm)
    );
}

/// A store, an instance, one call, and all of it gone again.
fn fresh() {
    let engine = floor::engine();
    let scan = wasmtime::PoolingAllocationConfig::is_pagemap_scan_available();
    let goal = if scan { 10.0 } else { 25.0 };
    println!("\n## fresh: store + instance + call + drop, us (pagemap scan: {scan})\n");
    println!("| what | floor p50 | host p50 | p99 | |\n|---|---|---|---|---|");
    let pre = floor::dialect_pre(&engine, &bundled("declared").component());
    let bare = Runs::batched(300, 20, || {
        let mut store = floor::store(&engine);
        let instance = pre.instantiate(&mut store).unwrap();
        black_box(
            instance
                .mcp_codex_worker_dialect_dialect()
                .call_request(&mut store, b"{}", "m")
                .unwrap()
                .unwrap(),
        );
    });
    let dialect = set().dialect("declared").unwrap();
    let hosted = Runs::batched(300, 20, || {
        black_box(dialect.request(b"{}", "m").unwrap());
    });
    println!(
        "| dialect declared, request | {:.1} | {:.1} | {:.1} | {} |",
        us(bare.median()),
        us(hosted.median()),
        us(hosted.at(0.99)),
        against(us(hosted.median()), goal, "us")
    );
    let work = Work::of(100);
    for name in BUNDLED
        .iter()
        .filter(|bundled| bundled.kind == Kind::Check && bundled.name != "scope")
        .map(|bundled| bundled.name)
    {
        let check = set().check(name).unwrap();
        let job: Arc<dyn Snapshot> = work.clone();
        let Ok(_) = check.run(Arc::clone(&job), &json!({})) else {
            continue;
        };
        let runs = Runs::batched(200, 5, || {
            black_box(check.run(Arc::clone(&job), &json!({})).unwrap());
        });
        println!(
            "| check {name}, 100 B | | {:.1} | {:.1} | |",
            us(runs.median()),
            us(runs.at(0.99))
        );
    }
    let summarizer = set().summarizer("test-output").unwrap();
    let text = log(100);
    let runs = Runs::batched(200, 5, || {
        black_box(summarizer.summarize(&request(&text)).unwrap());
    });
    println!(
        "| summarizer test-output, 100 B | | {:.1} | {:.1} | |",
        us(runs.median()),
        us(runs.at(0.99))
    );
}

fn request(text: &str) -> Request<'_> {
    Request {
        content: Content::TestOutput,
        text,
        origin: Some("cargo test"),
        exit_code: Some(0),
        max_bytes: 2000,
    }
}

/// A call of each kind by size of its input.
fn call() {
    println!("\n## call: by size of the input, us\n");
    println!("| kind | 100 B | 10 KB | 1 MB |\n|---|---|---|---|");
    let row = |name: &str, mut run: Box<dyn FnMut(usize)>| {
        let mut line = format!("| {name} |");
        for (_, size) in SIZES {
            let (count, batch) = if size > 100_000 { (15, 1) } else { (100, 10) };
            let runs = Runs::batched(count, batch, || run(size));
            let _ = write!(line, " {:.1} |", us(runs.median()));
        }
        println!("{line}");
    };
    for name in ["secrets-in-diff", "test-tampering", "leftovers"] {
        let check = set().check(name).unwrap();
        let jobs = SIZES.map(|(_, size)| (size, Work::of(size)));
        row(
            &format!("check {name}, fresh instance"),
            Box::new(move |size| {
                let job: Arc<dyn Snapshot> =
                    jobs.iter().find(|(of, _)| *of == size).unwrap().1.clone();
                black_box(check.run(job, &json!({})).unwrap());
            }),
        );
    }
    let texts = SIZES.map(|(_, size)| (size, log(size)));
    let text = move |size: usize| texts.iter().find(|(of, _)| *of == size).unwrap().1.clone();
    let summarizer = set().summarizer("test-output").unwrap();
    let of = text.clone();
    row(
        "summarizer test-output, fresh instance",
        Box::new(move |size| {
            black_box(summarizer.summarize(&request(&of(size))).unwrap());
        }),
    );
    let redactor = set().redactor("secrets").unwrap();
    let mut scanner = redactor.start().unwrap();
    let of = text.clone();
    row(
        "redactor secrets, warm instance, every byte",
        Box::new(move |size| {
            for window in of(size).as_bytes().chunks(128 << 10) {
                let window = Window {
                    bytes: window,
                    decided: 0,
                    last: true,
                };
                black_box(scanner.scan(window).unwrap());
            }
        }),
    );
    let dialect = acme().dialect("acme").unwrap();
    row(
        "dialect acme-gateway, request, fresh instance",
        Box::new(move |size| {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": text(size)}]});
            black_box(dialect.request(body.to_string().as_bytes(), "m").unwrap());
        }),
    );
}

/// Prints the memory that a living instance takes.
fn memory() {
    const COUNT: usize = 48;
    println!("\n## memory: resident KiB an instance (mean of {COUNT})\n");
    println!("| instance | idle | after its first work |\n|---|---|---|");
    let dialect = acme().dialect("acme").unwrap();
    drop(dialect.translation("m").unwrap());
    let before = resident_kib();
    let mut alive: Vec<_> = (0..COUNT)
        .map(|_| dialect.translation("m").unwrap())
        .collect();
    let idle = (resident_kib() - before) / COUNT as f64;
    for translation in &mut alive {
        translation.push(&[piece(1)]).unwrap();
    }
    let used = (resident_kib() - before) / COUNT as f64;
    println!("| dialect acme-gateway, a translation | {idle:.0} | {used:.0} |");
    drop(alive);
    let redactor = set().redactor("secrets").unwrap();
    drop(redactor.start().unwrap());
    let before = resident_kib();
    let mut alive: Vec<_> = (0..COUNT).map(|_| redactor.start().unwrap()).collect();
    let idle = (resident_kib() - before) / COUNT as f64;
    let text = log(64 << 10);
    for scanner in &mut alive {
        let window = Window {
            bytes: text.as_bytes(),
            decided: 0,
            last: true,
        };
        scanner.scan(window).unwrap();
    }
    let used = (resident_kib() - before) / COUNT as f64;
    println!("| redactor secrets, after a window of 64 KiB | {idle:.0} | {used:.0} |");
}

/// Prints the time that the host adds to a call into a living instance.
fn dispatch() {
    let engine = floor::engine();
    let pre = floor::redactor_pre(&engine, &bundled("secrets").component());
    let mut store = floor::store(&engine);
    let instance = pre.instantiate(&mut store).unwrap();
    let wire = floor::redactor::exports::mcp_codex_worker::redactor::redactor::Window {
        bytes: b"an ordinary line".to_vec(),
        decided: 0,
        last: true,
    };
    let redactor = set().redactor("secrets").unwrap();
    let mut scanner = redactor.start().unwrap();
    let mut bare = || {
        black_box(
            instance
                .mcp_codex_worker_redactor_redactor()
                .call_scan(&mut store, &wire)
                .unwrap()
                .unwrap(),
        );
    };
    let mut hosted = || {
        let window = Window {
            bytes: b"an ordinary line",
            decided: 0,
            last: true,
        };
        black_box(scanner.scan(window).unwrap());
    };
    // In turn, so that the machine's speed is the same for both.
    let (mut bares, mut hosteds) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        bares.push(Runs::batched(5, 1000, &mut bare).median());
        hosteds.push(Runs::batched(5, 1000, &mut hosted).median());
    }
    bares.sort_unstable();
    hosteds.sort_unstable();
    let (bare, hosted) = (us(bares[20]), us(hosteds[20]));
    println!("\n## dispatch: a scan of 16 bytes in a living instance, us\n");
    println!(
        "floor {bare:.2}, host {hosted:.2}, over the floor {:.2} ({})",
        hosted - bare,
        against(hosted - bare, 1.0, "us")
    );
}

fn piece(number: usize) -> Sse {
    Sse {
        event: None,
        data: json!({"type": "piece", "text": format!("word {number} of the answer, "), "id": "chatcmpl-0123456789", "created": 1_700_000_000})
            .to_string(),
    }
}

/// Events of a stream through a dialect that translates each.
fn stream() {
    let dialect = acme().dialect("acme").unwrap();
    let mut translation = dialect.translation("m").unwrap();
    println!("\n## stream: events through a dialect, us an event\n");
    println!("| events a read | us an event | |\n|---|---|---|");
    for count in [1, 4, 16, 64] {
        let events: Vec<Sse> = (0..count).map(piece).collect();
        let runs = Runs::batched(200, 50, || {
            black_box(translation.push(&events).unwrap());
        });
        let each = us(runs.median()) / count as f64;
        println!("| {count} | {each:.2} | {} |", against(each, 3.0, "us"));
    }
}

/// A process of its own: nothing, an engine, or an engine with plugins from the cache.
fn child(arguments: &[String]) {
    if arguments[0] == "nothing" {
        return;
    }
    let engine = Engine::shared(Path::new(&arguments[1])).unwrap();
    let set = PluginSet::load(&engine, &PluginSettings::default());
    for name in &arguments[2..] {
        set.info(name).unwrap();
    }
}

/// Prints the time that plugins add to the start of a process.
fn start() {
    let names = [
        "declared",
        "forbidden-paths",
        "secrets-in-diff",
        "secrets",
        "test-output",
        "scope",
        "conflict-markers",
        "test-tampering",
        "diff-size",
        "leftovers",
    ];
    let warm = set();
    for name in names {
        warm.info(name).unwrap();
    }
    let cache = cache();
    let own = std::env::current_exe().unwrap();
    let run = |what: &str, names: &[&str]| {
        let status = Command::new(&own)
            .args(["--child", what])
            .arg(&cache)
            .args(names)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    };
    let kinds: [(&str, &str, &[&str]); 3] = [
        ("nothing", "nothing", &[]),
        ("an engine", "engine", &[]),
        ("an engine and ten plugins from the cache", "engine", &names),
    ];
    let mut runs = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..30 {
        for ((_, what, names), runs) in kinds.iter().zip(&mut runs) {
            let began = Instant::now();
            run(what, names);
            runs.push(began.elapsed());
        }
    }
    println!("\n## start: a process of its own, ms from spawn to end (median of 30)\n");
    let medians: Vec<f64> = runs
        .iter_mut()
        .map(|runs| {
            runs.sort_unstable();
            ms(runs[15])
        })
        .collect();
    for ((name, ..), median) in kinds.iter().zip(&medians) {
        println!("{name}: {median:.2}");
    }
    println!(
        "ten cached plugins add {:.2} ms to an engine ({}), {:.2} ms to nothing",
        medians[2] - medians[1],
        against(medians[2] - medians[1], 5.0, "ms"),
        medians[2] - medians[0]
    );
}

/// A plugin that never ends, and what others notice of it.
fn runaway() {
    println!("\n## runaway: a check that loops for ever, deadline 200 ms\n");
    let dialect = set().dialect("declared").unwrap();
    let others = |until: &dyn Fn() -> bool| {
        let mut times = Vec::new();
        while !until() {
            let began = Instant::now();
            black_box(dialect.request(b"{}", "m").unwrap());
            times.push(began.elapsed());
            std::thread::sleep(Duration::from_micros(200));
        }
        times.sort_unstable();
        Runs(times)
    };
    let quiet_until = Instant::now() + Duration::from_secs(2);
    let quiet = others(&|| Instant::now() >= quiet_until);
    let done = AtomicBool::new(false);
    let (mut killed, mut beside) = (Vec::new(), None);
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| {
            let mut killed = Vec::new();
            for _ in 0..10 {
                // A set of its own: a plugin that broke down five times is not started again.
                let set = guests::set_with(
                    "runaway",
                    "hostile-check",
                    "limits = { deadline = \"200ms\" }",
                );
                let check = set.check("runaway").unwrap();
                let (began, used) = (Instant::now(), processor_time());
                let error = check
                    .run(Work::of(100), &json!({"do": "loop for ever"}))
                    .unwrap_err();
                assert!(error.to_string().contains("took longer"), "{error}");
                killed.push((processor_time() - used, began.elapsed()));
            }
            done.store(true, Ordering::Release);
            killed
        });
        beside = Some(others(&|| done.load(Ordering::Acquire)));
        killed = looping.join().unwrap();
    });
    let beside = beside.unwrap();
    let over = |time: Duration| ms(time) - 200.0;
    let worst = killed
        .iter()
        .map(|(used, _)| over(*used))
        .fold(f64::MIN, f64::max);
    let on_clock = killed
        .iter()
        .map(|(_, clock)| over(*clock))
        .fold(f64::MIN, f64::max);
    println!(
        "dies at most {worst:.1} ms of processor time after its deadline ({}), {on_clock:.1} ms on the clock",
        against(worst, 10.0, "ms")
    );
    println!(
        "calls of others, us: p50 {:.1}, p99 {:.1} alone; p50 {:.1}, p99 {:.1} beside it",
        us(quiet.median()),
        us(quiet.at(0.99)),
        us(beside.median()),
        us(beside.at(0.99))
    );
}

/// From a call of `start` to the agent at work and to the verdict of every bundled check, with nothing compiled and with
/// everything in the cache.
fn job() {
    use worker_test_support::worker::call;
    use worker_test_support::{Repository, StandIn, Worker};

    println!("\n## job: ms from the call of `start` (a stand-in agent that changes one line)\n");
    println!("| | answered | agent at work | verdict of 8 component checks |\n|---|---|---|---|");
    let repository = Repository::with([("src/a.txt", "one\n")]);
    let marks = tempfile::tempdir_in(repository.root()).unwrap();
    let mark = marks.path().join("began");
    let agent = StandIn::that(&format!(
        "date +%s%N > '{0}.tmp' 2>/dev/null || date +%s%N > began.txt; printf 'two\\n' >> src/a.txt",
        mark.display()
    ));
    let checks: Vec<_> = BUNDLED
        .iter()
        .filter(|bundled| bundled.kind == Kind::Check && bundled.name != "scope")
        .map(|bundled| json!({"plugin": bundled.name}))
        .collect();
    let cache = tempfile::tempdir().unwrap();
    let worker = Worker::with_stand_in(env!("CARGO_BIN_EXE_mcp-codex-worker"), &repository, &agent)
        .set("WORKER_CACHE_DIR", cache.path().display())
        .set("WORKER_SANDBOX", "off");
    let mut front = worker.serve();
    for round in 0..6 {
        let asked = json!({
            "prompt": "Change a line.", "allowed_dirs": [repository.path()], "checks": checks,
            "scoped_patch": {"paths": ["src", "began.txt"]},
        });
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let began = Instant::now();
        let reply = call(&mut front, "start", asked).structured;
        let answered = began.elapsed();
        let id = reply["job_id"].as_str().expect("a job").to_owned();
        let result = call(
            &mut front,
            "wait",
            json!({"job_id": id, "timeout_ms": 300_000}),
        )
        .structured;
        let ended = began.elapsed();
        let at_work = [
            PathBuf::from(format!("{}.tmp", mark.display())),
            repository.path().join("began.txt"),
        ]
        .into_iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map(|at| Duration::from_nanos(at).saturating_sub(clock));
        println!(
            "| {} | {:.1} | {} | {:.0} ({}) |",
            if round == 0 { "cold" } else { "warm" },
            ms(answered),
            at_work.map_or("-".to_owned(), |time| format!("{:.1}", ms(time))),
            ms(ended),
            result["job_status"].as_str().unwrap_or("?")
        );
    }
}
