//! The front's work with jobs: it starts runners and reads the store, and holds no job itself (D1).

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::analyze::AnalyzeSpec;
use super::arguments::Arguments;
use super::combine::{self, Parts};
use super::each::{self, Each};
use super::id::JobId;
use super::launch::{self, Assignment, AttachGuard, LaunchError, Question};
use super::queue::Place;
use super::reading::{PackSpec, Reading, SearchSpec};
use super::refusal::Refusal;
use super::runner::Continuation;
use super::spec::{self, JobSpec, TIMEOUT_MAX_MS};
use super::state::State;
use super::store::{Asker, JobRow, Store, StoreError};
use super::{defaults, lock, queue, recovery, setup_default, view};
use settings::{Isolation, Settings, Toolset};
use workspace::{ApplyHow, IsolatedRecord, Root, Workspace};

/// The time after which a wait reports progress: from then on the caller of `start` knows the job's name.
const FIRST_PROGRESS: Duration = Duration::from_millis(200);

/// The interval at which a wait reports progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// The time that `cancel` waits for the job's processes to be gone.
const CANCEL_PATIENCE: Duration = Duration::from_secs(20);

/// The most jobs of one `wait`.
const WAIT_JOBS_MAX: usize = 100;

/// The word for the job store as the cause of a refusal.
const STORE: &str = "store";

/// The most jobs that may wait for a slot.
const QUEUE_MAX: usize = 1_000;

/// The tools' side of jobs. Each method takes the arguments of one tool call and answers its structured result.
#[derive(Debug, Clone)]
pub struct Front {
    settings: Arc<Settings>,
    store: Arc<Mutex<Option<Store>>>,
    endings: Arc<Mutex<HashMap<JobId, watch::Receiver<bool>>>>,
}

