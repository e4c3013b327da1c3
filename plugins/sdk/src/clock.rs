//! The time. A plugin that uses this imports `wasi:clocks`, so it must ask for it (`wants = ["clock"]` in plugin.toml) and
//! loads only where the operator grants it.

/// Milliseconds since 1970-01-01 UTC, as the machine's clock has it: may jump.
pub fn now_ms() -> u64 {
    #[cfg(target_arch = "wasm32")]
    {
        let now = crate::bindings::imports::wasi::clocks::wall_clock::now();
        now.seconds * 1000 + u64::from(now.nanoseconds / 1_000_000)
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::time::{SystemTime, UNIX_EPOCH};
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64)
    }
}
