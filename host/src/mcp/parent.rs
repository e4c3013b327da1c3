//! Notices that the process that started this one is gone.

/// Ends when the parent of this process has ended; never when there is none to begin with. End of input says the same in
/// most cases, but not when somebody else holds the other end of the pipe.
#[cfg(unix)]
pub(super) async fn gone() {
    use rustix::process::getppid;

    let Some(parent) = getppid().filter(|parent| !parent.is_init()) else {
        return std::future::pending().await;
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, pidfd_open};
        use tokio::io::{Interest, unix::AsyncFd};

        let watched = pidfd_open(parent, PidfdFlags::empty())
            .ok()
            // SAFETY: the descriptor is owned by the AsyncFd until both are dropped, and nobody else sees it.
            .and_then(|pidfd| {
                unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.ok()
            });
        // The parent may have ended, and its number been given away, before the descriptor was opened.
        if let Some(watched) = watched
            && getppid() == Some(parent)
            && watched.readable().await.is_ok()
        {
            return;
        }
    }
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    while getppid() == Some(parent) {
        tick.tick().await;
    }
}

/// Waits for ever: a parent cannot be watched here, and the end of input has to do.
#[cfg(not(unix))]
pub(super) async fn gone() {
    std::future::pending().await
}
