//! The one WebAssembly engine of a process: its settings, its clock, its compiler.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::Thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::Limits;
use super::bundled::Code;
use super::cache::Cache;
use super::complexity::{Complexity, ComplexityError, is_asynchronous};

/// The interval at which running plugins are looked at: one that never ends outlives its deadline
/// by no more than about two of these.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// The longest that compiling one component may take. Python's interpreter takes 7 s on two quiet cores, and a hundred
/// times that where a debug build of this host shares them with many others.
const COMPILE: Duration = Duration::from_secs(600);

/// Instances that may be alive at once. Only address space is set aside for them: 4 GiB and guard pages each.
const POOL: u32 = 256;

/// The reason why this process has no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine or its kernel lacks what compiled WebAssembly needs.
    #[error("plugins cannot run on this machine: {0:#}")]
    Machine(wasmtime::Error),
    /// No thread for the clock that ends plugins at their deadline.
    #[error("no thread for the clock of plugins: {0}")]
    Clock(std::io::Error),
}

/// The reason why a component is not compiled. The text is a clause about the component.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// The component would cost too much.
    #[error(transparent)]
    Complexity(#[from] ComplexityError),
    /// The engine that it needs cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No thread for the compiler.
    #[error("no thread for the compiler: {0}")]
    Thread(std::io::Error),
    /// The compiler refuses it.
    #[error("is no valid component: {0:#}")]
    Invalid(wasmtime::Error),
    /// It is given up.
    #[error("takes longer than {} s to compile", COMPILE.as_secs())]
    TooLong,
}

/// Compiles, caches and runs plugins. One a process is enough: [`Engine::shared`].
pub struct Engine {
    runtime: Arc<Runtime>,
    /// For components that use the asynchronous ABI; made when the first one comes. Support for it costs each call of each
    /// component, so those that do without it, as most do, run in an engine that has none.
    asynchronous: Mutex<Option<Arc<Runtime>>>,
    cache_dir: PathBuf,
    pooling: bool,
}

/// A wasmtime engine with its clock, and the compiled code that it takes.
pub(super) struct Runtime {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) clock: Clock,
    /// Instructions are counted.
    pub(super) metered: bool,
    cache: Cache,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.runtime.cache)
            .field("pooling", &self.pooling)
            .finish()
    }
}

impl Runtime {
    fn new(
        wasmtime: wasmtime::Engine,
        cache_dir: &Path,
        metered: bool,
    ) -> Result<Self, EngineError> {
        let mut hasher = StableHasher(Sha256::new());
        // Counted up whenever files of before must not be read any more.
        hasher.write(b"2");
        wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finalize()[..8]);
        Ok(Runtime {
            clock: Clock::start(&wasmtime).map_err(EngineError::Clock)?,
            wasmtime,
            metered,
            cache: Cache::new(cache_dir, compatibility),
        })
    }
}

impl Engine {
    /// The engine of this process, made when it is first asked for. Compiled code is kept below `cache_dir`.
    ///
    /// # Errors
    /// When the machine can run no WebAssembly.
    pub fn shared(cache_dir: &Path) -> Result<Arc<Engine>, EngineError> {
        static SHARED: Mutex<Vec<Arc<Engine>>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = shared.iter().find(|engine| engine.cache_dir == cache_dir) {
            return Ok(Arc::clone(engine));
        }
        let engine = Arc::new(Engine::new(cache_dir, false)?);
        shared.push(Arc::clone(&engine));
        Ok(engine)
    }

    /// An engine with instances from a pool, or made on demand where the address space for a pool is not to be had.
    fn new(cache_dir: &Path, metered: bool) -> Result<Engine, EngineError> {
        let pooled = wasmtime::Engine::new(
            config(metered, Abi::Synchronous)
                .allocation_strategy(InstanceAllocationStrategy::Pooling(pool())),
        );
        let (wasmtime, pooling) = match pooled {
            Ok(engine) => (engine, true),
            Err(error) => {
                tracing::debug!("no pool of instances, so they are made on demand: {error:#}");
                let engine = wasmtime::Engine::new(&config(metered, Abi::Synchronous));
                (engine.map_err(EngineError::Machine)?, false)
            }
        };
        Ok(Engine {
            runtime: Arc::new(Runtime::new(wasmtime, cache_dir, metered)?),
            asynchronous: Mutex::new(None),
            cache_dir: cache_dir.to_owned(),
            pooling,
        })
    }

    /// An engine that counts the instructions of plugins, for `plugin test`. Slower, and with compiled code of its own.
    ///
    /// # Errors
    /// As for [`Engine::shared`].
    pub fn measuring(cache_dir: &Path) -> Result<Arc<Engine>, EngineError> {
        Engine::new(cache_dir, true).map(Arc::new)
    }

    /// Returns true if instances come from a pool.
    pub fn pooling(&self) -> bool {
        self.pooling
    }

    /// Compiles a component, or takes the compiled code from the cache; with the runtime that it is for.
    pub(super) fn component(
        &self,
        sha256: &str,
        code: &Code,
    ) -> Result<(Arc<Runtime>, Component), CompileError> {
        let kept = |runtime: &Arc<Runtime>| {
            let component = runtime.cache.get(&runtime.wasmtime, sha256)?;
            Some((Arc::clone(runtime), component))
        };
        // The usual engine has no code of the other one's components: what it has need not be looked at again.
        if let Some(ready) = kept(&self.runtime) {
            return Ok(ready);
        }
        let bytes = code.bytes();
        let mut runtime = Arc::clone(&self.runtime);
        if is_asynchronous(&bytes)? {
            runtime = self.asynchronous()?;
            if let Some(ready) = kept(&runtime) {
                return Ok(ready);
            }
        }
        let engine = &runtime.wasmtime;
        let component = runtime.cache.fill(engine, sha256, || {
            Complexity::check(&bytes)?;
            // In a thread of its own, since the compiler cannot be interrupted: what takes too long is left to itself.
            let (send, receive) = mpsc::channel();
            let (engine, bytes) = (engine.clone(), bytes.clone());
            let compile = move || {
                let _ = send.send(Component::from_binary(&engine, &bytes));
            };
            std::thread::Builder::new()
                .name("plugin-compiler".to_owned())
                .spawn(compile)
                .map_err(CompileError::Thread)?;
            match receive.recv_timeout(COMPILE) {
                Ok(Ok(component)) => Ok(component),
                Ok(Err(error)) => Err(CompileError::Invalid(error)),
                Err(_) => Err(CompileError::TooLong),
            }
        })?;
        Ok((runtime, component))
    }

