//! The Tasks extension (`io.modelcontextprotocol/tasks`): a call that would wait is answered by a task, for which its client
//! comes back until it ends.
//!
//! The wire is here; what a task is, a [`TaskStore`] says. The product's tasks are its jobs, by their ids, so that a task
//! outlives the server that began it and every server of the same store knows it.

use std::time::SystemTime;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, CreateTaskResult, DetailedTask, ErrorData, GetTaskResult,
    InputResponses, JsonObject, Task, TaskPayload,
};
use rmcp::service::RequestContext;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::reply::answered;
use super::server::summary;
use gateway::rfc3339;
use job::spec::TIMEOUT_MAX_MS;
use job::{Front, Refusal, State};

/// The interval at which a client is told to come back. A job takes minutes, and each question reads the store.
const POLL_MS: u64 = 2_000;

/// What keeps tasks.
pub trait TaskStore: Sync {
    /// Returns the task as it is now; none if there is no such task.
    fn standing(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Option<Standing>, ErrorData>> + Send;

    /// Asks for the end of a task, and does not wait for it; one that is over stays as it is. False if there is no such task.
    fn stop(&self, id: &str) -> impl Future<Output = Result<bool, ErrorData>> + Send;

    /// Gives a task what it asked its client for. False if there is no such task.
    fn respond(
        &self,
        id: &str,
        responses: InputResponses,
    ) -> impl Future<Output = Result<bool, ErrorData>> + Send;
}

/// A task at one moment.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its name.
    pub id: String,
    /// Its beginning.
    pub created: SystemTime,
    /// The last time that its status changed.
    pub updated: SystemTime,
    /// One line about it, for whoever watches.
    pub message: Option<String>,
    /// Its status, with what belongs to that.
    pub payload: TaskPayload,
}

impl Standing {
    fn into_task(self) -> DetailedTask {
        let mut task = Task::new(
            self.id,
            self.payload.status(),
            rfc3339(self.created),
            rfc3339(self.updated),
        )
        .with_poll_interval_ms(POLL_MS);
        task.status_message = self.message;
        DetailedTask::new(task, self.payload)
    }
}

/// Returns true if the client of a request can be answered by a task: it said so in this request, or for its session.
pub fn declared(context: &RequestContext<RoleServer>) -> bool {
    context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks())
}

/// The answer to a call that goes on as this task. It must be in its store by now: the client may ask for it at once.
pub fn begun(standing: Standing) -> CallToolResponse {
    CallToolResponse::Task(CreateTaskResult::new(standing.into_task().task))
}

/// Answers `tasks/get`.
///
/// # Errors
/// There is no such task, or the store fails.
pub async fn get(store: &impl TaskStore, id: &str) -> Result<GetTaskResult, ErrorData> {
    let standing = store.standing(id).await?.ok_or_else(unknown)?;
    Ok(GetTaskResult::new(standing.into_task()))
}

/// Answers `tasks/cancel`.
///
/// # Errors
/// There is no such task, or the store fails.
pub async fn cancel(store: &impl TaskStore, id: &str) -> Result<(), ErrorData> {
    store.stop(id).await?.then_some(()).ok_or_else(unknown)
}

/// Answers `tasks/update`.
///
/// # Errors
/// There is no such task, or the store fails.
pub async fn update(
    store: &impl TaskStore,
    id: &str,
    responses: InputResponses,
) -> Result<(), ErrorData> {
    let known = store.respond(id, responses).await?;
    known.then_some(()).ok_or_else(unknown)
}

/// A tool's result as the end of its task.
pub fn completed(result: CallToolResult) -> TaskPayload {
    let result = match serde_json::to_value(result) {
        Ok(Value::Object(result)) => result,
        _ => JsonObject::new(),
    };
    TaskPayload::Completed { result }
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("taskId names no task of this server", None)
}

/// The jobs of the store as tasks. Every job is one, however it was begun.
pub(super) struct JobTasks<'a> {
    pub(super) front: Front,
    /// The asker: a result has the form that it reads.
    pub(super) caller: &'a Caller,
}

