//! The task of a job, after every argument was checked.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::id::JobId;
use super::refusal::Refusal;
use super::setup::{self, SetupSpec};
use crate::check_arguments::{self, stays_inside};
use crate::checks::{CheckSpec, OnViolation, ScopedPatch};
use settings::{Isolation, PermissionMode, Settings};
use workspace::ApplyHow;

pub use crate::check_arguments::{CHECK_TIMEOUT_DEFAULT_MS, CHECKS_MAX, TIMEOUT_MAX_MS};

/// The longest prompt, in bytes. Longer matter belongs into a file of the repository.
pub const PROMPT_MAX: usize = 200_000;
/// The most directories one job may change.
pub const ALLOWED_DIRS_MAX: usize = 32;
/// The most paths of one scope.
pub const SCOPE_PATHS_MAX: usize = 256;
/// The most revise passes.
pub const REVISE_PASSES_MAX: u32 = 5;

/// A checked job, as the front hands it to the runner over a pipe. Raw working material: it is never stored as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The task in the planner's words.
    pub prompt: String,
    /// Directories the agent may change, resolved beneath SANDBOX_ROOT; the first one is the working directory.
    pub allowed_dirs: Vec<PathBuf>,
    /// The gateway's model for this job.
    pub model: Option<String>,
    /// The mode: things that Claude Code may do without asking.
    pub permission_mode: PermissionMode,
    /// True if the result carries the diff.
    pub include_diff: bool,
    /// The part of the tree that the change must stay in.
    pub scoped_patch: Option<ScopedPatch>,
    /// The checks that must pass for the job to be `completed`.
    pub checks: Vec<CheckSpec>,
    /// True if it brought no list of checks, and so takes the operator's.
    pub takes_defaults: bool,
    /// `Some(true)`: no change is a failure; `Some(false)`: a reading job; `None`: no change is a failure only where
    /// checks or a scope were given.
    pub expect_changes: Option<bool>,
    /// The whole job from `preparing` to the end of verification, in milliseconds.
    pub timeout_ms: u64,
    /// The number of times that failing evidence goes back to the agent, where the job says so; see [`JobSpec::max_passes`].
    pub auto_revise: Option<AutoRevise>,
    /// The place where the job works.
    pub isolation: Isolation,
    /// The commit an isolated job starts from; HEAD when absent.
    pub base: Option<String>,
    /// True if an isolated job starts with the checkout's uncommitted work in it.
    pub include_dirty: bool,
    /// The way the result of an isolated job comes into the checkout as soon as it is completed.
    pub apply: Option<ApplyHow>,
    /// The set-up that makes an isolated tree ready before the agent starts.
    pub setup: Option<SetupSpec>,
    /// The finished job whose session and tree this one goes on in.
    pub resume_job_id: Option<JobId>,
    /// Caps that the adapter enforces.
    pub budget: Budget,
    /// The jobs whose results this one brings together instead of starting an agent, in order.
    #[serde(default)]
    pub combines: Vec<JobId>,
    /// The attempts that the task is given, where it is more than one.
    pub attempts: Option<AttemptsSpec>,
    /// The job that this one is an attempt of; never given by a caller.
    pub attempt: Option<AttemptOf>,
}

impl JobSpec {
    /// The model that the job names first, if it names one.
    pub fn first_model(&self) -> Option<&str> {
        let first = self
            .attempts
            .as_ref()
            .and_then(|attempts| attempts.models.first());
        self.model.as_deref().or(first.map(String::as_str))
    }

    /// A job that starts no agent and asks for nothing.
    pub(crate) fn without_agent(
        prompt: String,
        allowed_dirs: Vec<PathBuf>,
        settings: &Settings,
    ) -> Self {
        Self {
            prompt,
            allowed_dirs,
            model: None,
            permission_mode: settings.permission_mode,
            include_diff: false,
            scoped_patch: None,
            checks: Vec::new(),
            takes_defaults: false,
            expect_changes: None,
            timeout_ms: settings.job_timeout_ms,
            auto_revise: None,
            isolation: Isolation::None,
            base: None,
            include_dirty: false,
            apply: None,
            setup: None,
            resume_job_id: None,
            budget: Budget::default(),
            combines: Vec::new(),
            attempts: None,
            attempt: None,
        }
    }

    /// Passes after the first one: as asked for, else one where there are checks.
    pub fn max_passes(&self) -> u32 {
        self.auto_revise
            .map_or(u32::from(!self.checks.is_empty()), |revise| {
                revise.max_passes
            })
    }
}

