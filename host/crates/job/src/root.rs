//! SANDBOX_ROOT with the folders that the operator lets jobs read beside it.

use settings::Settings;
use workspace::{Root, WorkspaceError};

/// Opens the root; none where it is not set. Repositories beneath it may keep objects where WORKER_SANDBOX_READ or
/// WORKER_SANDBOX_WRITE names their folder.
pub(crate) fn open(settings: &Settings) -> Option<Result<Root, WorkspaceError>> {
    let path = settings.sandbox_root.as_deref()?;
    let further = settings.sandbox_read.iter().chain(&settings.sandbox_write);
    Some(Root::open(path).and_then(|root| root.with_stores(further.cloned())))
}
