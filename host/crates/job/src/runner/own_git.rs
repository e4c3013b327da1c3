//! A job's own git directories: made before its tasks begin, and brought or sealed when it is over.

use std::sync::Arc;

use super::running_job::{EarlyExit, Job};
use super::site::Site;
use crate::verify::Verdicts;
use process::ProcessError;
use settings::SandboxMode;
use workspace::{Base, BringRequest, Isolated, OwnGit, WorkspaceError};

/// The job's own git directories, in its folder.
pub(crate) const OWN_GIT: &str = "git";

impl Job {
    /// Gives the job git directories of its own, and finds out whether the kernel holds the agent to its files: on that
    /// depends which commands it may run. Both by trying, with what the agent will be given.
    pub(super) async fn confine(
        &mut self,
        site: &Site,
        base: Base,
    ) -> Result<(Base, bool), EarlyExit> {
        if self.settings.sandbox == SandboxMode::Off {
            return Ok((base, false));
        }
        let mut base = base;
        let mut refused = None;
        if !site.is_isolated() {
            let folder = self.folder().join(OWN_GIT);
            let (taken, made) = self
                .blocking(move || {
                    let made = OwnGit::create(&base, &folder);
                    (base, made)
                })
                .await?;
            base = match made {
                Ok(own) => taken.with_own_git(Arc::new(own)),
                Err(WorkspaceError::Stopped) => return Err(EarlyExit::Stopped),
                Err(fault) => {
                    refused = Some(fault.to_string());
                    taken
                }
            };
        }
        let mut level = process::probe_with(site.confinement_of_agent(&self.settings, &base)).await;
        if let Err(ProcessError::StandIn(reason)) = level {
            base = base.without_own_git();
            refused = Some(reason);
            level = process::probe_with(site.confinement_of_agent(&self.settings, &base)).await;
        }
        if let Some(reason) = refused {
            let note = format!("the agent works in the user's git directory: {reason}");
            self.journal().line(&note);
            self.findings.notes.push(note);
        }
        Ok((base, level.is_ok_and(|level| level.files_confined)))
    }

    /// Brings what the job committed in git directories of its own into the user's, after a look at it.
    pub(super) fn bring_commits(&mut self, base: &Base, over: bool) {
        let Some(own) = base.own_git() else {
            return;
        };
        let id = self.journal().id().to_string();
        let verdicts = self.findings.verdicts.as_ref();
        let verified = over && verdicts.is_some_and(Verdicts::passed);
        let changes = self.findings.changes.clone().filter(|_| verified);
        let request = BringRequest {
            base,
            verified: changes.as_deref(),
            job: &id,
            folder: &self.folder(),
        };
        let told = tokio::task::block_in_place(|| own.bring(&request));
        for line in &told {
            self.journal().line(line);
        }
        self.findings.notes.extend(told);
        self.findings.git_brought = true;
    }

    /// Keeps what the job made, for `apply` and for a job that goes on from it.
    pub(super) fn seal(&mut self, site: &mut Site, base: &Base) -> Result<(), EarlyExit> {
        let Some(changes) = &self.findings.changes else {
            return Ok(());
        };
        self.findings.autorun = base.autorun(changes);
        let sealed = tokio::task::block_in_place(|| {
            site.seal(base, changes, &subject(&self.spec.prompt), &self.folder())
        });
        self.findings.notes.extend(sealed?);
        self.findings.start.result_tree = site.isolated().and_then(Isolated::result_tree);
        Ok(())
    }
}

/// The message of the commit that keeps an isolated job's result.
fn subject(prompt: &str) -> String {
    redact::text::one_line(prompt, 72)
}
