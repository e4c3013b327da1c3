//! The evidence of a pass: what changed, what the checks say of it, and what is kept of both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::before::BeforeRuns;
use super::metering::Metering;
use super::running_job::{EarlyExit, Job};
use super::site::Site;
use crate::agent::{AgentOutcome, Ending};
use crate::artifacts::Artifacts;
use crate::checks::OnViolation;
use crate::end_cause::EndCause;
use crate::verify::{self, Verdicts, revise};
use workspace::{Base, ChangedFile, FilePath, GitIdentity, WorkspaceError};

impl Job {
    /// Changes are taken before any check runs: what checks write is never the agent's.
    pub(super) async fn take_changes(&mut self, base: &Base) -> Result<(), EarlyExit> {
        // Also after a cancel: what the job did so far is part of its evidence.
        let changes = tokio::task::block_in_place(|| base.changes());
        if matches!(changes, Err(WorkspaceError::Stopped)) {
            let note = "the tree is too large to be looked at once more before the end".to_owned();
            self.findings.notes.push(note);
        }
        let changes = changes.map_err(|fault| EarlyExit::tree(&fault))?;
        let set_ids = tokio::task::block_in_place(|| base.remove_set_ids(&changes));
        if !set_ids.is_empty() {
            let names: Vec<String> = set_ids.iter().map(ToString::to_string).collect();
            let names = verify::listed(&names);
            let note = format!("set-user-ID and set-group-ID bits taken away: {names}");
            self.findings.notes.push(note);
        }
        self.findings.changes = Some(Arc::new(changes));
        Ok(())
    }

    /// Returns true if somebody may want cargo's packages: there is a project of cargo's, or the agent began one.
    pub(super) fn uses_cargo(&self, base: &Base) -> bool {
        const MANIFEST: &str = "Cargo.toml";
        let changes = self.findings.changes.iter();
        let mut changed = changes.flat_map(|changes| &changes.files);
        base.has_file_named(MANIFEST)
            || changed.any(|file| file.top_path.as_path().ends_with(MANIFEST))
    }

    /// The place that commands of the host's run in: checks, and the set-up.
    pub(super) fn check_place(&self, site: &Site, base: &Base) -> verify::Place {
        let workspace = site.workspace();
        verify::Place {
            tree: verify::Tree {
                root: workspace.root().clone(),
                work_dir: workspace.work_dir().to_owned(),
                top: workspace.top().to_owned(),
                is_own: site.is_isolated(),
                git_writes: site.git_writes(base),
                cargo_packages: self.uses_cargo(base),
                git_identity: GitIdentity::of(workspace),
                confinement: site.confinement_of_checks(&self.settings, base),
            },
            rooms: Arc::clone(&self.rooms),
            extra_env: self.extra_env(site),
        }
    }

    /// The bytes of one check's digest.
    pub(super) fn digest_bytes(&self) -> usize {
        usize::try_from(self.settings.check_output_response_max).unwrap_or(usize::MAX)
    }

    pub(super) async fn verify(
        &self,
        site: &Site,
        base: &Base,
        pass: u32,
        metering: &Metering,
    ) -> verify::Verification {
        let Some(changes) = &self.findings.changes else {
            return verify::Verification::default();
        };
        let agent = self.findings.agent.as_ref();
        let plan = verify::Plan {
            checks: &self.spec.checks,
            scoped_patch: self.spec.scoped_patch.as_ref(),
            expect_changes: self.spec.expect_changes,
            own_git: site.is_isolated() || base.own_git().is_some(),
            bare_copy_of: site
                .isolated()
                .filter(|_| self.spec.setup.is_none())
                .map(|isolated| isolated.record().source.as_path()),
            pass,
            base,
            place: self.check_place(site, base),
            deadline: self.deadline.unwrap_or_else(Instant::now),
            stop: self.stop.token().clone(),
            digest_bytes: self.digest_bytes(),
        };
        let id = self.journal().id().to_string();
        let evidence = verify::Evidence {
            job_id: &id,
            task: &self.spec.prompt,
            changes: Arc::clone(changes),
            agent: agent.map(agent_evidence).unwrap_or_default(),
            agent_message: agent
                .and_then(|agent| agent.last_message.as_deref())
                .unwrap_or_default(),
            budget: metering.budget_spent().map(str::to_owned),
        };
        let artifacts = Artifacts::in_job(&self.folder());
        let tell = |progress| match progress {
            verify::Progress::Started(check) => {
                self.journal().progress("last", format!("check {check}"))
            }
            verify::Progress::Ended(line) => {
                self.write_plugin_log();
                self.journal().line(&line);
            }
        };
        verify::run(
            &plan,
            &evidence,
            &self.resources.plugins,
            &self.resources.redactor,
            &artifacts,
            tell,
        )
        .await
    }

