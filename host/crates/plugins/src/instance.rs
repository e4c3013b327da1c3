//! One live instance of a plugin, and calls into it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::host::{Deadline, Host, Overrun, ReportTooLong};
use super::loaded::Loaded;
use super::{Kind, Limits, PluginError, Stage, limits};

/// An instance of the component with the bindings `B`. It serves one job. After a trap it is dead: a component that
/// trapped cannot be entered again.
pub(super) struct Instance<B> {
    pub(super) loaded: Arc<Loaded>,
    store: Store<Host>,
    bindings: B,
    dead: bool,
}

/// The functions of a component are of other types than the host's.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Misfit {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl<B: Send + Sync> Instance<B> {
    /// Makes an instance with these settings.
    pub(super) fn start(
        loaded: &Arc<Loaded>,
        config: Arc<str>,
        instantiate: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<B> + Send,
    ) -> Result<Self, PluginError> {
        loaded.usable()?;
        let name = Arc::from(loaded.info.name.as_str());
        let host = Host::new(
            name,
            config,
            Arc::clone(&loaded.grants),
            &loaded.limits,
            loaded.wasi,
            // A redactor's lines are not the job's: each would be redacted itself, and so beget the next.
            (loaded.info.kind != Kind::Redactor).then(|| Arc::clone(&loaded.log)),
        );
        let mut store = Store::new(&loaded.runtime.wasmtime, host);
        store.limiter(|host| &mut host.limiter);
        store.set_hostcall_fuel(
            usize::try_from(loaded.limits.output)
                .unwrap_or(usize::MAX)
                .saturating_add(64 << 10),
        );
        store.set_max_component_handles(Limits::HANDLES);
        // The tasks, streams and sets of the asynchronous ABI are the host's memory, too.
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(Limits::HANDLES);
        }
        store.epoch_deadline_callback(|mut context| {
            let host = context.data_mut();
            host.deadline.look();
            host.in_time()?;
            Ok(UpdateDeadline::Continue(1))
        });
        let started = measured(loaded, &mut store, Limits::START, instantiate);
        match started {
            Ok(bindings) => Ok(Instance {
                loaded: Arc::clone(loaded),
                store,
                bindings,
                dead: false,
            }),
            Err(error) => Err(match error.downcast_ref::<Misfit>() {
                Some(misfit) => {
                    loaded.error(Stage::Link, misfit.what.as_str(), misfit.remedy.as_str())
                }
                None => explain(loaded, store.data(), "its start", Stage::Start, &error),
            }),
        }
    }

    /// Calls one function, for no longer than `limit`.
    pub(super) fn call<R: Send>(
        &mut self,
        function: &'static str,
        limit: Duration,
        act: impl FnOnce(&B, &mut Store<Host>) -> wasmtime::Result<R> + Send,
    ) -> Result<R, PluginError> {
        if self.dead {
            return Err(self.loaded.error(
                Stage::Trap,
                "failed before and is not called again",
                "",
            ));
        }
        let (bindings, store) = (&mut self.bindings, &mut self.store);
        let result = measured(&self.loaded, store, limit, |store| act(bindings, store));
        result.map_err(|error| {
            self.dead = true;
            explain(
                &self.loaded,
                self.store.data(),
                function,
                Stage::Trap,
                &error,
            )
        })
    }

    /// Returns true if it can be called again.
    pub(super) fn alive(&self) -> bool {
        !self.dead
    }
}

/// Runs the plugin for no longer than `limit`, and counts what that costs.
fn measured<R: Send>(
    loaded: &Loaded,
    store: &mut Store<Host>,
    limit: Duration,
    act: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<R> + Send,
) -> wasmtime::Result<R> {
    let metered = loaded.runtime.metered;
    if metered {
        store.set_fuel(u64::MAX)?;
    }
    let _ticking = loaded.runtime.clock.run();
    let began = Instant::now();
    let result = in_sync_context(loaded.wasi, || {
        store.data_mut().deadline = Deadline::start(limit);
        store.set_epoch_deadline(1);
        act(store)
    });
    let fuel = if metered {
        u64::MAX - store.get_fuel()?
    } else {
        0
    };
    loaded.spent(began.elapsed(), store.data().limiter.used, fuel);
    if loaded.wasi {
        store.data_mut().log_prints(result.is_err());
    }
    result
}

/// WASI's synchronous functions block on a runtime of their own, which panics within another one.
fn in_sync_context<R: Send>(wasi: bool, act: impl FnOnce() -> R + Send) -> R {
    if !wasi || tokio::runtime::Handle::try_current().is_err() {
        return act();
    }
    std::thread::scope(|scope| match scope.spawn(act).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Makes a sentence of what wasmtime reports.
fn explain(
    loaded: &Loaded,
    host: &Host,
    function: &str,
    stage: Stage,
    error: &wasmtime::Error,
) -> PluginError {
    loaded.had_trouble();
    let name = &loaded.info.name;
    if error.downcast_ref::<Overrun>().is_some()
        || matches!(error.downcast_ref(), Some(Trap::Interrupt))
    {
        let what = format!(
            "took longer than {} in {function}",
            limits::duration(host.deadline.limit)
        );
        return loaded.error(
            Stage::Deadline,
            what,
            format!("a higher deadline in [plugins.{name}.limits] lets it go on"),
        );
    }
    if error.downcast_ref::<ReportTooLong>().is_some() {
        let most = limits::bytes(loaded.limits.output);
        let what = format!("gave a report of more than the {most} that are taken");
        return loaded.error(Stage::Output, what, "let it report less");
    }
    if let Some(denied) = &host.limiter.denied {
        let remedy = format!("a higher memory in [plugins.{name}.limits] lets it have more");
        return loaded.error(Stage::Memory, format!("{denied}, in {function}"), remedy);
    }
    let reason = match (&host.log.last_error, error.downcast_ref::<Trap>()) {
        (Some(panic), _) => panic.clone(),
        (None, Some(Trap::StackOverflow)) => "it calls itself without end".to_owned(),
        (None, Some(Trap::CannotBlockSyncTask)) => {
            "it waits within a function that must answer at once".to_owned()
        }
        (None, Some(Trap::UnreachableCodeReached)) => "it gave up, without saying why".to_owned(),
        (None, Some(trap)) => trap.to_string(),
        (None, None) => error.root_cause().to_string(),
    };
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(frames)
        .unwrap_or_default();
    let remedy = format!(
        "report it to its author, or take it out with `mcp-codex-worker plugin remove {name}`"
    );
    loaded.error(
        stage,
        format!("broke down in {function}: {reason}{frames}"),
        remedy,
    )
}

/// The plugin's own functions on top of the stack, without the machinery of a panic.
fn frames(backtrace: &WasmBacktrace) -> String {
    let machinery = [
        "core::panicking",
        "std::panicking",
        "rust_panic",
        "__rust",
        "abort",
        "std::sys",
        "core::result::unwrap",
    ];
    let names = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name());
    let own = names
        .filter(|name| !machinery.iter().any(|part| name.contains(part)) && !name.contains('#'));
    let own = own.take(3).collect::<Vec<_>>();
    if own.is_empty() {
        String::new()
    } else {
        format!(" (in {})", own.join(", called by "))
    }
}
