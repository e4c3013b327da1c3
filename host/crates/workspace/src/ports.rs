//! Ports that are a job's own, for WORKER_PORT_BASE.

use std::fs;
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::WorkspaceError;

/// A block of ports that is a job's own as long as this lives, for WORKER_PORT_BASE.
#[derive(Debug)]
pub struct PortBase {
    base: u16,
    _lock: fs::File,
}

impl PortBase {
    /// The number of ports in a block.
    pub const PORTS: u16 = 20;

    /// Reserves a block among the jobs of this user (by a lock in `folder`) whose ports nobody listens on just now.
    ///
    /// # Errors
    /// When the folder cannot be written, or no block is free.
    pub fn reserve(folder: &Path) -> Result<Self, WorkspaceError> {
        const FIRST: u16 = 20_000;
        const BLOCKS: u16 = 600;
        let failed = |source| WorkspaceError::Io {
            action: "write",
            path: folder.to_path_buf(),
            source,
        };
        private::make_folder(folder).map_err(failed)?;
        for block in 0..BLOCKS {
            let base = FIRST + block * Self::PORTS;
            let path = folder.join(format!("{base}.lock"));
            let lock = fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
                .map_err(failed)?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let free = (base..base + Self::PORTS)
                .all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
            if free {
                return Ok(Self { base, _lock: lock });
            }
        }
        Err(WorkspaceError::Isolation {
            what: "no block of ports is free".to_owned(),
        })
    }

    /// The first port of the block.
    pub fn base(&self) -> u16 {
        self.base
    }
}
