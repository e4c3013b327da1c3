//! From tool calls to `job` and back.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CustomRequest, CustomResult,
    ErrorCode, ErrorData, GetTaskParams, GetTaskResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ServerCapabilities,
    ServerConfig, UpdateTaskParams,
};
use rmcp::service::{RequestContext, serve_server_with_ct};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, Reach};
use super::http::{HttpError, HttpOptions, HttpServer};
use super::parent;
use super::reply::{answered, refused};
use super::stdio::{StdioTransport, Streams};
use super::tasks::{self, JobTasks, TaskStore as _};
use super::tools::{self, INSTRUCTIONS, Progress, Row};
use job::{Front, Refusal};
use redact::log::Log;
use settings::{Settings, Sources, Toolset};

/// Calls that may be in flight, waits included; a client with more of them has lost count.
const CALLS_MAX: usize = 256;

/// The time that work in flight may go on once the client is gone: enough for a job to be handed to
/// its runner, and less than a client that waits for its server to end has patience.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until the client or the parent process is gone, or until asked to end by a signal. Settings are read when the
/// first tool is listed or called, so that the handshake waits for nothing and a mistake in them can be mended without a
/// restart. `log` writes to its file from then on.
///
/// # Errors
///
/// Fails if the machine has no thread or descriptor left to begin with.
pub fn serve(streams: Streams, sources: Sources, log: Log) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let gone = CancellationToken::new();
    let (transport, writer) = StdioTransport::open(streams, &gone)?;
    let server = Server::new(sources, log, gone.clone());
    let orderly = runtime.block_on(async {
        let ended = until_asked_to_end(&gone)?;
        let mut session = pin!(async {
            // Its own token: cancelling it would cut off the answers that are still being written.
            match serve_server_with_ct(server, transport, CancellationToken::new()).await {
                Ok(session) => drop(session.waiting().await),
                Err(reason) => tracing::debug!(%reason, "the session did not begin"),
            }
        });
        tokio::select! {
            () = &mut session => return Ok::<_, io::Error>(true),
            () = ended => gone.cancel(),
        }
        // Waits stop at `gone`; what remains is quick.
        Ok(tokio::time::timeout(GRACE, session).await.is_ok())
    })?;
    runtime.shutdown_timeout(GRACE);
    if orderly {
        writer.join();
    }
    Ok(())
}

/// Listens on `options`' address, says so with `ready`, and serves any number of clients until asked to end by a signal.
/// Settings are read as over stdio.
///
/// # Errors
///
/// When the options do not go together, or nothing can be listened on.
pub fn serve_http(
    options: HttpOptions,
    sources: Sources,
    log: Log,
    ready: impl FnOnce(&Ready),
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let ended = until_told(&stop)?;
        let server = Server::new(sources, log, stop.clone());
        let http = HttpServer::bind(options, stop.clone(), move || server.clone()).await?;
        ready(&Ready { url: http.url()? });
        let serving = tokio::spawn(http.run());
        ended.await;
        stop.cancel();
        let _ = tokio::time::timeout(GRACE, serving).await;
        Ok::<_, ServeError>(())
    })?;
    runtime.shutdown_timeout(GRACE);
    Ok(())
}

/// The word that a server listens.
#[derive(Debug)]
pub struct Ready {
    /// The endpoint.
    pub url: String,
}

/// The reason why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The options or the address.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The machine.
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// Ends at SIGTERM, SIGINT or SIGHUP, when the parent is gone, or when the client is.
fn until_asked_to_end(gone: &CancellationToken) -> io::Result<impl Future<Output = ()> + use<>> {
    let told = until_told(gone)?;
    Ok(async move {
        tokio::select! {
            () = told => {}
            () = parent::gone() => tracing::info!("the parent process is gone"),
        }
    })
}

/// Ends at SIGTERM, SIGINT or SIGHUP, or when `gone` is cancelled.
#[cfg(unix)]
fn until_told(gone: &CancellationToken) -> io::Result<impl Future<Output = ()> + use<>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let gone = gone.clone();
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            () = gone.cancelled() => {}
        }
    })
}

#[cfg(not(unix))]
fn until_told(gone: &CancellationToken) -> io::Result<impl Future<Output = ()> + use<>> {
    let gone = gone.clone();
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = gone.cancelled() => {}
        }
    })
}