    /// Says in the lines of the checks what they said before the agent began.
    pub(super) async fn compare_with_before(
        &mut self,
        verdicts: &mut Verdicts,
        before: &mut Option<BeforeRuns>,
        top: &Path,
    ) {
        let Some(changes) = self.findings.changes.clone() else {
            return;
        };
        let mut found = verify::Before::new();
        if let Some(before) = before {
            let took = verdicts.checks.iter().map(|check| check.duration_ms).sum();
            found = before.within(Duration::from_millis(took)).await;
            before
                .with_tests(&self.spec.checks, &changes, &mut found)
                .await;
        }
        self.findings.unproven = verify::compare(
            verdicts,
            &self.spec.checks,
            &found,
            &changes,
            top,
            &self.resources.redactor,
        );
    }

    /// Puts the files back that were changed outside the scope, where the job asked for it.
    pub(super) fn put_back(&mut self, base: &Base) -> Result<(), EarlyExit> {
        let wanted = self
            .spec
            .scoped_patch
            .as_ref()
            .is_some_and(|scope| scope.on_violation == OnViolation::Revert);
        let (Some(changes), Some(verdicts), true) =
            (&self.findings.changes, &self.findings.verdicts, wanted)
        else {
            return Ok(());
        };
        let outside: Vec<&String> = verdicts
            .failing()
            .filter(|verdict| verdict.name == verify::SCOPE_LINE)
            .flat_map(|verdict| &verdict.found_in)
            .collect();
        let files: Vec<&ChangedFile> = changes
            .files
            .iter()
            .filter(|file| {
                file.paths()
                    .any(|path| outside.iter().any(|outside| *path == outside.as_str()))
            })
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        let reverted = tokio::task::block_in_place(|| base.revert(files))
            .map_err(|fault| EarlyExit::fault(EndCause::Workspace)(&fault))?;
        let names = |files: &[FilePath]| {
            files
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        if !reverted.files.is_empty() {
            self.findings
                .notes
                .push(format!("put back: {}", names(&reverted.files)));
        }
        for (file, why) in &reverted.failed {
            self.findings
                .notes
                .push(format!("not put back: {file} ({why})"));
        }
        Ok(())
    }

    pub(super) fn record_pass(
        &mut self,
        number: u32,
        model: &str,
        spent: gateway::Usage,
        verdicts: &Verdicts,
    ) {
        let digest = self
            .findings
            .changes
            .as_ref()
            .map(|changes| changes.digest())
            .unwrap_or_default();
        let agent = self.findings.agent.as_ref();
        let record = json!({
            "pass": number,
            "model": model,
            "turns": agent.map(|agent| agent.turns),
            "usage": spent,
            "checks": verdicts.lines(),
            "diff_digest": digest,
        });
        self.journal().pass(number, record);
        self.findings.passes.push(revise::Pass {
            diff_digest: digest,
            verdicts: verdicts.clone(),
        });
        self.findings.verdicts = Some(verdicts.clone());
    }
}

/// Returns how the agent's pass ended, for the checks: as the host saw it, not as the agent reports it.
fn agent_evidence(agent: &AgentOutcome) -> verify::AgentEvidence {
    let fault = match &agent.ending {
        Ending::Failed { cause, message } => Some((*cause, message.clone())),
        Ending::MaxTurns => Some((
            EndCause::MaxTurns,
            format!("the turn limit was reached after {} turns", agent.turns),
        )),
        _ => None,
    };
    verify::AgentEvidence {
        fault,
        denials: agent
            .denials
            .iter()
            .map(|denial| format!("{} {}", denial.tool, denial.target))
            .collect(),
    }
}
