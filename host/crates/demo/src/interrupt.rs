//! Ctrl-C, noticed instead of obeyed at once, so that a job can be cancelled first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// True if Ctrl-C was pressed; from the moment this exists it no longer ends the process by itself.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches from now on.
    pub(super) fn watch() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        #[cfg(unix)]
        let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        #[cfg(windows)]
        let mut signal = tokio::signal::windows::ctrl_c()?;
        drop(entered);
        std::thread::Builder::new()
            .name("interrupt".into())
            .spawn(move || {
                if runtime.block_on(signal.recv()).is_some() {
                    seen.store(true, Ordering::Relaxed);
                }
            })?;
        Ok(Self(flag))
    }

    /// Returns true if it was pressed.
    pub(super) fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