impl TaskStore for JobTasks<'_> {
    async fn standing(&self, id: &str) -> Result<Option<Standing>, ErrorData> {
        let job = self.front.standing(id).await.map_err(fault)?;
        Ok(job.map(|job| {
            let message = summary(&job.view);
            let payload = match job.state {
                State::Cancelled => TaskPayload::Cancelled,
                // A job that failed its checks has a result, as every other; a call that was answered did not fail.
                state if state.is_terminal() => completed(answered(job.view, self.caller)),
                _ => TaskPayload::Working,
            };
            Standing {
                id: id.to_owned(),
                created: job.created,
                updated: job.since,
                message: Some(message),
                payload,
            }
        }))
    }

    async fn stop(&self, id: &str) -> Result<bool, ErrorData> {
        self.front.stop(id).await.map_err(fault)
    }

    /// A job asks by its result and is answered by a follow-up, so there is nothing here that waits for a response.
    async fn respond(&self, id: &str, _responses: InputResponses) -> Result<bool, ErrorData> {
        Ok(self.front.standing(id).await.map_err(fault)?.is_some())
    }
}

fn fault(refusal: Refusal) -> ErrorData {
    ErrorData::internal_error(refusal.to_string(), None)
}

/// Returns true if a call would wait for the end of one job, and takes the wait out of its arguments. A `start` that does
/// not wait gives its planner a job id to go on with, and several jobs are no one task: both stay as they are.
pub(super) fn take_wait(tool: &str, arguments: &mut Map<String, Value>) -> bool {
    let given = |key: &str| arguments.get(key).is_some_and(|value| !value.is_null());
    let wait_ms = arguments.get("wait_ms").and_then(Value::as_u64);
    let waits = wait_ms.is_some_and(|wait_ms| (1..=TIMEOUT_MAX_MS).contains(&wait_ms));
    let is_task = match tool {
        "start" => waits && !given("each"),
        "apply" => {
            let previews = arguments.get("preview").and_then(Value::as_bool) == Some(true);
            given("job_ids") && !previews && (waits || !given("wait_ms"))
        }
        _ => false,
    };
    if is_task {
        arguments.insert("wait_ms".to_owned(), 0.into());
    }
    is_task
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_that_waits_for_one_job_is_a_task_and_no_other() {
        for (tool, arguments, is_task) in [
            ("start", json!({"prompt": "p", "wait_ms": 600_000}), true),
            ("start", json!({"wait_ms": 1, "each": null}), true),
            ("start", json!({"prompt": "p"}), false),
            ("start", json!({"wait_ms": 0}), false),
            ("start", json!({"wait_ms": 1, "each": ["a"]}), false),
            // What breaks a rule is refused in the tool's own form.
            ("start", json!({"wait_ms": -1}), false),
            ("start", json!({"wait_ms": "long"}), false),
            ("start", json!({"wait_ms": TIMEOUT_MAX_MS + 1}), false),
            ("apply", json!({"job_ids": ["a", "b"]}), true),
            ("apply", json!({"job_ids": ["a"], "wait_ms": 5}), true),
            ("apply", json!({"job_ids": ["a"], "wait_ms": 0}), false),
            ("apply", json!({"job_ids": ["a"], "preview": true}), false),
            ("apply", json!({"job_id": "a"}), false),
            ("wait", json!({"job_id": "a", "timeout_ms": 5}), false),
        ] {
            let Value::Object(mut left) = arguments.clone() else {
                unreachable!()
            };
            assert_eq!(take_wait(tool, &mut left), is_task, "{tool} {arguments}");
            if is_task {
                assert_eq!(left["wait_ms"], 0, "{tool} {arguments}");
            } else {
                assert_eq!(Value::Object(left), arguments, "{tool}");
            }
        }
    }

    #[test]
    fn a_result_that_failed_is_the_end_of_a_task_and_no_failure_of_it() {
        let result = answered(json!({"job_status": "failed"}), &Caller::default());
        let TaskPayload::Completed { result } = completed(result) else {
            unreachable!()
        };
        assert_eq!(result["structuredContent"]["job_status"], "failed");
        assert!(result["content"].is_array());
    }
}
