//! `analyze` in its runner: read the files, ask once, answer.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::hangup::hung_up;
use super::metering;
use super::resources::JobResources;
use crate::analyze::{self, AnalyzeSpec, Answered, Material};
use crate::launch::Outcome;
use crate::refusal::Refusal;
use crate::store::Store;
use gateway::{self, RecordSink};
use redact::LogMask;
use settings::Settings;
use workspace::Root;

/// Answers one question over the front's socket. When the front hangs up, so does this.
pub(super) async fn answer(
    settings: Settings,
    question: AnalyzeSpec,
    channel: UnixStream,
    mask: &LogMask,
) {
    let Ok(watched) = channel.try_clone() else {
        return;
    };
    tokio::select! {
        () = hung_up(watched) => {}
        answered = find_out(Arc::new(settings), question, mask) => {
            let outcome = match answered {
                Ok(answered) => Outcome::Answer(answered.reply()),
                Err(refusal) => Outcome::Refused(refusal),
            };
            super::answer::send(&channel, &outcome);
        }
    }
}

async fn find_out(
    settings: Arc<Settings>,
    question: AnalyzeSpec,
    mask: &LogMask,
) -> Result<Answered, Refusal> {
    let for_loading = Arc::clone(&settings);
    let asked = question.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        let path = for_loading.sandbox_root.as_deref();
        let path = path.ok_or_else(|| Refusal::new("SANDBOX_ROOT", "is not set"))?;
        let root = Root::open(path).map_err(|fault| Refusal::new("SANDBOX_ROOT", fault))?;
        let material = Material::gather(&root, &asked)?;
        let resources = JobResources::to_read(for_loading, &root, &asked.paths);
        let resources = resources.map_err(Refusal::internal)?;
        Ok::<_, Refusal>((material, resources))
    });
    let (material, resources) = loaded.await.map_err(Refusal::internal)??;
    mask.set(resources.redactor.clone());

    let config = resources.adapter("analyze", sink(&settings, &resources))?;
    let user = format!("{}\nQuestion: {}", material.text, question.question);
    let asked = gateway::Question {
        system: analyze::INSTRUCTIONS,
        user: &user,
        model: question.model.as_deref(),
        max_tokens: analyze::ANSWER_TOKENS_MAX,
    };
    let completion = gateway::complete(config, asked)
        .await
        .map_err(|fault| Refusal::new("gateway", fault))?;
    let redact = |text: &str| resources.redactor.text(text).into_string();
    Ok(Answered {
        answer: redact(&completion.text),
        cut: completion.cut,
        files: material.files,
        left_out: material.left_out.iter().map(|name| redact(name)).collect(),
        input_tokens: completion.usage.tokens.input + completion.usage.tokens.cache_read,
        output_tokens: completion.usage.tokens.output,
        model: redact(&completion.model),
    })
}

/// Records go to the store and the metrics file under no job.
fn sink(settings: &Settings, resources: &JobResources) -> RecordSink {
    let metrics = metering::open_metrics(settings);
    let redactor = resources.redactor.clone();
    let folder = settings.state_dir.clone();
    RecordSink::new(move |record| match Store::open(&folder) {
        Ok(store) => metering::write(&store, None, &redactor, metrics.as_deref(), record),
        Err(fault) => tracing::error!(%fault, "a request could not be recorded"),
    })
}
