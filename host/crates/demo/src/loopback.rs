//! A small HTTP server on a free loopback port, with a thread and a runtime of its own, so that it serves blocking
//! callers and async ones alike.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt;
use tokio::sync::oneshot;

/// A running server; it ends, open connections included, when this is dropped.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Serves `router`, bodies of any size, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no loopback port or no thread is to be had.
    pub fn serve(router: Router) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("loopback".into()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let listener = listener.tap_io(|connection| {
                    // Without it Nagle holds back the small events of a stream.
                    let _ = connection.set_nodelay(true);
                });
                tokio::select! {
                    _ = axum::serve(listener, router.layer(DefaultBodyLimit::disable())).into_future() => {}
                    _ = stopped => {}
                }
            });
            // A held or silent connection must not keep the owner waiting.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
