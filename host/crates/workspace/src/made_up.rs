//! A repository for trees that are made up: `plugin test` compares them as those of a job.

use std::path::Path;

use git2::{Repository, RepositoryInitOptions, Signature, Time};

use crate::error::WorkspaceError;

/// Makes a repository with one empty commit. What is in the folder is not in it.
///
/// # Errors
/// When the folder cannot be written.
pub fn make_repository(top: &Path) -> Result<(), WorkspaceError> {
    let mut options = RepositoryInitOptions::new();
    options
        .no_reinit(true)
        .external_template(false)
        .initial_head("main");
    let repository = Repository::init_opts(top, &options)?;
    let tree = repository.find_tree(repository.treebuilder(None)?.write()?)?;
    let nobody = Signature::new("nobody", "nobody@localhost", &Time::new(0, 0))?;
    repository.commit(Some("HEAD"), &nobody, &nobody, "nothing yet", &tree, &[])?;
    Ok(())
}