impl Front {
    /// Nothing is opened before the first call needs it.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            store: Arc::default(),
            endings: Arc::default(),
        }
    }

    /// WORKER_TOOLSETS.
    pub fn toolsets(&self) -> &[Toolset] {
        &self.settings.toolsets
    }

    /// Starts a job; with `wait_ms` answers its result when it ends in time. `progress` gets a job's view now and then; the
    /// `asker` is woken by its end ([`crate::wake`]) where it has not read it by then.
    ///
    /// # Errors
    /// An argument breaks a rule, or the runner cannot be started; nothing was started then.
    pub async fn start(
        &self,
        arguments: Map<String, Value>,
        asker: Asker,
        progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let mut arguments = arguments;
        if let Some(jobs) = each::expand(&mut arguments)? {
            return self.start_each(jobs, asker, progress).await;
        }
        let (spec, wait_ms) = spec::parse_start(arguments, &self.settings)?;
        self.require_gateway(spec.first_model())?;
        let settings = Arc::clone(&self.settings);
        let id = self
            .with_store(move |store| start_for(&settings, store, spec, &asker))
            .await?;
        if wait_ms == 0 {
            return Ok(json!({ "job_id": id, "job_status": State::Queued }));
        }
        self.wait_for(
            vec![id],
            Wait {
                all: true,
                patience: Duration::from_millis(wait_ms),
                many: false,
            },
            progress,
        )
        .await
    }

    /// Starts a job for each item; answers one table. All are judged before the first begins.
    async fn start_each(
        &self,
        jobs: Vec<Each>,
        asker: Asker,
        progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let mut parsed = Vec::with_capacity(jobs.len());
        let mut wait_ms = 0;
        for Each { item, arguments } in jobs {
            let (spec, patience) = spec::parse_start(arguments, &self.settings)?;
            self.require_gateway(spec.first_model())?;
            wait_ms = patience;
            parsed.push((item, spec));
        }
        let settings = Arc::clone(&self.settings);
        let (started, refused) = self
            .with_store(move |store| {
                let mut started = Vec::with_capacity(parsed.len());
                for (item, spec) in parsed {
                    match start_for(&settings, store, spec, &asker) {
                        Ok(id) => started.push((item, id)),
                        // What runs already is the caller's to know.
                        Err(refusal) if !started.is_empty() => return Ok((started, Some(refusal))),
                        Err(refusal) => return Err(refusal),
                    }
                }
                Ok((started, None))
            })
            .await?;
        let ids: Vec<JobId> = started.iter().map(|(_, id)| id.clone()).collect();
        let mut table = if wait_ms == 0 {
            let queued = |id| json!({ "job_id": id, "job_status": State::Queued });
            json!({ "jobs": ids.iter().map(queued).collect::<Vec<_>>() })
        } else {
            let wait = Wait {
                all: true,
                patience: Duration::from_millis(wait_ms),
                many: true,
            };
            self.wait_for(ids, wait, progress).await?
        };
        let rows = table["jobs"].as_array_mut().into_iter().flatten();
        for (row, (item, _)) in rows.zip(&started) {
            if let Some(row) = row.as_object_mut() {
                row.insert("item".to_owned(), item.as_str().into());
            }
        }
        if let Some(refusal) = refused {
            table["error"] = json!({ "argument": refusal.argument, "rule": refusal.rule });
        }
        Ok(table)
    }

    /// Starts a job that is cancelled when the leash is dropped or this process ends, however it ends.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_attached(
        &self,
        arguments: Map<String, Value>,
    ) -> Result<(JobId, AttachGuard), Refusal> {
        if arguments.get("each").is_some_and(|items| !items.is_null()) {
            return Err(Refusal::new(
                "each",
                "starts many jobs in the background, and this command runs one in the foreground: leave each out and run it once for each item",
            ));
        }
        let (spec, _) = spec::parse_start(arguments, &self.settings)?;
        self.require_gateway(spec.first_model())?;
        let settings = Arc::clone(&self.settings);
        self.with_store(move |store| launch_job(&settings, store, spec, true))
            .await
    }

    /// Status and live progress, the result of a job that is over, or a slice of an artifact.
    ///
    /// # Errors
    /// An argument breaks a rule, or there is no such job or artifact.
    pub async fn get(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let mut arguments = Arguments::new(
            arguments,
            &["job_id", "include_diff", "artifact", "cursor", "max_bytes"],
        )?;
        let id = job_id(&mut arguments)?;
        let include_diff = arguments.boolean("include_diff")?.unwrap_or(false);
        let artifact = arguments.word("artifact", 200)?;
        let cursor = arguments.number("cursor", 0, u64::MAX)?;
        let max_bytes = arguments
            .number("max_bytes", 1, view::SLICE_MAX)?
            .unwrap_or(view::SLICE_DEFAULT);
        let diff_max_bytes = self.settings.diff_max_bytes;
        self.with_store(move |store| {
            let job = find(store, &id)?;
            match artifact {
                Some(name) => view::artifact(store, &job, &name, cursor.unwrap_or(0), max_bytes),
                None if cursor.is_some() => Err(Refusal::new("cursor", "goes with artifact")),
                None => {
                    note_told(store, &job);
                    Ok(view::job(
                        store,
                        &job,
                        include_diff.then_some(diff_max_bytes),
                    ))
                }
            }
        })
        .await
    }

    /// The job's log in readable lines.
    ///
    /// # Errors
    /// An argument breaks a rule, or there is no such job.
    pub async fn tail(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let mut arguments = Arguments::new(arguments, &["job_id", "cursor", "max_bytes"])?;
        let id = job_id(&mut arguments)?;
        let cursor = arguments.number("cursor", 0, u64::MAX)?;
        let max_bytes = arguments
            .number("max_bytes", 1, view::SLICE_MAX)?
            .unwrap_or(view::SLICE_DEFAULT);
        self.with_store(move |store| {
            let job = find(store, &id)?;
            view::log(store, &job, cursor, max_bytes)
        })
        .await
    }

    /// Waits for the first of some jobs to end, or for all; at the time-out answers where they stand. Stopping a wait never
    /// stops a job.
    ///
    /// # Errors
    /// An argument breaks a rule, or there is no such job.
    pub async fn wait(
        &self,
        arguments: Map<String, Value>,
        progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let mut arguments = Arguments::new(arguments, &["job_id", "job_ids", "all", "timeout_ms"])?;
        let many = arguments.has("job_ids");
        let ids = match (arguments.has("job_id"), many) {
            (true, false) => vec![job_id(&mut arguments)?],
            (false, true) => job_ids(&mut arguments, WAIT_JOBS_MAX)?,
            _ => return Err(arguments.refuse("job_id", "give either job_id or job_ids")),
        };
        let all = arguments.boolean("all")?.unwrap_or(false);
        let patience = arguments
            .number("timeout_ms", 0, TIMEOUT_MAX_MS)?
            .unwrap_or(self.settings.wait_default_ms);
        self.wait_for(
            ids,
            Wait {
                all,
                patience: Duration::from_millis(patience),
                many,
            },
            progress,
        )
        .await
    }

    /// Ends a job with all its processes. A job that is over stays as it is.
    ///
    /// # Errors
    /// An argument breaks a rule, or there is no such job.
    pub async fn cancel(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let mut arguments = Arguments::new(arguments, &["job_id"])?;
        let id = job_id(&mut arguments)?;
        let asked = id.clone();
        let over = self
            .with_store(move |store| {
                let job = find(store, &asked)?;
                ask_to_end(store, &job)?;
                Ok(job.state.is_terminal())
            })
            .await?;
        if !over {
            let mut ending = self.ending(&id);
            let _ = tokio::time::timeout(CANCEL_PATIENCE, ending.wait_for(|ended| *ended)).await;
        }
        self.view(&id).await
    }

    /// Asks for the end of a job, and does not wait for it. False if there is no such job.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stop(&self, id: &str) -> Result<bool, Refusal> {
        let Ok(id) = id.parse::<JobId>() else {
            return Ok(false);
        };
        self.with_store(move |store| {
            recovery::settle(store, &id)?;
            match store.job(&id)? {
                Some(job) => ask_to_end(store, &job).map(|()| true),
                None => Ok(false),
            }
        })
        .await
    }

    /// Returns a job as it is now, for a caller that comes back for it until it is over. None if there is no such job.
    ///
    /// # Errors
    /// The store fails.
    pub async fn standing(&self, id: &str) -> Result<Option<Standing>, Refusal> {
        let Ok(id) = id.parse::<JobId>() else {
            return Ok(None);
        };
        self.with_store(move |store| {
            recovery::settle(store, &id)?;
            let job = store.job(&id)?;
            Ok(job.map(|job| {
                note_told(store, &job);
                Standing::of(store, &job)
            }))
        })
        .await
    }

    /// Answers a question about files with one gateway call.
    ///
    /// # Errors
    /// An argument breaks a rule, the files cannot be read, or the gateway fails.
    pub async fn analyze(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let question = AnalyzeSpec::parse(arguments)?;
        let model = question
            .model
            .as_deref()
            .or(self.settings.lite_model.as_deref());
        self.require_gateway(model)?;
        root(&self.settings)?;
        self.ask(Assignment::Analyze(question)).await
    }

    /// Finds lines that match a pattern.
    ///
    /// # Errors
    /// An argument breaks a rule, or the files cannot be read.
    pub async fn search(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let spec = SearchSpec::parse(arguments)?;
        root(&self.settings)?;
        self.ask(Assignment::Read(Reading::Search(spec))).await
    }

    /// Reads what stands around symbols, instead of whole files.
    ///
    /// # Errors
    /// An argument breaks a rule, or the files cannot be read.
    pub async fn read_pack(&self, arguments: Map<String, Value>) -> Result<Value, Refusal> {
        let spec = PackSpec::parse(arguments)?;
        root(&self.settings)?;
        self.ask(Assignment::Read(Reading::Pack(spec))).await
    }

    /// Brings the result of an isolated job into the checkout that it was made from, or those of several, combined and verified
    /// once more as a whole by a job of its own. `progress` gets that job's view now and then, and `asker` is woken by its
    /// end where it did not wait that long.
    ///
    /// # Errors
    /// An argument breaks a rule, the job has no result of that kind, or the checkout is in the way; nothing was written
    /// then.
    pub async fn apply(
        &self,
        arguments: Map<String, Value>,
        asker: Asker,
        progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let keys = ["job_id", "job_ids", "how", "preview", "wait_ms"];
        let mut arguments = Arguments::new(arguments, &keys)?;
        let how = spec::how_to_apply(&mut arguments, "how")?.unwrap_or(ApplyHow::Merge);
        match (arguments.has("job_id"), arguments.has("job_ids")) {
            (true, false) => {
                for key in ["preview", "wait_ms"] {
                    if arguments.has(key) {
                        return Err(arguments.refuse(key, "goes with job_ids"));
                    }
                }
                let id = job_id(&mut arguments)?;
                self.apply_one(id, how).await
            }
            (false, true) => {
                let ids = job_ids(&mut arguments, combine::PARTS_MAX)?;
                let wait_ms = arguments.number("wait_ms", 0, TIMEOUT_MAX_MS)?;
                if arguments.boolean("preview")?.unwrap_or(false) {
                    return self.ask(Assignment::Preview { ids }).await;
                }
                let patience = wait_ms.unwrap_or(self.settings.wait_default_ms);
                self.apply_combined(ids, how, patience, asker, progress)
                    .await
            }
            _ => Err(arguments.refuse("job_id", "give either job_id or job_ids")),
        }
    }

    async fn apply_one(&self, id: JobId, how: ApplyHow) -> Result<Value, Refusal> {
        let known = id.clone();
        let state = self
            .with_store(move |store| Ok(find(store, &known)?.state))
            .await?;
        if state != State::Completed {
            return Err(Refusal::new(
                "job_id",
                format!("names a job that is {state}; only a completed one is applied"),
            ));
        }
        self.ask(Assignment::Apply { id, how }).await
    }

    async fn apply_combined(
        &self,
        ids: Vec<JobId>,
        how: ApplyHow,
        wait_ms: u64,
        asker: Asker,
        progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let settings = Arc::clone(&self.settings);
        let id = self
            .with_store(move |store| {
                let spec = Parts::of(store, &ids)?.into_spec(how, &settings);
                start_for(&settings, store, spec, &asker)
            })
            .await?;
        if wait_ms == 0 {
            return Ok(json!({ "job_id": id, "job_status": State::Queued }));
        }
        let wait = Wait {
            all: true,
            patience: Duration::from_millis(wait_ms),
            many: false,
        };
        self.wait_for(vec![id], wait, progress).await
    }

    /// Has a short-lived runner answer. When the caller leaves, this future is dropped, and with the socket the runner.
    async fn ask(&self, assignment: Assignment) -> Result<Value, Refusal> {
        let settings = Arc::clone(&self.settings);
        let asked =
            blocking(move || Question::ask(&settings, &assignment).map_err(Refusal::internal))
                .await?;
        let hangup = HangUp(asked.hangup().map_err(Refusal::internal)?);
        let answer = blocking(move || asked.answer()).await;
        drop(hangup);
        answer
    }

    /// Records what a call cost the planner. A failure is only logged: the call itself has been answered.
    pub async fn record_call(
        &self,
        tool: &'static str,
        job: Option<String>,
        argument_bytes: usize,
        reply_bytes: usize,
    ) {
        let job = job.and_then(|id| id.parse::<JobId>().ok());
        let recorded = self
            .with_store(move |store| {
                Ok(store.record_call(job.as_ref(), tool, argument_bytes, reply_bytes)?)
            })
            .await;
        if let Err(fault) = recorded {
            tracing::warn!(%fault, tool, "a call's cost was not recorded");
        }
    }

    async fn wait_for(
        &self,
        ids: Vec<JobId>,
        wait: Wait,
        mut progress: impl FnMut(&Value),
    ) -> Result<Value, Refusal> {
        let known = ids.clone();
        self.with_store(move |store| known.iter().try_for_each(|id| find(store, id).map(drop)))
            .await?;
        let mut endings: Vec<_> = ids.iter().map(|id| self.ending(id)).collect();
        let deadline = Instant::now() + wait.patience;
        let ended = async {
            let each = endings
                .iter_mut()
                .map(|ending| Box::pin(async { ending.wait_for(|ended| *ended).await.is_ok() }));
            if wait.all {
                futures_util::future::join_all(each).await;
            } else {
                futures_util::future::select_all(each).await;
            }
        };
        let mut ended = pin!(ended);
        let mut next = (Instant::now() + FIRST_PROGRESS).min(deadline);
        loop {
            if tokio::time::timeout_at(next, &mut ended).await.is_ok() || next == deadline {
                break;
            }
            if let Some(first) = ids.first() {
                progress(&self.view(first).await?);
            }
            next = (Instant::now() + PROGRESS_EVERY).min(deadline);
        }
        match (wait.many, ids.as_slice()) {
            (false, [id]) => self.view(id).await,
            _ => {
                let mut jobs = Vec::with_capacity(ids.len());
                for id in &ids {
                    jobs.push(self.view(id).await?);
                }
                Ok(view::fit_many(jobs))
            }
        }
    }

    async fn view(&self, id: &JobId) -> Result<Value, Refusal> {
        let id = id.clone();
        self.with_store(move |store| {
            let job = find(store, &id)?;
            note_told(store, &job);
            Ok(view::job(store, &job, None))
        })
        .await
    }

    /// Turns true when the job is over. One thread a job blocks on its lock, however many calls wait for it.
    fn ending(&self, id: &JobId) -> watch::Receiver<bool> {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        endings.retain(|_, ending| !*ending.borrow());
        if let Some(ending) = endings.get(id) {
            return ending.clone();
        }
        let (sender, receiver) = watch::channel(false);
        endings.insert(id.clone(), receiver.clone());
        let path = self
            .settings
            .state_dir
            .join("jobs")
            .join(id.as_str())
            .join("lock");
        std::thread::spawn(move || {
            if let Err(fault) = lock::wait_until_free(&path) {
                tracing::warn!(%fault, "a job's lock cannot be waited for");
            }
            // Nobody listens any more: then nobody minds.
            let _ = sender.send(true);
        });
        receiver
    }

    fn require_gateway(&self, model: Option<&str>) -> Result<(), Refusal> {
        if self.settings.gateway.is_none() {
            return Err(Refusal::new(
                "ONEAPI_BASE_URL",
                "is not set: the gateway that the work runs on; set it with ONEAPI_API_KEY",
            ));
        }
        if model.or(self.settings.model.as_deref()).is_none() {
            return Err(Refusal::new(
                "model",
                "must be given, since CLAUDE_MODEL is not set: a model name of the gateway",
            ));
        }
        Ok(())
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = Arc::clone(&self.store);
        let folder = self.settings.state_dir.clone();
        blocking(move || {
            let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let store = match slot.take().filter(Store::is_current) {
                Some(store) => store,
                None => Store::open(&folder)?,
            };
            let result = work(&store);
            // After a fault the next call opens it anew: somebody may have mended it.
            if !matches!(&result, Err(refusal) if refusal.argument == STORE) {
                *slot = Some(store);
            }
            result
        })
        .await
    }
}

