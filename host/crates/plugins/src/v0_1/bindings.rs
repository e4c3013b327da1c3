//! The bindings of `wit/`.

/// The job that was lent to a check for one call; the job itself stands in [`Host::job`].
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Lent;

/// What the host gives.
pub(super) mod imports {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "worker:plugin/host",
        imports: { default: trappable },
        with: { "worker:plugin/job.snapshot": super::Lent },
    });
}

/// One kind, its shared types taken from `imports`.
macro_rules! kind {
    ($name:ident, $world:literal $(, $with:literal : $to:ty)*) => {
        pub(crate) mod $name {
            wasmtime::component::bindgen!({
                path: "../../../wit",
                world: $world,
                imports: { default: trappable },
                with: {
                    "worker:plugin/types": crate::v0_1::bindings::imports::worker::plugin::types,
                    "worker:plugin/log": crate::v0_1::bindings::imports::worker::plugin::log,
                    "worker:plugin/config": crate::v0_1::bindings::imports::worker::plugin::config,
                    $($with: $to,)*
                },
            });
        }
    };
}

kind!(check, "worker:plugin/check-plugin",
    "worker:plugin/job": crate::v0_1::bindings::imports::worker::plugin::job);
kind!(summarizer, "worker:plugin/summarizer-plugin");
kind!(redactor, "worker:plugin/redactor-plugin");
kind!(dialect, "worker:plugin/dialect-plugin");

pub(super) use imports::worker::plugin::{clock, config, files, job, log, types};