/// The number of times that failing evidence goes back to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoRevise {
    /// 0 to 5.
    pub max_passes: u32,
}

/// Caps that the adapter enforces for one job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Input and output tokens together.
    pub max_tokens_total: Option<u64>,
    /// US dollars by the prices in the settings.
    pub max_cost_usd: Option<f64>,
    /// Model turns of one agent pass.
    pub max_turns: Option<u32>,
}

/// The most attempts of one job.
pub const ATTEMPTS_MAX: usize = 8;

/// Several attempts at one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsSpec {
    /// The model of each attempt, in order.
    pub models: Vec<String>,
    /// The order in which they run.
    pub mode: AttemptsMode,
    /// The one that counts.
    pub pick: Pick,
}

/// The order in which attempts run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptsMode {
    /// One after the other, until one is verified.
    Ladder,
    /// All at once, as slots allow.
    Race,
}

/// The attempt that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The first that is verified; the others are cancelled.
    First,
    /// The best by the evidence of all.
    Best,
}

/// The place of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptOf {
    /// The job that started it.
    pub job: JobId,
    /// Its number, from 1.
    pub number: u32,
    /// The commit that every attempt starts from.
    pub commit: String,
    /// The folder of a copy of the checkout with its uncommitted work, where the job takes that along.
    pub copy: Option<PathBuf>,
}

const START_ARGUMENTS: &[&str] = &[
    "prompt",
    "allowed_dirs",
    "model",
    "permission_mode",
    "include_diff",
    "scoped_patch",
    "checks",
    "expect_changes",
    "timeout_ms",
    "wait_ms",
    "auto_revise",
    "isolation",
    "base",
    "include_dirty",
    "apply",
    "setup",
    "resume_job_id",
    "max_tokens_total",
    "max_cost_usd",
    "max_turns",
    "attempts",
];

/// The arguments of `start`, checked: the job, and how long the caller waits for its end (milliseconds).
///
/// Parses the arguments of `start`. Rules that need the file system (directories, the repository) are checked later, by `workspace`.
///
/// # Errors
/// The first argument that breaks a rule.
pub fn parse_start(
    arguments: Map<String, Value>,
    settings: &Settings,
) -> Result<(JobSpec, u64), Refusal> {
    let mut arguments = Arguments::new(arguments, START_ARGUMENTS)?;
    let prompt = prompt(&mut arguments)?;
    let allowed_dirs = match (
        arguments.has("allowed_dirs"),
        arguments.has("resume_job_id"),
    ) {
        (true, _) => arguments.directories("allowed_dirs", ALLOWED_DIRS_MAX)?,
        (false, true) => Vec::new(),
        (false, false) => {
            return Err(arguments.refuse(
                "allowed_dirs",
                "must name at least one directory; only with resume_job_id may it be left out",
            ));
        }
    };
    let model = arguments.word("model", 200)?;
    let permission_mode = permission_mode(&mut arguments, settings)?;
    let include_diff = arguments
        .boolean("include_diff")?
        .unwrap_or(settings.include_diff_default);
    let scoped_patch = scoped_patch(&mut arguments)?;
    let takes_defaults = !arguments.has("checks");
    let checks = check_arguments::checks(&mut arguments)?;
    let expect_changes = arguments.boolean("expect_changes")?;
    let timeout_ms = arguments
        .number("timeout_ms", 1, TIMEOUT_MAX_MS)?
        .unwrap_or(settings.job_timeout_ms);
    let wait_ms = arguments.number("wait_ms", 0, TIMEOUT_MAX_MS)?.unwrap_or(0);
    let auto_revise = auto_revise(&mut arguments)?;
    if let Some(key) = ["isolation", "base", "include_dirty", "setup"]
        .into_iter()
        .find(|key| arguments.has(key) && arguments.has("resume_job_id"))
    {
        let rule = "is what it was for the job that is resumed; leave it out";
        return Err(arguments.refuse(key, rule));
    }
    let isolation = closed_word(&mut arguments, "isolation")?.unwrap_or(settings.isolation);
    let base = arguments.word("base", 200)?;
    let include_dirty = arguments.boolean("include_dirty")?.unwrap_or(false);
    let setup = match arguments.take("setup") {
        None => None,
        Some(value) => Some(setup::read("setup", value)?),
    };
    let resume_job_id = match arguments.string("resume_job_id")? {
        None => None,
        Some(id) => Some(
            id.parse::<JobId>()
                .map_err(|rule| arguments.refuse("resume_job_id", rule))?,
        ),
    };
    if isolation == Isolation::None {
        if base.is_some() {
            return Err(arguments.refuse("base", "needs isolation: \"worktree\""));
        }
        if include_dirty {
            return Err(arguments.refuse("include_dirty", "needs isolation: \"worktree\""));
        }
        if setup.is_some() {
            return Err(arguments.refuse("setup", "needs isolation: \"worktree\""));
        }
    }
    let attempts = attempts(&mut arguments, settings, model.as_deref())?;
    if attempts.is_some() {
        if arguments.has("resume_job_id") || resume_job_id.is_some() {
            let rule = "starts from a clean base, and resume_job_id goes on in an earlier tree: give one of them";
            return Err(arguments.refuse("attempts", rule));
        }
        if isolation == Isolation::None {
            let rule = "needs isolation: \"worktree\", so that each attempt has a tree of its own";
            return Err(arguments.refuse("attempts", rule));
        }
    }
    let apply = how_to_apply(&mut arguments, "apply")?;
    let budget = Budget {
        max_tokens_total: arguments.number("max_tokens_total", 1, u64::MAX)?,
        max_cost_usd: arguments.amount("max_cost_usd")?,
        max_turns: arguments
            .number("max_turns", 1, 1_000)?
            .and_then(|turns| u32::try_from(turns).ok()),
    };
    let spec = JobSpec {
        prompt,
        allowed_dirs,
        model,
        permission_mode,
        include_diff,
        scoped_patch,
        checks,
        takes_defaults,
        expect_changes,
        timeout_ms,
        auto_revise,
        isolation,
        base,
        include_dirty,
        apply,
        setup,
        resume_job_id,
        budget,
        combines: Vec::new(),
        attempts,
        attempt: None,
    };
    Ok((spec, wait_ms))
}