/// A job at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Its beginning.
    pub created: SystemTime,
    /// The time since which it is over, or at work, or there.
    pub since: SystemTime,
    /// What `get` answers about it.
    pub view: Value,
}

impl Standing {
    fn of(store: &Store, job: &JobRow) -> Self {
        let time = |ms: i64| UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Self {
            state: job.state,
            created: time(job.created_ms),
            since: time(job.ended_ms.or(job.started_ms).unwrap_or(job.created_ms)),
            view: view::job(store, job, None),
        }
    }
}

/// The way to wait.
struct Wait {
    all: bool,
    patience: Duration,
    /// True if the caller named jobs in a list, and so gets a list.
    many: bool,
}

/// Ends a short-lived runner when the caller is gone.
struct HangUp(std::os::unix::net::UnixStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|fault| Err(Refusal::internal(fault)))
}

/// Starts a job whose end its asker is told.
fn start_for(
    settings: &Settings,
    store: &Store,
    spec: JobSpec,
    asker: &Asker,
) -> Result<JobId, Refusal> {
    let (id, _) = launch_job(settings, store, spec, false)?;
    // The job is under way: whoever waits for it can do without being woken.
    if asker.is_known()
        && let Err(fault) = store.record_asker(&id, asker)
    {
        tracing::warn!(%fault, "nobody will be woken by this job");
    }
    Ok(id)
}

