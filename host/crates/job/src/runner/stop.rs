//! The causes that end a job early.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::store::Store;

/// The interval at which the runner looks for a request to end the job. The signal that comes along
/// makes it look at once.
const CANCEL_POLL: Duration = Duration::from_millis(500);

/// The reason why a job was cut short. The first cause counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopCause {
    /// Somebody cancelled it.
    Cancelled,
    /// The caller of `run` is gone.
    Deserted,
    /// `timeout_ms` is over.
    TimedOut,
    /// The gateway will not serve this job, however often the agent asks: the cause, and one sentence.
    Gateway(EndCause, String),
}

/// The one switch that ends a job; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    cause: Arc<OnceLock<StopCause>>,
}

impl Stop {
    /// Ends the job, unless something else did already.
    pub(super) fn now(&self, cause: StopCause) {
        let _ = self.cause.set(cause);
        self.token.cancel();
    }

    /// Cancelled when the job is to end.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The reason why the job is to end, if it is.
    pub(super) fn cause(&self) -> Option<&StopCause> {
        self.token
            .is_cancelled()
            .then(|| self.cause.get())
            .flatten()
    }

    /// Listens for SIGTERM, SIGINT and SIGHUP until the runtime ends. Called in its context, and before anybody can know
    /// the process: a signal that nobody listens for would end it without a word.
    pub(super) fn listen_for_signals(&self) {
        #[cfg(unix)]
        for kind in [
            tokio::signal::unix::SignalKind::terminate(),
            tokio::signal::unix::SignalKind::interrupt(),
            tokio::signal::unix::SignalKind::hangup(),
        ] {
            match tokio::signal::unix::signal(kind) {
                Ok(mut signal) => {
                    let stop = self.clone();
                    tokio::spawn(async move {
                        signal.recv().await;
                        stop.now(StopCause::Cancelled);
                    });
                }
                Err(fault) => tracing::warn!(%fault, "a signal cannot be listened for"),
            }
        }
    }

    /// Listens for `cancel` until the runtime ends.
    pub(super) fn listen_for_requests(&self, store: Store, id: JobId) {
        let stop = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(CANCEL_POLL);
            loop {
                tick.tick().await;
                match store.cancel_requested(&id) {
                    Ok(true) => return stop.now(StopCause::Cancelled),
                    Ok(false) => {}
                    Err(fault) => tracing::warn!(%fault, "cancel requests cannot be read"),
                }
            }
        });
    }

    /// Ends the job once whoever waits for it is gone.
    pub(super) fn with(&self, gone: impl Future<Output = ()> + Send + 'static) {
        let stop = self.clone();
        tokio::spawn(async move {
            gone.await;
            stop.now(StopCause::Deserted);
        });
    }

    /// Ends the job when `limit` is over.
    pub(super) fn after(&self, limit: Duration) {
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            stop.now(StopCause::TimedOut);
        });
    }
}
