//! What wit-bindgen makes of `wit/`: the imports once, and the exports in a module each, so that a plugin exports its
//! kind and nothing else. The worlds in the macro are halves of those in `wit/`: macros that wit-bindgen exports from
//! one crate need names of their own, so the interface `plugin` can be bound only once.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "host",
    generate_all,
    pub_export_macro: true,
});

/// A module with the export of one interface, its types shared with the imports above.
macro_rules! export {
    ($name:ident, $wit:literal, $world:literal $(, $with:literal : $to:path)*) => {
        pub mod $name {
            wit_bindgen::generate!({
                inline: $wit,
                path: "../../wit",
                world: $world,
                pub_export_macro: true,
                with: { $($with: $to,)* },
            });
        }
    };
}

export!(
    plugin,
    "package worker:sdk; world plugin-export { export worker:plugin/plugin@0.1.0; }",
    "worker:sdk/plugin-export",
    "worker:plugin/types@0.1.0": crate::bindings::worker::plugin::types
);
export!(
    check,
    "package worker:sdk; world check-export { export worker:plugin/check@0.1.0; }",
    "worker:sdk/check-export",
    "worker:plugin/types@0.1.0": crate::bindings::worker::plugin::types,
    "worker:plugin/job@0.1.0": crate::bindings::worker::plugin::job
);
export!(
    summarizer,
    "package worker:sdk; world summarizer-export { export worker:plugin/summarizer@0.1.0; }",
    "worker:sdk/summarizer-export",
    "worker:plugin/types@0.1.0": crate::bindings::worker::plugin::types
);
export!(
    redactor,
    "package worker:sdk; world redactor-export { export worker:plugin/redactor@0.1.0; }",
    "worker:sdk/redactor-export",
    "worker:plugin/types@0.1.0": crate::bindings::worker::plugin::types
);
export!(
    dialect,
    "package worker:sdk; world dialect-export { export worker:plugin/dialect@0.1.0; }",
    "worker:sdk/dialect-export",
    "worker:plugin/types@0.1.0": crate::bindings::worker::plugin::types
);