/// Checks the directories, makes the job and hands it to a runner.
fn launch_job(
    settings: &Settings,
    store: &Store,
    mut spec: JobSpec,
    attached: bool,
) -> Result<(JobId, AttachGuard), Refusal> {
    let root = root(settings)?;
    let home = go_on_where_it_was(store, &mut spec)?;
    if spec.apply.is_some() && spec.isolation == Isolation::None {
        return Err(Refusal::new(
            "apply",
            "needs isolation: \"worktree\"; any other job works in the checkout itself",
        ));
    }
    let workspace = Workspace::open(&root, &spec.allowed_dirs)
        .map_err(|fault| Refusal::new("allowed_dirs", fault))?;
    defaults::add(&mut spec, settings, workspace.top(), workspace.work_dir())?;
    setup_default::settle(&mut spec, settings, workspace.top(), workspace.work_dir())?;
    recovery::settle_all(store)?;
    let waiting = store.unfinished()?.len();
    if waiting >= QUEUE_MAX + settings.max_running_jobs {
        return Err(Refusal::new(
            "start",
            format!("{waiting} jobs are waiting already; wait for some of them, or cancel some"),
        ));
    }
    let id = JobId::random().map_err(Refusal::internal)?;
    let repository = workspace.lock_name();
    let place = Place::of(&spec, &repository, home.as_ref(), settings, attached);
    let hold = store.add(&id)?;
    // A job of several attempts works nowhere itself: those it starts take their turns.
    if spec.attempts.is_none() {
        store.enter_queue(&id, &place)?;
    }
    if let Some(home) = &home
        && !store.live_in(&id, home)?
    {
        store.remove(&id)?;
        return Err(Refusal::new(
            "resume_job_id",
            "names a job that was removed just now; start a new one",
        ));
    }
    let log: PathBuf = store.job_folder(&id).join("runner.log");
    match launch::start_job(settings, id.clone(), spec, attached, hold, &log) {
        Ok(leash) => Ok((id, leash)),
        Err(fault) => {
            store.remove(&id)?;
            Err(match fault {
                LaunchError::Refused(refusal) => refusal,
                other => Refusal::internal(other),
            })
        }
    }
}

