//! The places of a server's connections: of the adapter's, and of MCP over HTTP.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections of callers that showed the token, at a time.
const MEMBERS: usize = 512;
/// Connections that have not shown it yet: the oldest goes when another comes.
const STRANGERS: usize = 128;

/// The connections that are in: members by a count, strangers by name, so that they cannot keep
/// members out.
#[derive(Debug)]
pub struct Door {
    members: Arc<Semaphore>,
    strangers: Mutex<VecDeque<Arc<Place>>>,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            members: Arc::new(Semaphore::new(MEMBERS)),
            strangers: Mutex::default(),
        }
    }
}

impl Door {
    /// Gives a place to a new connection; where there are too many strangers, the oldest leaves.
    pub fn enter(self: &Arc<Self>) -> Arc<Place> {
        let place = Arc::new(Place {
            door: Arc::clone(self),
            gone: CancellationToken::new(),
            member: AtomicBool::new(false),
        });
        let mut strangers = self
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Those that have left, or have become members, are held by nobody else or by their connection alone.
        strangers.retain(|stranger| Arc::strong_count(stranger) > 1);
        if strangers.len() >= STRANGERS
            && let Some(oldest) = strangers.pop_front()
        {
            oldest.gone.cancel();
        }
        strangers.push_back(Arc::clone(&place));
        place
    }
}

/// The place of one connection.
#[derive(Debug)]
pub struct Place {
    door: Arc<Door>,
    /// Cancelled when the connection has to leave.
    pub gone: CancellationToken,
    member: AtomicBool,
}

impl Place {
    /// The caller showed the token. Returns false if all places are taken.
    pub fn admit(self: &Arc<Self>) -> bool {
        if self.member.load(Ordering::Relaxed) {
            return true;
        }
        let Ok(permit) = self.door.members.try_acquire() else {
            return false;
        };
        if self.member.swap(true, Ordering::Relaxed) {
            return true;
        }
        permit.forget();
        self.door
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|stranger| !Arc::ptr_eq(stranger, self));
        true
    }

    /// Returns true if the token was shown on this connection.
    pub(crate) fn is_member(&self) -> bool {
        self.member.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.member.load(Ordering::Relaxed) {
            self.door.members.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_make_room_for_each_other_and_never_for_members() {
        let door = Arc::new(Door::default());
        let member = door.enter();
        assert!(member.admit() && member.admit(), "one place, once");
        let strangers: Vec<_> = (0..STRANGERS).map(|_| door.enter()).collect();
        assert!(strangers.iter().all(|place| !place.gone.is_cancelled()));
        let _last = door.enter();
        assert!(
            strangers
                .first()
                .is_some_and(|oldest| oldest.gone.is_cancelled())
        );
        assert!(!member.gone.is_cancelled());
        assert_eq!(door.members.available_permits(), MEMBERS - 1);

        drop(strangers);
        drop(member);
        assert_eq!(door.members.available_permits(), MEMBERS);
        let members: Vec<_> = (0..MEMBERS).map(|_| door.enter()).collect();
        assert!(members.iter().all(Place::admit));
        assert!(!door.enter().admit(), "every place is taken");
    }
}
