//! The time. A plugin that uses this imports the interface `clock`, so it must ask for it (`wants = ["clock"]` in
//! plugin.toml) and loads only where the operator grants it.

/// Milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::worker::plugin::clock::now_ms();
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::time::{SystemTime, UNIX_EPOCH};
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64)
    }
}