/// A job that goes on in a finished one works where that one worked: its session is kept for that directory. The job in
/// whose folder both of them live.
fn go_on_where_it_was(store: &Store, spec: &mut JobSpec) -> Result<Option<JobId>, Refusal> {
    let Some(earlier) = &spec.resume_job_id else {
        return Ok(None);
    };
    let refuse = |rule: &str| Err(Refusal::new("resume_job_id", rule));
    let job = match find(store, earlier) {
        Ok(job) => job,
        Err(refusal) => return refuse(&refusal.rule),
    };
    if !job.state.is_terminal() {
        return refuse("names a job that still runs; wait for it first");
    }
    let Some(continuation) = Continuation::load(&store.job_folder(earlier)) else {
        return refuse("names a job that never came to its agent: there is nothing to go on with");
    };
    if continuation.isolated {
        can_go_on_in_tree(store, &job)?;
        spec.isolation = Isolation::Worktree;
    } else {
        spec.isolation = Isolation::None;
    }
    if !spec.allowed_dirs.is_empty() && spec.allowed_dirs != continuation.allowed_dirs {
        return Err(Refusal::new(
            "allowed_dirs",
            "must be those of the job that is resumed, or be left out",
        ));
    }
    spec.allowed_dirs = continuation.allowed_dirs;
    Ok(Some(job.home().clone()))
}