    /// The engine for components that use the asynchronous ABI.
    fn asynchronous(&self) -> Result<Arc<Runtime>, EngineError> {
        let mut made = self
            .asynchronous
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*made {
            return Ok(Arc::clone(runtime));
        }
        let metered = self.runtime.metered;
        // Its instances are made on demand: a second pool would set the same address space aside again.
        let wasmtime = wasmtime::Engine::new(&config(metered, Abi::Asynchronous));
        let wasmtime = wasmtime.map_err(EngineError::Machine)?;
        let runtime = Arc::new(Runtime::new(wasmtime, &self.cache_dir, metered)?);
        *made = Some(Arc::clone(&runtime));
        Ok(runtime)
    }
}

/// The ABI that the components of an engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abi {
    Synchronous,
    /// The other one as well. Every function of the contract is synchronous, and a component may use the asynchronous
    /// ABI only within: its built-in functions, which the runtimes of some languages call without need.
    Asynchronous,
}

fn config(metered: bool, abi: Abi) -> Config {
    let mut config = Config::new();
    config.concurrency_support(abi == Abi::Asynchronous);
    config.epoch_interruption(true);
    config.consume_fuel(metered);
    config.cranelift_opt_level(OptLevel::Speed);
    // Nothing that no plugin needs: each of these had its share of vulnerabilities.
    config.wasm_memory64(false);
    config
}

/// Figures in docs/plugins: a small `keep_resident` together with the pagemap scan makes a fresh instance three times
/// cheaper than mapping memory anew; without the scan a large one costs more than it saves.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(POOL)
        .total_core_instances(POOL * 8)
        .total_memories(POOL)
        .total_tables(POOL * 4)
        // Calls are synchronous: no stacks.
        .total_stacks(1)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(Limits::INSTANCES as u32)
        .max_memories_per_component(Limits::MEMORIES as u32)
        .max_tables_per_component(Limits::TABLES as u32)
        .max_memories_per_module(Limits::MEMORIES as u32)
        .max_tables_per_module(8)
        .table_elements(Limits::TABLE_ENTRIES)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Moves the epoch on while plugins run. After a while without any it sleeps, so that an idle process stays idle.
pub(super) struct Clock {
    thread: Thread,
    state: Arc<ClockState>,
}

#[derive(Default)]
struct ClockState {
    /// Calls under way.
    running: AtomicUsize,
    /// The thread is parked, or about to be.
    asleep: AtomicBool,
    /// The engine is gone.
    over: AtomicBool,
}

/// Ticks without a call after which the clock sleeps.
const IDLE_TICKS: u32 = 200;

impl Clock {
    fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let engine = engine.weak();
        let state = Arc::new(ClockState::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || shared.tick(&engine))?;
        Ok(Self {
            thread: thread.thread().clone(),
            state,
        })
    }

    /// Keeps the clock going for as long as the guard lives.
    pub(super) fn run(&self) -> ClockGuard<'_> {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst)
            && self.state.asleep.swap(false, Ordering::SeqCst)
        {
            self.thread.unpark();
        }
        ClockGuard(&self.state)
    }
}

impl ClockState {
    fn tick(&self, engine: &wasmtime::EngineWeak) {
        let mut idle = 0;
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
            if self.running.load(Ordering::SeqCst) > 0 {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle < IDLE_TICKS {
                continue;
            }
            idle = 0;
            self.asleep.store(true, Ordering::SeqCst);
            // A call that began in between has seen that we sleep, or is seen here.
            while self.asleep.load(Ordering::SeqCst)
                && self.running.load(Ordering::SeqCst) == 0
                && !self.over.load(Ordering::SeqCst)
            {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A call under way.
pub(super) struct ClockGuard<'a>(&'a ClockState);

impl Drop for ClockGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A hash that is the same in every process, unlike std's.
struct StableHasher(Sha256);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Never asked: the digest is taken itself.
    fn finish(&self) -> u64 {
        0
    }
}

/// SHA-256 in hex.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Calls cost more where the asynchronous ABI is: no component pays for what another one needs.
    #[test]
    fn only_a_component_with_the_asynchronous_abi_runs_in_the_engine_that_has_it() {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::new(cache.path(), false).unwrap();
        let fixtures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/contract-1.0");
        let usual = |name: &str| {
            let bytes = std::fs::read(fixtures.join(name)).unwrap();
            let code = Code::Given(bytes.clone().into());
            let loaded = || engine.component(&digest(&bytes), &code).unwrap().0;
            let first = loaded();
            assert!(
                Arc::ptr_eq(&first, &loaded()),
                "the second time from the cache, {name}"
            );
            Arc::ptr_eq(&first, &engine.runtime)
        };
        assert!(usual("c/check.wasm"));
        assert!(
            engine.asynchronous.lock().unwrap().is_none(),
            "made for nobody"
        );
        assert!(!usual("asynchronous/check.wasm"));
        assert!(usual("c/dialect.wasm"));
    }
}
