//! The sessions of the revisions before 2026-07-28: whose each is, and how many there may be. Later revisions have none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

use super::tokens::ClientId;

/// The most sessions at a time; when another one begins, the one that was not used for the longest time ends.
pub(super) const SESSIONS_MAX: usize = 512;

/// The sessions that were handed out, beside rmcp's own record of them.
#[derive(Debug)]
pub(super) struct Sessions {
    manager: Arc<LocalSessionManager>,
    known: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    owner: ClientId,
    used: Instant,
    /// Requests under way, streams included.
    visits: usize,
}

/// A request of a session, as long as its answer lasts.
pub(super) struct Visit {
    sessions: Arc<Sessions>,
    id: String,
}

impl Sessions {
    pub(super) fn new(manager: Arc<LocalSessionManager>) -> Arc<Self> {
        Arc::new(Self {
            manager,
            known: Mutex::default(),
        })
    }

    /// A request of this client in this session; nothing where the session is another client's, or none.
    pub(super) fn enter(self: &Arc<Self>, id: &str, client: ClientId) -> Option<Visit> {
        let mut known = self.known();
        let session = known
            .get_mut(id)
            .filter(|session| session.owner == client)?;
        session.visits += 1;
        Some(Visit {
            sessions: Arc::clone(self),
            id: id.to_owned(),
        })
    }

    /// Makes room for one more session; false where all that there are have requests under way.
    pub(super) async fn make_room(&self) -> bool {
        let oldest = {
            let mut known = self.known();
            if known.len() < SESSIONS_MAX {
                return true;
            }
            let idle = known.iter().filter(|(_, session)| session.visits == 0);
            let Some(oldest) = idle
                .min_by_key(|(_, session)| session.used)
                .map(|(id, _)| id.clone())
            else {
                return false;
            };
            known.remove(&oldest);
            oldest
        };
        self.close(&oldest).await;
        true
    }

    /// Takes note of a session that has begun.
    pub(super) fn add(&self, id: &str, owner: ClientId) {
        let session = Session {
            owner,
            used: Instant::now(),
            visits: 0,
        };
        self.known().insert(id.to_owned(), session);
    }

    /// Forgets a session that its client ended.
    pub(super) fn remove(&self, id: &str) {
        self.known().remove(id);
    }

    async fn close(&self, id: &str) {
        if let Err(fault) = self.manager.close_session(&id.into()).await {
            tracing::debug!(%fault, "a session was over already");
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.known().get_mut(&self.id) {
            session.visits = session.visits.saturating_sub(1);
            session.used = Instant::now();
        }
    }
}