/// Returns true if the tree that an isolated job worked in is there as that job left it.
fn can_go_on_in_tree(store: &Store, job: &JobRow) -> Result<(), Refusal> {
    let refuse = |rule: String| Err(Refusal::new("resume_job_id", rule));
    let Ok(record) = IsolatedRecord::load(&store.job_folder(job.home())) else {
        return refuse("names a job whose tree is gone; start a new one".to_owned());
    };
    let later = store.lodgers(job.home())?.into_iter().rev().find(|later| {
        later.ticket > job.ticket
            && (!later.state.is_terminal()
                || Continuation::load(&store.job_folder(&later.id)).is_some())
    });
    if let Some(later) = later {
        return refuse(format!(
            "names a job that job {} went on from; go on from that one",
            later.id
        ));
    }
    if record.tampered {
        return refuse(
            "names a job that tampered with the .git of its tree; start a new one".to_owned(),
        );
    }
    let sealed = record
        .results
        .iter()
        .any(|sealed| sealed.job == job.id.as_str());
    if !sealed && record.set_up_files > 0 {
        return refuse(
            "names a job that ended before what it changed was recorded, in a tree whose set-up had changed files that are not ignored; start a new one"
                .to_owned(),
        );
    }
    if !sealed && record.dirty_included {
        return refuse(
            "names a job that ended before what it changed was recorded, in a tree with uncommitted work of yours, from which its changes cannot be told any more; start a new one"
                .to_owned(),
        );
    }
    Ok(())
}

