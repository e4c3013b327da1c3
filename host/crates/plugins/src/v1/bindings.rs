//! The bindings of `wit/v1`.

/// A finding in the host's sink; its number there is the handle's.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Entry;

/// What the host gives.
pub(super) mod imports {
    wasmtime::component::bindgen!({
        path: [
            "../../../wit/v1/types",
            "../../../wit/v1/check",
            "../../../wit/v1/summarizer",
        ],
        inline: "
            package worker:host;
            world host {
              import mcp-codex-worker:types/types@1.0.0;
              import mcp-codex-worker:types/log@1.0.0;
              import mcp-codex-worker:types/settings@1.0.0;
              import mcp-codex-worker:check/job@1.0.0;
              import mcp-codex-worker:check/findings@1.0.0;
              import mcp-codex-worker:check/files@1.0.0;
              import mcp-codex-worker:summarizer/input@1.0.0;
            }
        ",
        world: "worker:host/host",
        imports: { default: trappable },
        with: { "mcp-codex-worker:check/findings.finding": super::Entry },
    });
}

/// One kind, its shared interfaces taken from `imports`.
macro_rules! kind {
    ($name:ident, $folder:literal, $world:literal $(, $with:literal : $to:ty)*) => {
        pub(crate) mod $name {
            wasmtime::component::bindgen!({
                path: ["../../../wit/v1/types", $folder],
                world: $world,
                imports: { default: trappable },
                with: {
                    "mcp-codex-worker:types/types": crate::v1::bindings::imports::mcp_codex_worker::types::types,
                    "mcp-codex-worker:types/log": crate::v1::bindings::imports::mcp_codex_worker::types::log,
                    "mcp-codex-worker:types/settings": crate::v1::bindings::imports::mcp_codex_worker::types::settings,
                    $($with: $to,)*
                },
            });
        }
    };
}

kind!(check, "../../../wit/v1/check", "mcp-codex-worker:check/check-plugin",
    "mcp-codex-worker:check/job": crate::v1::bindings::imports::mcp_codex_worker::check::job,
    "mcp-codex-worker:check/findings": crate::v1::bindings::imports::mcp_codex_worker::check::findings);
kind!(summarizer, "../../../wit/v1/summarizer", "mcp-codex-worker:summarizer/summarizer-plugin",
    "mcp-codex-worker:summarizer/input": crate::v1::bindings::imports::mcp_codex_worker::summarizer::input);
kind!(
    redactor,
    "../../../wit/v1/redactor",
    "mcp-codex-worker:redactor/redactor-plugin"
);
kind!(
    dialect,
    "../../../wit/v1/dialect",
    "mcp-codex-worker:dialect/dialect-plugin"
);

pub(super) use imports::mcp_codex_worker::check::{files, findings, job};
pub(super) use imports::mcp_codex_worker::summarizer::input;
pub(super) use imports::mcp_codex_worker::types::{log, settings, types};