/// A number of attempts with the same model, or a list of models with the way to go through them.
fn attempts(
    arguments: &mut Arguments,
    settings: &Settings,
    model: Option<&str>,
) -> Result<Option<AttemptsSpec>, Refusal> {
    let most = settings.max_running_jobs;
    let too_many = |count: usize| {
        format!(
            "are {count} at once, and MAX_RUNNING_JOBS allows {most}: give fewer, or mode: \"ladder\""
        )
    };
    match arguments.take("attempts") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(count)) => {
            let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
            let Some(count) = count.filter(|count| (2..=ATTEMPTS_MAX).contains(count)) else {
                return Err(arguments.refuse("attempts", format!("must be 2 to {ATTEMPTS_MAX}")));
            };
            if count > most {
                return Err(arguments.refuse("attempts", too_many(count)));
            }
            let Some(model) = model.or(settings.model.as_deref()) else {
                return Err(
                    arguments.refuse("model", "must be given, since CLAUDE_MODEL is not set")
                );
            };
            Ok(Some(AttemptsSpec {
                models: vec![model.to_owned(); count],
                mode: AttemptsMode::Race,
                pick: Pick::First,
            }))
        }
        Some(Value::Object(given)) => {
            let mut given =
                Arguments::at("attempts.".to_owned(), given, &["models", "mode", "pick"])?;
            let models = given.strings("models", ATTEMPTS_MAX)?.unwrap_or_default();
            if models.len() < 2 {
                return Err(given.refuse("models", format!("must name 2 to {ATTEMPTS_MAX} models")));
            }
            for (at, model) in models.iter().enumerate() {
                let word = !model.trim().is_empty()
                    && model.len() <= 200
                    && !model.chars().any(char::is_control);
                if !word {
                    return Err(given.refuse(
                        &format!("models[{at}]"),
                        "must be a model name of the gateway",
                    ));
                }
            }
            if model.is_some() {
                return Err(
                    arguments.refuse("model", "is what attempts.models says; give one of them")
                );
            }
            let mode = match given.string("mode")?.as_deref() {
                None | Some("ladder") => AttemptsMode::Ladder,
                Some("race") => AttemptsMode::Race,
                Some(_) => return Err(given.refuse("mode", "must be one of ladder, race")),
            };
            let pick =
                match given.string("pick")?.as_deref() {
                    None | Some("first") => Pick::First,
                    Some("best") if mode == AttemptsMode::Race => Pick::Best,
                    Some("best") => return Err(given.refuse(
                        "pick",
                        "best is for mode: \"race\": a ladder ends with the first that is verified",
                    )),
                    Some(_) => return Err(given.refuse("pick", "must be one of first, best")),
                };
            if mode == AttemptsMode::Race && models.len() > most {
                return Err(given.refuse("models", too_many(models.len())));
            }
            Ok(Some(AttemptsSpec { models, mode, pick }))
        }
        Some(_) => Err(arguments.refuse(
            "attempts",
            "must be a number, or an object with models, mode and pick",
        )),
    }
}