/// Asks a job that is not over to end.
fn ask_to_end(store: &Store, job: &JobRow) -> Result<(), Refusal> {
    if job.state.is_terminal() {
        return Ok(());
    }
    store.request_cancel(&job.id)?;
    queue::ring_job(store, &job.id);
    // The runner looks at the request now and then; the signal only makes it look at once.
    if let Some(runner) = job.runner.as_ref().filter(|_| job.state != State::Queued) {
        process::terminate_recorded(runner);
    }
    Ok(())
}

/// Notes that the caller reads the end of a job that is over.
fn note_told(store: &Store, job: &JobRow) {
    if job.state.is_terminal()
        && let Err(fault) = store.record_told(&job.id)
    {
        tracing::warn!(%fault, job = %job.id, "its end may be told twice");
    }
}

/// The directory that every path of a caller must lie in.
fn root(settings: &Settings) -> Result<Root, Refusal> {
    let Some(root) = crate::root::open(settings) else {
        return Err(Refusal::new(
            "SANDBOX_ROOT",
            "is not set: the directory that every job and every path must lie in; set it in the server's environment",
        ));
    };
    root.map_err(|fault| Refusal::new("SANDBOX_ROOT", fault))
}

/// The job, settled: one whose runner is gone has ended.
pub(super) fn find(store: &Store, id: &JobId) -> Result<JobRow, Refusal> {
    recovery::settle(store, id)?;
    store.job(id)?.ok_or_else(|| {
        Refusal::new(
            "job_id",
            "names no job of this store; `start` returned the id",
        )
    })
}

fn job_id(arguments: &mut Arguments) -> Result<JobId, Refusal> {
    match arguments.string("job_id")? {
        None => Err(arguments.refuse("job_id", "must be given")),
        Some(id) => id.parse().map_err(|rule| arguments.refuse("job_id", rule)),
    }
}

fn job_ids(arguments: &mut Arguments, most: usize) -> Result<Vec<JobId>, Refusal> {
    let ids = arguments.strings("job_ids", most)?.unwrap_or_default();
    if ids.is_empty() {
        return Err(arguments.refuse("job_ids", "must name at least one job"));
    }
    ids.iter()
        .map(|id| id.parse().map_err(|rule| arguments.refuse("job_ids", rule)))
        .collect()
}

impl From<StoreError> for Refusal {
    fn from(fault: StoreError) -> Self {
        Self::new(STORE, fault)
    }
}
