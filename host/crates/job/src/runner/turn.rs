//! A job's turn: its place in the queue, and what it says of its wait.

use serde_json::json;

use super::running_job::{EarlyExit, Job};
use super::stop::StopCause;
use crate::end_cause::EndCause;
use crate::queue::{self, Bell, Holdings, Place, Turn};
use crate::root;
use crate::state::State;
use crate::store::{Store, StoreError, now_ms};
use settings::Isolation;
use workspace::Workspace;

/// What a look at the queue came to.
pub(super) enum Arrived {
    Has(Holdings),
    Waits { bell: Bell, until_ms: i64 },
}

/// The field of progress that says what a job waits for.
const WAITING_FOR: &str = "waiting_for";

/// The result of a job that waited for its turn for so long says so.
const WORTH_TELLING_MS: i64 = 1_000;

impl Job {
    fn record_spec(&mut self) {
        let spec = &self.spec;
        let checks: Vec<&str> = spec.checks.iter().map(|check| check.name()).collect();
        let prompt: String = spec.prompt.chars().take(400).collect();
        let summary = json!({
            "prompt": prompt,
            "allowed_dirs": spec.allowed_dirs,
            "model": self.resources.model(spec),
            "permission_mode": spec.permission_mode,
            "scope": spec.scoped_patch.as_ref().map(|scope| &scope.paths),
            "checks": checks,
            "timeout_ms": spec.timeout_ms,
            "isolation": spec.isolation,
            "setup": spec.setup.as_ref().map(|setup| &setup.command.command),
            "plugins": self.operators_plugins(),
        });
        let mut journal = self.journal();
        for listed in self.resources.plugins.list() {
            if listed.enabled && !listed.grants.is_empty() {
                let grants = listed.grants.join(", ");
                journal.line(&format!("plugin {} was granted {grants}", listed.name));
            }
        }
        let summary = journal.redactor().json(summary);
        journal.record("what was asked", |store, id| {
            store.record_spec(id, &summary)
        });
    }

    /// The operator's plugins that this job may meet: which component, and what it may do.
    fn operators_plugins(&self) -> Vec<serde_json::Value> {
        let listed = self.resources.plugins.list().into_iter();
        let own = listed.filter(|listed| listed.enabled && !listed.bundled);
        own.map(|listed| {
            json!({ "name": listed.name, "sha256": listed.sha256, "grants": listed.grants })
        })
        .collect()
    }

    /// Takes the job's turn, or finds that it must wait.
    pub(super) async fn turn(&mut self) -> Result<Arrived, EarlyExit> {
        let failed = |fault: StoreError| EarlyExit::fault(EndCause::Store)(&fault);
        let row = {
            let journal = self.journal();
            journal.store().job(journal.id()).map_err(failed)?
        };
        let Some(row) = row else {
            self.stop.now(StopCause::Cancelled);
            return Err(EarlyExit::Stopped);
        };
        let waited_ms = now_ms().saturating_sub(row.created_ms).max(0);
        // What it has waited for until now, where it has.
        let before = row.progress.as_ref().and_then(|progress| {
            let words = progress.get(WAITING_FOR)?.as_str()?;
            Some(words.to_owned())
        });
        match &before {
            None => self.record_spec(),
            Some(what) if waited_ms >= WORTH_TELLING_MS => {
                let note = format!("waited {} s for {what}", waited_ms / 1_000);
                self.findings.notes.push(note);
            }
            Some(_) => {}
        }
        self.settle_place().await?;
        let until_ms = i64::try_from(self.settings.queue_ms).unwrap_or(i64::MAX);
        let until_ms = row.created_ms.saturating_add(until_ms);
        // A store of its own: waiting must not hold the journal.
        let (state_dir, id) = (self.settings.state_dir.clone(), row.id.clone());
        let turn = self
            .blocking(move || queue::take(&Store::open(&state_dir)?, &id))
            .await?
            .map_err(failed)?;
        match turn {
            Turn::Has(holdings) => {
                self.journal().entered(State::Preparing);
                Ok(Arrived::Has(holdings))
            }
            Turn::Waits(bell) => {
                let what = queue::waiting_for(self.journal().store(), &row).map_err(failed)?;
                if now_ms() >= until_ms {
                    return Err(EarlyExit::NoTurn(what));
                }
                let mut journal = self.journal();
                if before.as_ref() != Some(&what) {
                    journal.line(&format!("waiting for {what}"));
                }
                journal.progress(WAITING_FOR, what);
                journal.flush();
                drop(journal);
                Ok(Arrived::Waits { bell, until_ms })
            }
            Turn::Gone => {
                self.stop.now(StopCause::Cancelled);
                Err(EarlyExit::Stopped)
            }
        }
    }

    /// Sees to it that the queue knows which tree the job must have alone: the checkout may have been replaced since the
    /// job came.
    async fn settle_place(&mut self) -> Result<(), EarlyExit> {
        let failed = |fault: StoreError| EarlyExit::fault(EndCause::Store)(&fault);
        let place = {
            let journal = self.journal();
            journal.store().place(journal.id()).map_err(failed)?
        };
        if place.is_some() && self.spec.isolation == Isolation::Worktree {
            return Ok(());
        }
        let Some(root) = root::open(&self.settings) else {
            return Ok(());
        };
        let dirs = self.spec.allowed_dirs.clone();
        let opened = self
            .blocking(move || Workspace::open(&root?, &dirs))
            .await?;
        let repository = opened.map_err(|fault| EarlyExit::tree(&fault))?.lock_name();
        let journal = self.journal();
        let (store, id) = (journal.store(), journal.id());
        match place {
            // One that a runner started, and no front: it shares with what that one starts.
            None => {
                let row = store.job(id).map_err(failed)?;
                let home = row.and_then(|row| row.lives_in);
                let place = Place::of(&self.spec, &repository, home.as_ref(), &self.settings, true);
                store.enter_queue(id, &place).map_err(failed)
            }
            Some(place) if place.tree.as_ref() != Some(&repository) => {
                store.move_place(id, &repository).map_err(failed)
            }
            Some(_) => Ok(()),
        }
    }
}
