//! Lines in the job's log. The host adds plugin and job, redacts, and keeps only so many. In native tests they go to
//! stderr.

/// The level of a line.
pub use crate::bindings::mcp_codex_worker::types::log::Level;

/// Writes one line; the macros of this module are shorter.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::mcp_codex_worker::types::log::write(level, message, &[]);
    #[cfg(not(target_arch = "wasm32"))]
    std::eprintln!("[{level:?}] {message}");
}

/// Returns true if anybody keeps lines of this level.
pub fn enabled(level: Level) -> bool {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::mcp_codex_worker::types::log::enabled(level);
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = level;
        true
    }
}

/// A line that helps whoever writes the plugin.
#[macro_export]
macro_rules! debug {
    ($($message:tt)*) => {
        if $crate::log::enabled($crate::log::Level::Debug) {
            $crate::log::write($crate::log::Level::Debug, &::std::format!($($message)*))
        }
    };
}

/// A line that helps whoever runs the host.
#[macro_export]
macro_rules! info {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($message)*)) };
}

/// std's macro of this name prints into nothing in a component. With `use worker_plugin::println;` the line goes to the job's
/// log.
#[macro_export]
macro_rules! println {
    ($($message:tt)*) => { $crate::info!($($message)*) };
}

/// std's macro of this name prints into nothing in a component. With `use worker_plugin::eprintln;` the line goes to the
/// job's log, as a warning.
#[macro_export]
macro_rules! eprintln {
    ($($message:tt)*) => { $crate::warn!($($message)*) };
}

/// Something that should be looked at.
#[macro_export]
macro_rules! warn {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($message)*)) };
}
