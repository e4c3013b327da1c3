//! A watch on the front.

use std::os::unix::net::UnixStream;

/// Ends when the front closed its side for good. It has ended its sending side long since, so a read does not tell.
pub(super) async fn hung_up(channel: UnixStream) {
    let watched = tokio::task::spawn_blocking(move || {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let mut ends = [PollFd::new(&channel, PollFlags::empty())];
            match poll(&mut ends, None) {
                Ok(_) | Err(rustix::io::Errno::INTR)
                    if !ends
                        .iter()
                        .any(|end| end.revents().contains(PollFlags::HUP)) => {}
                _ => return,
            }
        }
    });
    let _ = watched.await;
}