#[derive(Clone)]
struct Server {
    sources: Arc<Sources>,
    front: Arc<Mutex<Option<Front>>>,
    log: Arc<Log>,
    calls: Arc<Semaphore>,
    gone: CancellationToken,
}

impl Server {
    fn new(sources: Sources, log: Log, gone: CancellationToken) -> Self {
        Self {
            sources: Arc::new(sources),
            front: Arc::default(),
            log: Arc::new(log),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            gone,
        }
    }

    fn front(&self) -> Result<Front, Refusal> {
        let mut front = self.front.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(front) = front.as_ref() {
            return Ok(front.clone());
        }
        let settings = Settings::load(&self.sources).map_err(|error| {
            let name = error.problems.first().map(|problem| problem.name.clone());
            Refusal::new(name.unwrap_or_default(), error)
        })?;
        if let Some(path) = &settings.log_file {
            self.log.write_to(path, settings.log_format);
        }
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        // Runners read the keys themselves: the front needs none.
        Ok(front.insert(Front::new(settings.without_keys())).clone())
    }

    /// The jobs of the store as tasks, for the client of one request.
    fn tasks<'a>(&self, caller: &'a Caller) -> Result<JobTasks<'a>, ErrorData> {
        let front = self
            .front()
            .map_err(|refusal| ErrorData::internal_error(refusal.to_string(), None))?;
        if !front.toolsets().contains(&Toolset::Jobs) {
            let rule = format!("WORKER_TOOLSETS switches tasks off (set {})", Toolset::Jobs);
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, rule, None));
        }
        Ok(JobTasks { front, caller })
    }

    /// The answer to a call whose job its client asks for as a task; none if that job is gone already.
    async fn task_of(
        &self,
        answer: &Value,
        caller: &Caller,
    ) -> Result<Option<CallToolResponse>, ErrorData> {
        let Some(id) = answer.get("job_id").and_then(Value::as_str) else {
            return Ok(None);
        };
        let standing = self.tasks(caller)?.standing(id).await?;
        Ok(standing.map(tasks::begun))
    }

    /// The tools on offer. All of them where the settings cannot be read: each call then tells why.
    fn toolsets(&self) -> Vec<Toolset> {
        self.front()
            .map_or_else(|_| Toolset::ALL.to_vec(), |front| front.toolsets().to_vec())
    }

    async fn call(
        &self,
        tool: &'static Row,
        caller: &Caller,
        arguments: Map<String, Value>,
        progress: Progress<'_>,
    ) -> Result<Value, Refusal> {
        let front = self.front()?;
        let argument_bytes = json_len(&arguments);
        let job = job_id(arguments.get("job_id"));
        let answer = (tool.call)(&front, caller, arguments, progress).await;
        let (reply_bytes, job) = match &answer {
            Ok(value) => (json_len(value), job.or_else(|| job_id(value.get("job_id")))),
            Err(refusal) => (json_len(refusal), job),
        };
        // What the planner pays is known only now, and must not delay what it waits for.
        tokio::spawn(async move {
            front
                .record_call(tool.name, job, argument_bytes, reply_bytes)
                .await;
        });
        answer
    }
}

