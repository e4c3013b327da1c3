//! The set-up command of an isolated tree, run and judged as a check is, before there is anything to check.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::command;
use super::command_check::origin;
use super::digest;
use super::place::Place;
use super::verdict::{CheckVerdict, made};
use crate::artifacts::{self, Artifacts};
use crate::checks::CommandCheck;
use plugins::PluginSet;
use redact::Redactor;

/// Runs the command; a verdict where it did not pass.
#[allow(clippy::too_many_arguments)]
pub async fn run_setup(
    check: &CommandCheck,
    place: &Place,
    deadline: tokio::time::Instant,
    stop: &CancellationToken,
    digest_bytes: usize,
    plugins: &PluginSet,
    redactor: &Redactor,
    artifacts: &Artifacts,
) -> Option<CheckVerdict> {
    let began = Instant::now();
    let limits = command::Limits {
        deadline,
        stop: stop.clone(),
    };
    let name = artifacts::check_name(&check.name, 1);
    let key = command::Key {
        name: super::room::SETUP,
        kept: false,
    };
    let (run, room) = command::run(check, place, &key, &limits, redactor, artifacts, &name).await;
    if let Some(room) = room {
        place.rooms.end(room, &place.tree, key.name, None);
    }
    let mut verdict = made(&check.name, run.cause?, redactor);
    let output = run.artifact.as_ref().and_then(|name| artifacts.text(name));
    if let Some(output) = output.filter(|output| !output.trim().is_empty()) {
        let origin = digest::Origin {
            command: origin(check),
            exit_code: run.exit.and_then(|exit| exit.code),
        };
        let digest = digest::digest(&output, &origin, digest_bytes, plugins, redactor).await;
        verdict.digest = Some(digest).filter(|digest| !digest.is_empty());
    }
    verdict.artifact = run.artifact;
    verdict.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Some(verdict)
}
