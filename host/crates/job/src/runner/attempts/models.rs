//! Models that the gateway does not have, found before anything is started.

use std::sync::Arc;
use std::time::Duration;

use super::super::resources::JobResources;
use crate::refusal::Refusal;
use crate::spec::JobSpec;
use gateway::RecordSink;
use redact::text;
use settings::Settings;

/// How long the gateway may take to list its models. Without its answer every name counts as known.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most names of a refusal.
const SHOWN: usize = 12;

/// Refuses attempts whose model the gateway's own list does not have, by name. Many gateways have no list: then each attempt
/// finds out for itself.
pub(in crate::runner) async fn unknown(settings: &Settings, spec: &JobSpec) -> Option<Refusal> {
    let attempts = spec.attempts.as_ref()?;
    let first = attempts.models.first()?;
    let resources = JobResources::load(Arc::new(settings.clone()), &spec.allowed_dirs).ok()?;
    let config = resources.adapter("models", RecordSink::none()).ok()?;
    let listed = gateway::list_models(
        &config.primary,
        config.mode,
        first,
        &resources.redactor,
        PATIENCE,
    )
    .await
    .ok()
    .filter(|listed| !listed.is_empty())?;
    // What the operator names is known, also where a list leaves it out.
    let by_operator = [
        &settings.model,
        &settings.lite_model,
        &settings.escalate_model,
    ];
    let known = |model: &String| {
        listed.iter().any(|listed| listed.name == *model)
            || by_operator
                .iter()
                .any(|named| named.as_ref() == Some(model))
            || settings.prices.models.contains_key(model)
    };
    let at = attempts.models.iter().position(|model| !known(model))?;
    let names: Vec<&str> = listed
        .iter()
        .take(SHOWN)
        .map(|listed| listed.name.as_str())
        .collect();
    let more = match listed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", +{more} more"),
    };
    let rule = format!(
        "is no model of the gateway; it lists: {}{more}",
        names.join(", ")
    );
    Some(Refusal::new(
        format!("attempts.models[{at}]"),
        resources
            .redactor
            .text(&text::one_line(&text::printable(&rule), 600)),
    ))
}
