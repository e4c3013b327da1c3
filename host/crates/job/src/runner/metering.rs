//! The cost of a job's gateway requests, and the facts they carry.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;

use super::journal::Journal;
use super::stop::{Stop, StopCause};
use crate::agent::Activity;
use crate::id::JobId;
use crate::store::Store;
use gateway::{FatalCause, GatewayEvent, RecordSink, RequestRecord};
use redact::Redactor;
use redact::log::MetricsFile;
use settings::Settings;

/// The sink of a job's adapter; cheap to clone.
#[derive(Clone)]
pub(super) struct Metering {
    journal: Arc<Mutex<Journal>>,
    metrics: Option<Arc<MetricsFile>>,
    stop: Stop,
    activity: Activity,
    tokens: Arc<Mutex<u64>>,
    budget: Arc<OnceLock<String>>,
    /// The last note on parts that do not reach the gateway: an agent sends the same again with every request.
    left_out: Arc<Mutex<Option<String>>>,
}

impl Metering {
    /// Opens the metrics file, if one is set.
    pub(super) fn begin(settings: &Settings, journal: &Arc<Mutex<Journal>>, stop: &Stop) -> Self {
        Self {
            journal: Arc::clone(journal),
            metrics: open_metrics(settings),
            stop: stop.clone(),
            activity: Activity::default(),
            tokens: Arc::default(),
            budget: Arc::default(),
            left_out: Arc::default(),
        }
    }

    /// The signs of life that a streaming answer gives.
    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Returns the reason why no request is served any more, when a cap of the job has been reached.
    pub(super) fn budget_spent(&self) -> Option<&str> {
        self.budget.get().map(String::as_str)
    }

    /// Takes each request's record.
    pub(super) fn sink(&self) -> RecordSink {
        let metering = self.clone();
        RecordSink::new(move |record| metering.take(record))
    }

    fn take(&self, record: &RequestRecord) {
        let used = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            *tokens += record.input_tokens + record.output_tokens;
            *tokens
        };
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.progress("tokens", used);
        for lesson in &record.lessons {
            journal.line(&format!("gateway: a refusal taught that {lesson}"));
        }
        if let Some(words) = self.newly_left_out(record) {
            journal.line(&format!(
                "gateway: {} does not take all of the request; left out: {words}",
                record.request_model
            ));
        }
        write(
            journal.store(),
            Some(journal.id()),
            journal.redactor(),
            self.metrics.as_deref(),
            record,
        );
    }

    /// Returns the parts that do not reach the gateway, if they are new.
    fn newly_left_out<'r>(&self, record: &'r RequestRecord) -> Option<&'r str> {
        let mut said = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if record.left_out.is_none() || *said == record.left_out {
            return None;
        }
        said.clone_from(&record.left_out);
        record.left_out.as_deref()
    }

    /// Listens to what else the adapter sees, for as long as it runs.
    pub(super) fn follow(&self, mut events: broadcast::Receiver<GatewayEvent>) {
        let metering = self.clone();
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => metering.notice(event),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }

    fn notice(&self, event: GatewayEvent) {
        match event {
            GatewayEvent::Activity => self.activity.touch(),
            GatewayEvent::Fatal { cause, message } => {
                if cause == FatalCause::Budget {
                    let _ = self.budget.set(message.clone());
                }
                self.stop.now(StopCause::Gateway(cause.into(), message));
            }
            // Each record went to the sink.
            GatewayEvent::Request(_) => {}
        }
    }
}

/// The metrics file, if one is set; one that cannot be opened costs the metrics, not the job.
pub(super) fn open_metrics(settings: &Settings) -> Option<Arc<MetricsFile>> {
    let path = settings.metrics_file.as_deref()?;
    match MetricsFile::open(path) {
        Ok(file) => Some(Arc::new(file)),
        Err(fault) => {
            tracing::warn!(%fault, path = %path.display(), "WORKER_METRICS_FILE cannot be written");
            None
        }
    }
}

/// Writes one request's record to the store and the metrics file.
pub(super) fn write(
    store: &Store,
    job: Option<&JobId>,
    redactor: &Redactor,
    metrics: Option<&MetricsFile>,
    record: &RequestRecord,
) {
    let record = redactor.json(serde_json::to_value(record).unwrap_or(Value::Null));
    if let Err(fault) = store.record_request(job, &record) {
        tracing::error!(%fault, "a request could not be recorded");
    }
    if let Some(Err(fault)) = metrics.map(|metrics| metrics.append(&record)) {
        tracing::warn!(%fault, "WORKER_METRICS_FILE cannot be written");
    }
}