/// The way a result is brought into the checkout, if the caller says so.
pub(super) fn how_to_apply(
    arguments: &mut Arguments,
    key: &str,
) -> Result<Option<ApplyHow>, Refusal> {
    match arguments.string(key)?.as_deref() {
        None => Ok(None),
        Some("merge") => Ok(Some(ApplyHow::Merge)),
        Some("squash") => Ok(Some(ApplyHow::Squash)),
        Some("patch") => Ok(Some(ApplyHow::Patch)),
        Some(_) => Err(arguments.refuse(key, "must be one of merge, squash, patch")),
    }
}

fn prompt(arguments: &mut Arguments) -> Result<String, Refusal> {
    let prompt = arguments.string("prompt")?.unwrap_or_default();
    let rule = match prompt.trim_start().chars().next() {
        None => "must say what to do",
        Some('/' | '-') => {
            "must not begin with / or -, which read as a command or an option; begin with a word"
        }
        Some(_) if prompt.len() > PROMPT_MAX => {
            return Err(arguments.refuse("prompt", format!("must be at most {PROMPT_MAX} bytes; put long matter into a file of the repository and name it")));
        }
        Some(_) if prompt.contains('\0') => "must not contain NUL",
        Some(_) => return Ok(prompt),
    };
    Err(arguments.refuse("prompt", rule))
}

fn permission_mode(
    arguments: &mut Arguments,
    settings: &Settings,
) -> Result<PermissionMode, Refusal> {
    let asked: Option<PermissionMode> = closed_word(arguments, "permission_mode")?;
    let (mode, source) = match asked {
        Some(mode) => (mode, arguments.name("permission_mode")),
        None => (
            settings.permission_mode,
            "CLAUDE_PERMISSION_MODE".to_owned(),
        ),
    };
    if mode == PermissionMode::BypassPermissions && !settings.allow_bypass {
        return Err(Refusal::new(
            source,
            "bypassPermissions is blocked; the operator allows it with ALLOW_BYPASS_PERMISSIONS=1",
        ));
    }
    Ok(mode)
}

fn closed_word<T>(arguments: &mut Arguments, key: &str) -> Result<Option<T>, Refusal>
where
    T: std::str::FromStr<Err = settings::UnknownValue>,
{
    match arguments.string(key)? {
        None => Ok(None),
        Some(word) => word
            .parse()
            .map(Some)
            .map_err(|rule| arguments.refuse(key, rule)),
    }
}

fn scoped_patch(arguments: &mut Arguments) -> Result<Option<ScopedPatch>, Refusal> {
    let Some(mut scope) =
        arguments.object("scoped_patch", &["paths", "max_diff_bytes", "on_violation"])?
    else {
        return Ok(None);
    };
    let paths = scope.strings("paths", SCOPE_PATHS_MAX)?.unwrap_or_default();
    if paths.is_empty() {
        return Err(scope.refuse("paths", "must name at least one file, directory or glob"));
    }
    for (index, path) in paths.iter().enumerate() {
        let refuse = |rule: String| Err(scope.refuse(&format!("paths[{index}]"), rule));
        if !stays_inside(Path::new(path)) {
            return refuse("must be relative to the working directory (the first of allowed_dirs) and stay inside it".to_owned());
        }
        if let Err(error) = globset::Glob::new(path) {
            return refuse(format!("is no valid glob: {}", error.kind()));
        }
    }
    let max_diff_bytes = scope.number("max_diff_bytes", 0, u64::MAX)?;
    let on_violation = match scope.string("on_violation")?.as_deref() {
        None | Some("fail") => OnViolation::Fail,
        Some("revert") => OnViolation::Revert,
        Some(_) => return Err(scope.refuse("on_violation", "must be one of fail, revert")),
    };
    Ok(Some(ScopedPatch {
        paths,
        max_diff_bytes,
        on_violation,
    }))
}