fn job_id(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn json_len(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks();
        let mut config = ServerConfig::new(capabilities.build()).with_instructions(INSTRUCTIONS);
        config.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        config.server_info = Implementation::new("mcp-codex-worker", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::tools(
            &self.toolsets(),
        )))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let sets = self.toolsets();
        let tool = match tools::find(&request.name) {
            Some(tool) if sets.contains(&tool.set) => tool,
            Some(Row { name, set, .. }) => {
                let rule = format!("is {name}, which WORKER_TOOLSETS switches off (set {set})");
                return Ok(refused("name", &rule).into());
            }
            None => {
                let rule = format!("must be one of {}", tools::names(&sets));
                return Ok(refused("name", &rule).into());
            }
        };
        let Ok(_permit) = self.calls.try_acquire() else {
            let rule = format!("{CALLS_MAX} calls are in flight; wait for some of them");
            return Ok(refused("request", &rule).into());
        };
        let (seen, report) = watch::channel(None::<Value>);
        let mut progress = |view: &Value| {
            let _ = seen.send(Some(view.clone()));
        };
        let caller = caller(&context);
        let mut arguments = request.arguments.unwrap_or_default();
        let is_task = tasks::declared(&context) && tasks::take_wait(tool.name, &mut arguments);
        let answer = tokio::select! {
            biased;
            answer = self.call(tool, &caller, arguments, &mut progress) => answer,
            () = forward_progress(report, &context) => Err(Refusal::internal("progress ended")),
            // Stopping a call stops the wait and never the job.
            () = context.ct.cancelled() => Err(Refusal::new("request", "the call was cancelled")),
            () = self.gone.cancelled() => Err(Refusal::new("request", "the client is gone")),
        };
        if is_task
            && let Ok(value) = &answer
            && let Some(task) = self.task_of(value, &caller).await?
        {
            return Ok(task);
        }
        Ok(match answer {
            Ok(value) => answered(value, &caller),
            Err(refusal) => refused(&refusal.argument, &refusal.rule),
        }
        .into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.tasks(&caller(&context))?, &request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.tasks(&caller(&context))?, &request.task_id).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = caller(&context);
        let tasks = self.tasks(&caller)?;
        tasks::update(&tasks, &request.task_id, request.input_responses).await
    }

    /// Requests whose parameters rmcp could not read end here, `tools/call` with malformed arguments among them.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if matches!(
            request.method.as_str(),
            "tasks/get" | "tasks/cancel" | "tasks/update"
        ) {
            return Err(ErrorData::invalid_params(
                "params.taskId must be the id of a task, and inputResponses of tasks/update an object",
                None,
            ));
        }
        if request.method != "tools/call" {
            return Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                "no such method",
                None,
            ));
        }
        let named = request
            .params
            .as_ref()
            .is_some_and(|params| params.get("name").is_some_and(Value::is_string));
        let mut refusal = if named {
            refused("arguments", "must be an object")
        } else {
            refused(
                "name",
                &format!("must be one of {}", tools::names(&self.toolsets())),
            )
        };
        // rmcp takes it out for older peers only where it knows the result's type; its absence means the same.
        refusal.result_type = None;
        serde_json::to_value(refusal)
            .map(CustomResult::new)
            .map_err(|fault| ErrorData::internal_error(fault.to_string(), None))
    }
}

/// The caller of a request, by what came with it.
fn caller(context: &RequestContext<RoleServer>) -> Caller {
    // rmcp puts the head of an HTTP request beside the message.
    let reach = match context.extensions.get::<http::request::Parts>() {
        Some(_) => Reach::Http,
        None => Reach::Parent,
    };
    Caller::of(&context.meta, reach)
}

/// Passes on the newest view as a progress notification; one that the client is slow to take is overtaken by the next.
/// Never ends.
async fn forward_progress(
    mut report: watch::Receiver<Option<Value>>,
    context: &RequestContext<RoleServer>,
) {
    if let Some(token) = context.meta.get_progress_token() {
        let mut count = 0.0;
        while report.changed().await.is_ok() {
            let Some(view) = report.borrow_and_update().clone() else {
                continue;
            };
            count += 1.0;
            let note =
                ProgressNotificationParam::new(token.clone(), count).with_message(summary(&view));
            if context.peer.notify_progress(note).await.is_err() {
                break;
            }
        }
    }
    std::future::pending().await
}

/// A job's view in one line that begins with its id, by which whoever watches can ask for more.
pub(super) fn summary(view: &Value) -> String {
    let text = |key: &str| view.get(key).and_then(Value::as_str);
    match text("message").or_else(|| text("job_status")) {
        Some(line) => {
            let mut line = match text("job_id") {
                Some(id) => format!("{id}: {line}"),
                None => line.to_owned(),
            };
            for (key, unit) in [("turns", " turns"), ("elapsed_s", " s")] {
                if let Some(number) = view.get(key).and_then(Value::as_u64) {
                    line.push_str(&format!(", {number}{unit}"));
                }
            }
            if let Some(tool) = text("last_tool") {
                line.push_str(&format!(", {tool}"));
            }
            line
        }
        None => view.to_string(),
    }
}
