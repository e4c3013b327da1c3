//! The output of a task, whose end does not depend on who else holds it open.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

/// The time that output may still be read once the task is over: what lies in the pipe, and not
/// what a stray goes on writing.
const DRAIN: Duration = Duration::from_secs(2);

/// One output stream of a task. It ends when the pipe ends, and at the latest a short while after the task did.
pub struct Output {
    pipe: Pin<Box<dyn AsyncRead + Send>>,
    drained: Pin<Box<dyn Future<Output = ()> + Send>>,
    closed: bool,
}

impl Output {
    pub(crate) fn new(
        pipe: impl AsyncRead + Send + 'static,
        mut over: watch::Receiver<bool>,
    ) -> Self {
        let drained = async move {
            // A dropped sender means that nobody supervises the task any more: it is over too.
            let _ = over.wait_for(|over| *over).await;
            tokio::time::sleep(DRAIN).await;
        };
        Self {
            pipe: Box::pin(pipe),
            drained: Box::pin(drained),
            closed: false,
        }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.closed && self.drained.as_mut().poll(cx).is_ready() {
            self.closed = true;
        }
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        self.pipe.as_mut().poll_read(cx, buffer)
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