fn auto_revise(arguments: &mut Arguments) -> Result<Option<AutoRevise>, Refusal> {
    let asked = match arguments.object("auto_revise", &["max_passes"])? {
        None => None,
        Some(mut revise) => revise.number("max_passes", 0, u64::from(REVISE_PASSES_MAX))?,
    };
    Ok(asked.map(|passes| AutoRevise {
        max_passes: u32::try_from(passes).unwrap_or(REVISE_PASSES_MAX),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use settings::Sources;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::load(&Sources::from_environment(environment)).unwrap()
    }

    fn parse(arguments: Value) -> Result<(JobSpec, u64), Refusal> {
        let Value::Object(arguments) = arguments else {
            unreachable!("the tests give objects")
        };
        parse_start(arguments, &settings(&[("HOME", "/home/nobody")]))
    }

    #[test]
    fn the_job_that_people_bring_along_parses_as_it_stands() {
        let example = include_str!("../../../../examples/job.json");
        let (spec, wait_ms) = parse(serde_json::from_str(example).unwrap()).unwrap();
        assert_eq!(spec.permission_mode, PermissionMode::AcceptEdits);
        assert_eq!(
            spec.scoped_patch.as_ref().unwrap().max_diff_bytes,
            Some(20_000)
        );
        assert_eq!(spec.checks.len(), 1);
        assert_eq!(spec.max_passes(), 1);
        assert_eq!(wait_ms, 0);
    }

    #[test]
    fn a_wrong_argument_is_named_with_its_rule() {
        let rows = [
            (json!({ "promt": "x" }), "promt"),
            (json!({ "prompt": "" }), "prompt"),
            (json!({ "prompt": " \n" }), "prompt"),
            (json!({ "prompt": 7 }), "prompt"),
            (json!({ "prompt": "/clear" }), "prompt"),
            (
                json!({ "prompt": "--dangerously-skip-permissions" }),
                "prompt",
            ),
            (json!({ "prompt": "x".repeat(1_000_000) }), "prompt"),
            (json!({ "allowed_dirs": [] }), "allowed_dirs"),
            (json!({ "allowed_dirs": "/srv" }), "allowed_dirs"),
            (json!({ "allowed_dirs": ["src"] }), "allowed_dirs[0]"),
            (json!({ "allowed_dirs": ["/srv", ""] }), "allowed_dirs[1]"),
            (json!({ "model": "" }), "model"),
            (json!({ "model": "a\r\nX-Evil: 1" }), "model"),
            (json!({ "permission_mode": "yolo" }), "permission_mode"),
            (
                json!({ "permission_mode": "bypassPermissions" }),
                "permission_mode",
            ),
            (json!({ "include_diff": "yes" }), "include_diff"),
            (json!({ "scoped_patch": {} }), "scoped_patch.paths"),
            (
                json!({ "scoped_patch": { "paths": ["src", "../other"] } }),
                "scoped_patch.paths[1]",
            ),
            (
                json!({ "scoped_patch": { "paths": ["/etc"] } }),
                "scoped_patch.paths[0]",
            ),
            (
                json!({ "scoped_patch": { "paths": ["src/[a"] } }),
                "scoped_patch.paths[0]",
            ),
            (
                json!({ "scoped_patch": { "paths": ["src"], "max": 1 } }),
                "scoped_patch.max",
            ),
            (
                json!({ "checks": [{ "command": "make" }] }),
                "checks[0].name",
            ),
            (json!({ "checks": [{ "name": "a" }] }), "checks[0].command"),
            (
                json!({ "checks": [{ "name": "a", "command": " " }] }),
                "checks[0].command",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "plugin": "y" }] }),
                "checks[0].command",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "timeout_ms": 0 }] }),
                "checks[0].timeout_ms",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "cwd": "../.." }] }),
                "checks[0].cwd",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "env": { "A=B": "" } }] }),
                "checks[0].env",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "retries": 4 }] }),
                "checks[0].retries",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "report": "/etc/passwd" }] }),
                "checks[0].report",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x", "fails_without_change": 1 }] }),
                "checks[0].fails_without_change",
            ),
            (
                json!({ "checks": [{ "plugin": "scope", "timeout_ms": 5 }] }),
                "checks[0].timeout_ms",
            ),
            (
                json!({ "checks": [{ "name": "a", "command": "x" }, { "name": "a", "command": "y" }] }),
                "checks[1].name",
            ),
            (json!({ "timeout_ms": -1 }), "timeout_ms"),
            (json!({ "wait_ms": 1.5 }), "wait_ms"),
            (
                json!({ "auto_revise": { "max_passes": 6 } }),
                "auto_revise.max_passes",
            ),
            (json!({ "isolation": "container" }), "isolation"),
            (json!({ "base": "main" }), "base"),
            (json!({ "resume_job_id": "../../etc" }), "resume_job_id"),
            (json!({ "max_turns": 0 }), "max_turns"),
            (json!({ "attempts": { "models": ["a", "b"] } }), "attempts"),
            (json!({ "attempts": true }), "attempts"),
            (json!({ "attempts": 1 }), "attempts"),
            (json!({ "attempts": 9 }), "attempts"),
            (
                json!({ "attempts": 5, "isolation": "worktree", "model": "a" }),
                "attempts",
            ),
            (json!({ "attempts": 2, "isolation": "worktree" }), "model"),
            (
                json!({ "attempts": { "models": [] }, "isolation": "worktree" }),
                "attempts.models",
            ),
            (
                json!({ "attempts": { "models": ["a", " "] }, "isolation": "worktree" }),
                "attempts.models[1]",
            ),
            (
                json!({ "attempts": { "models": ["a", "b"] }, "model": "a", "isolation": "worktree" }),
                "model",
            ),
            (
                json!({ "attempts": { "models": ["a", "b"], "mode": "sprint" }, "isolation": "worktree" }),
                "attempts.mode",
            ),
            (
                json!({ "attempts": { "models": ["a", "b"], "pick": "best" }, "isolation": "worktree" }),
                "attempts.pick",
            ),
            (
                json!({ "attempts": { "models": ["a", "b", "c", "d", "e"], "mode": "race" }, "isolation": "worktree" }),
                "attempts.models",
            ),
        ];
        for (wrong, argument) in rows {
            let mut arguments = json!({ "prompt": "Fix it.", "allowed_dirs": ["/srv/repo"] });
            for (name, value) in wrong.as_object().unwrap() {
                arguments[name] = value.clone();
            }
            let refusal = parse(arguments).unwrap_err();
            assert_eq!(refusal.argument, argument, "{refusal}");
            assert!(refusal.to_string().len() < 500, "{refusal}");
        }
    }

    #[test]
    fn directories_may_be_left_out_only_where_a_job_goes_on() {
        let refusal = parse(json!({ "prompt": "x" })).unwrap_err();
        assert_eq!(refusal.argument, "allowed_dirs");
        assert!(
            refusal.rule.contains("only with resume_job_id"),
            "{refusal}"
        );
        let id = JobId::random().unwrap().to_string();
        let (spec, _) = parse(json!({ "prompt": "x", "resume_job_id": id })).unwrap();
        assert!(spec.allowed_dirs.is_empty());
        let null = json!({ "prompt": "x", "allowed_dirs": null, "resume_job_id": id });
        assert!(parse(null).is_ok());
    }

    #[test]
    fn a_job_that_goes_on_has_the_isolation_and_the_base_of_the_earlier_one() {
        let id = JobId::random().unwrap().to_string();
        for (key, value) in [
            ("isolation", json!("worktree")),
            ("base", json!("main")),
            ("include_dirty", json!(true)),
        ] {
            let refusal = parse(json!({ "prompt": "x", "resume_job_id": id, key: value }));
            assert_eq!(refusal.unwrap_err().argument, key);
        }
    }

    #[test]
    fn bypass_is_for_operators_to_allow() {
        let arguments = json!({ "prompt": "x", "allowed_dirs": ["/srv"], "permission_mode": "bypassPermissions" });
        let Value::Object(arguments) = arguments else {
            unreachable!()
        };
        let allowed = settings(&[("HOME", "/home/nobody"), ("ALLOW_BYPASS_PERMISSIONS", "1")]);
        assert!(parse_start(arguments.clone(), &allowed).is_ok());

        let mut unasked = arguments;
        unasked.remove("permission_mode");
        let refusal = parse_start(
            unasked,
            &settings(&[
                ("HOME", "/home/nobody"),
                ("CLAUDE_PERMISSION_MODE", "bypassPermissions"),
            ]),
        );
        assert_eq!(refusal.unwrap_err().argument, "CLAUDE_PERMISSION_MODE");
    }

    proptest! {
        #[test]
        fn a_relative_path_that_is_accepted_stays_inside(path in "[a./]{0,12}") {
            let inside = stays_inside(Path::new(&path));
            let mut depth = 0_i32;
            let mut left = path.starts_with('/') || path.is_empty();
            for part in path.split('/') {
                match part {
                    "" | "." => {}
                    ".." => depth -= 1,
                    _ => depth += 1,
                }
                left |= depth < 0;
            }
            prop_assert_eq!(inside, !left);
        }
    }
}
