//! The probes of `doctor`.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::modes::{exposure, set_mode};
use super::{Finding, codex, path};
use crate::cli::progress::Progress;
use crate::cli::stats::trouble::Trouble;
use crate::cli::{gc, retention};
use gateway::RequestRecord;
use job::agent::Claude;
use job::upkeep::{Retention, Size};
use job::{State, Store, settle_all};
use plugins::{Engine, PluginSet, PluginSettings};
use process::{self, LevelWord};
use settings::{SandboxMode, Settings, Sources};
use workspace::Root;

/// Claude Code before this version could be led out of its directory by a worktree's paths (CVE-2026-55607).
const CLAUDE_SAFE_SINCE: [u64; 3] = [2, 1, 163];

/// The bytes that the store should have left: the snapshots of a large repository.
const SPACE_WANTED: u64 = 1 << 30;

/// Mends the permissions of our own files.
pub(super) fn mend(sources: &Sources) -> Vec<Finding> {
    let state_dir = Settings::load(sources)
        .ok()
        .map(|settings| settings.state_dir);
    let files = [
        (Some(sources.env_file_path()), 0o600),
        (Some(sources.config_path()), 0o600),
        (state_dir, 0o700),
    ];
    files
        .into_iter()
        .filter_map(|(path, mode)| {
            let path = path?;
            let exposed = exposure(&path)?;
            Some(match set_mode(&path, mode) {
                Ok(()) => Finding::ok(
                    "mended",
                    format!("{} had mode {exposed:o}, now {mode:o}", path.display()),
                ),
                Err(error) => Finding::fail(
                    "mended",
                    format!("{} keeps mode {exposed:o}: {error}", path.display()),
                    format!("chmod {mode:o} {}", path.display()),
                ),
            })
        })
        .collect()
}

/// The files that settings are read from: there, and for the owner's eyes.
pub(super) fn settings_files(sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (what, path) in [
        (".env", sources.env_file_path()),
        ("config file", sources.config_path()),
    ] {
        if !path.exists() {
            findings.push(Finding::ok(what, format!("none at {}", path.display())));
        } else if let Some(mode) = exposure(&path) {
            findings.push(Finding::fail(
                what,
                format!(
                    "{} can be read by other users (mode {mode:o})",
                    path.display()
                ),
                format!("chmod 600 {}, or doctor --fix", path.display()),
            ));
        } else {
            findings.push(Finding::ok(what, path.display().to_string()));
        }
    }
    findings
}

/// Everything that needs settings.
pub(super) fn all(settings: &Settings, quiet: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for warning in &settings.warnings {
        findings.push(Finding::warn(
            "settings",
            warning.clone(),
            "correct or remove it",
        ));
    }
    findings.push(git());
    findings.push(root(settings));
    findings.extend(gateway(settings));
    findings.extend(plugins(settings, quiet));
    findings.extend(checks(settings));
    findings.extend(store(settings));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            findings.push(runtime.block_on(claude(settings)));
            findings.push(runtime.block_on(sandbox(settings)));
            findings.extend(runtime.block_on(layers(settings)));
            findings.extend(runtime.block_on(path::look(settings)));
        }
        Err(error) => findings.push(Finding::fail(
            "runtime",
            error.to_string(),
            "free some memory or descriptors",
        )),
    }
    findings.extend(codex::look(settings));
    findings
}

/// The checks of the config file.
fn checks(settings: &Settings) -> Vec<Finding> {
    job::default_check_problems(settings)
        .into_iter()
        .map(|problem| {
            Finding::fail(
                "checks",
                problem.to_string(),
                "correct the config file; no job starts before",
            )
        })
        .collect()
}

fn git() -> Finding {
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => Finding::ok(
            "git",
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ),
        _ => Finding::warn(
            "git",
            "no git on PATH",
            "install git: jobs do without it, but an agent that cannot run `git diff` works worse",
        ),
    }
}

fn root(settings: &Settings) -> Finding {
    const WHAT: &str = "SANDBOX_ROOT";
    let Some(path) = &settings.sandbox_root else {
        return Finding::fail(
            WHAT,
            "is not set: start and analyze refuse",
            "set it to the directory that holds your repositories",
        );
    };
    match Root::open(path) {
        Ok(_) if path == Path::new("/") => Finding::warn(
            WHAT,
            "is the whole file system",
            "set it to the directory that holds your repositories",
        ),
        Ok(_) => Finding::ok(WHAT, path.display().to_string()),
        Err(error) => Finding::fail(
            WHAT,
            error.to_string(),
            "make the directory, or set SANDBOX_ROOT to another",
        ),
    }
}

fn gateway(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    match settings.gateway() {
        Ok(gateway) => {
            findings.push(Finding::ok("gateway", gateway.base_url.clone()));
            if gateway.base_url.starts_with("http://") && !is_local(&gateway.base_url) {
                findings.push(Finding::warn(
                    "gateway",
                    "http: the key and your code cross the network in the clear",
                    "use its https URL",
                ));
            }
        }
        Err(reason) => findings.push(Finding::fail(
            "gateway",
            reason.to_string(),
            "`mcp-codex-worker setup` asks for it",
        )),
    }
    findings.push(match &settings.model {
        Some(model) => Finding::ok("model", model.clone()),
        None => Finding::warn(
            "model",
            "CLAUDE_MODEL is not set: every start must name a model",
            "set CLAUDE_MODEL to a model of your gateway",
        ),
    });
    if let Some(fallback) = &settings.fallback {
        findings.push(Finding::ok("fallback", fallback.base_url.clone()));
    }
    findings
}

fn is_local(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    })
}

fn plugins(settings: &Settings, quiet: bool) -> Vec<Finding> {
    const WHAT: &str = "plugins";
    let engine = match Engine::shared(&settings.cache_dir) {
        Ok(engine) => engine,
        Err(error) => {
            return vec![Finding::fail(
                WHAT,
                error.to_string(),
                "jobs need plugins: run on a machine that can run WebAssembly",
            )];
        }
    };
    let configured = PluginSettings::of(settings, &[]);
    let set = PluginSet::load(&engine, &configured);
    let mut findings = Vec::new();
    let mut bundled = Vec::new();
    let mut progress = Progress::stderr(quiet);
    for plugin in set.list() {
        let what = format!("plugin {}", plugin.name);
        if !plugin.enabled {
            findings.push(Finding::ok(what, "switched off"));
            continue;
        }
        // Loading checks the hash, the manifest and the grants, and compiles it into the cache.
        progress.status("loading plugins; new ones are compiled first", &plugin.name);
        match (set.info(&plugin.name), &plugin.path) {
            (Ok(_), None) => bundled.push(plugin.name),
            (Ok(info), Some(path)) => {
                let granted = match plugin.grants.as_slice() {
                    [] => "nothing".to_owned(),
                    words => words.join(", "),
                };
                let detail = format!(
                    "{} from {}, granted {granted}",
                    info.version,
                    path.display()
                );
                let pinned = configured
                    .entries
                    .get(&plugin.name)
                    .is_some_and(|entry| entry.sha256.is_some());
                findings.push(if pinned {
                    Finding::ok(what, format!("{detail}, as its sha256 says"))
                } else {
                    Finding::warn(
                        what,
                        format!("{detail}, without a sha256: who can write the file decides what it does"),
                        format!("mcp-codex-worker plugin add {}", path.display()),
                    )
                });
            }
            (Err(error), _) => {
                findings.push(Finding::fail(what, error.what.clone(), error.remedy));
            }
        }
    }
    progress.clear();
    let mut problems = set.problems();
    for entry in settings.repositories.all() {
        problems.extend(PluginSet::problems_in(&engine, settings, entry));
    }
    for problem in problems {
        if !findings
            .iter()
            .any(|finding| finding.detail == problem.what)
        {
            findings.push(Finding::fail(WHAT, problem.what, problem.remedy));
        }
    }
    findings.push(Finding::ok(
        WHAT,
        format!(
            "{} bundled ones load: {}",
            bundled.len(),
            bundled.join(", ")
        ),
    ));
    findings.push(dialect(settings, &set));
    findings
}

fn dialect(settings: &Settings, set: &PluginSet) -> Finding {
    const WHAT: &str = "dialect";
    if !settings.use_openai_adapter {
        return Finding::ok(WHAT, "none: USE_OPENAI_ADAPTER=0 relays Anthropic messages");
    }
    let gateway = settings.gateway();
    let base_url = match (&settings.dialect, &gateway) {
        (None, Err(_)) => {
            return Finding::ok(WHAT, "chosen by the gateway's URL, once there is one");
        }
        (_, gateway) => gateway
            .as_ref()
            .map_or("", |gateway| gateway.base_url.as_str()),
    };
    match set.dialect_of(settings.dialect.as_deref(), base_url) {
        Ok((dialect, why)) => {
            let model = settings.model.as_deref().unwrap_or_default();
            let family = dialect.family(model);
            let family = family.map(|family| format!("; model family {family} for {model}"));
            Finding::ok(
                WHAT,
                format!(
                    "{}, since {why}{}",
                    dialect.title(),
                    family.unwrap_or_default()
                ),
            )
        }
        Err(error) => Finding::fail(
            WHAT,
            error.to_string(),
            format!(
                "set WORKER_DIALECT to one of {}",
                set.dialect_names().join(", ")
            ),
        ),
    }
}

fn store(settings: &Settings) -> Vec<Finding> {
    const WHAT: &str = "job store";
    let folder = &settings.state_dir;
    let opened = Store::open(folder).and_then(|store| {
        settle_all(&store)?;
        let strays = store.strays(SystemTime::now())?.len();
        Ok((store.outlines()?.len(), strays, store))
    });
    let kept = match &opened {
        Ok((.., store)) => kept(store),
        Err(_) => Vec::new(),
    };
    let mut findings = vec![match opened {
        Ok((jobs, strays, _)) if strays > 0 => Finding::warn(
            WHAT,
            format!(
                "{} with {jobs} jobs, and {strays} folders of jobs that jobs.db does not know: it was lost or replaced, or their start was cut off",
                folder.display()
            ),
            "put the former jobs.db back if there is one; if not, keep what you need of the folders, and `mcp-codex-worker gc` removes them",
        ),
        Ok((jobs, ..)) => Finding::ok(WHAT, format!("{} with {jobs} jobs", folder.display())),
        Err(error) => Finding::fail(
            WHAT,
            error.to_string(),
            "mend its folder (doctor --fix mends permissions), or set WORKER_STATE_DIR",
        ),
    }];
    findings.extend(kept);
    #[cfg(unix)]
    if let Ok(space) = rustix::fs::statvfs(folder) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let detail = format!("{} MB are free at {}", free >> 20, folder.display());
        findings.push(if free < SPACE_WANTED {
            Finding::warn(
                "disk",
                detail,
                "free some (`mcp-codex-worker gc`), or set WORKER_STATE_DIR to another disk",
            )
        } else {
            Finding::ok("disk", detail)
        });
    }
    findings
}

/// What the jobs take on the disk, and what retention will do next.
fn kept(store: &Store) -> Vec<Finding> {
    let failed = |fault: &dyn std::fmt::Display| {
        vec![Finding::warn(
            "kept jobs",
            fault.to_string(),
            "`mcp-codex-worker gc` measures and deletes them",
        )]
    };
    let largest = match store.largest(usize::MAX) {
        Ok(largest) => largest,
        Err(fault) => return failed(&fault),
    };
    let all: Size = largest.iter().map(|(.., size)| *size).sum();
    let named: Vec<String> = largest
        .iter()
        .take(3)
        .map(|(dir, jobs, size)| format!("{dir} {} ({jobs} jobs)", gc::shown(*size)))
        .collect();
    let detail = match named.is_empty() {
        true => "none has been measured yet".to_owned(),
        false => format!(
            "{} and {} files; most: {}",
            gc::shown(all),
            all.inodes,
            named.join(", ")
        ),
    };
    let mut findings = vec![Finding::ok("kept jobs", detail)];
    findings.extend(trouble(store));
    let due = match Retention::announced(store) {
        Ok(due) => due,
        Err(fault) => return failed(&fault),
    };
    let lines = retention::lines(&due, job::now_ms());
    if lines.is_empty() {
        findings.push(Finding::ok("retention", "nothing is due"));
        return findings;
    }
    findings.extend(lines.into_iter().map(|line| {
        Finding::warn(
            "retention",
            line,
            "apply or copy what you need; WORKER_KEEP_DAYS and WORKER_KEEP_MB keep more",
        )
    }));
    if let Err(fault) = Retention::told(store) {
        return failed(&fault);
    }
    findings
}

/// What the gateway's trouble cost since yesterday.
fn trouble(store: &Store) -> Option<Finding> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let since_ms = job::now_ms().saturating_sub(DAY_MS);
    let jobs = store.jobs_since(since_ms).ok()?;
    let completed: HashSet<&str> = jobs
        .iter()
        .filter(|(job, _)| job.state == State::Completed)
        .map(|(job, _)| job.id.as_str())
        .collect();
    let requests = store.requests_since::<RequestRecord>(since_ms).ok()?;
    let records = requests.iter().map(|(.., record)| record);
    let trouble = Trouble::of(records, |job| completed.contains(job));
    let words = trouble.words()?;
    let detail = format!("in the last 24 hours: {words}");
    Some(if trouble.lost > 0 {
        Finding::warn(
            "gateway's trouble",
            detail,
            "WORKER_GATEWAY_PATIENCE_MS outlasts longer outages, FALLBACK_BASE_URL names a second gateway",
        )
    } else {
        Finding::ok("gateway's trouble", detail)
    })
}

async fn claude(settings: &Settings) -> Finding {
    const WHAT: &str = "Claude Code";
    match Claude::locate(settings).await {
        Ok(claude) if is_older(claude.version(), CLAUDE_SAFE_SINCE) => Finding::warn(
            WHAT,
            format!(
                "{} at {} can be led out of its directory (CVE-2026-55607)",
                claude.version(),
                claude.path().display()
            ),
            "update it: npm install -g @anthropic-ai/claude-code",
        ),
        Ok(claude) => Finding::ok(
            WHAT,
            format!("{} at {}", claude.version(), claude.path().display()),
        ),
        Err(error) => Finding::fail(
            WHAT,
            error.to_string(),
            "npm install -g @anthropic-ai/claude-code, or set WORKER_CLAUDE_BIN",
        ),
    }
}

fn is_older(version: &str, than: [u64; 3]) -> bool {
    let mut parts = version
        .split(['.', '-', ' '])
        .map(|part| part.parse::<u64>().unwrap_or_default());
    let version = [(); 3].map(|()| parts.next().unwrap_or_default());
    version < than
}

async fn sandbox(settings: &Settings) -> Finding {
    const WHAT: &str = "sandbox";
    if settings.sandbox == SandboxMode::Off {
        return Finding::warn(
            WHAT,
            "off: agent and checks can read and write what you can",
            "remove WORKER_SANDBOX=off",
        );
    }
    let found = process::probe().await;
    let mut detail = found.level.word.to_string();
    for part in found.level.detail.iter().chain(&found.problem) {
        detail.push_str("; ");
        detail.push_str(part);
    }
    match (found.level.word, settings.sandbox) {
        (LevelWord::Confined, _) => Finding::ok(WHAT, detail),
        (_, SandboxMode::Required) => Finding::fail(
            WHAT,
            detail,
            "WORKER_SANDBOX=required refuses every job here: allow user namespaces and Landlock, or use auto",
        ),
        _ => Finding::warn(
            WHAT,
            detail,
            "allow user namespaces and Landlock (Linux 6.7 or newer); jobs run meanwhile, and their results say so",
        ),
    }
}

/// Finds whether checks have views of the tree that are thrown away; none where nothing is confined.
async fn layers(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "layers";
    if settings.sandbox == SandboxMode::Off || !settings.state_dir.is_dir() {
        return None;
    }
    Some(match process::probe_layer(&settings.state_dir).await {
        Ok(()) => Finding::ok(
            WHAT,
            "each check has a layer over the tree, which is thrown away",
        ),
        Err(fault) => Finding::warn(
            WHAT,
            format!("{fault}; each check copies the tree, or runs in the tree itself"),
            "put WORKER_STATE_DIR on a local file system (in a container: a volume), on Linux 5.11 or newer with user namespaces",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("2.1.99", CLAUDE_SAFE_SINCE));
        assert!(!is_older("2.1.163", CLAUDE_SAFE_SINCE));
        assert!(!is_older("2.2.0-beta.1", CLAUDE_SAFE_SINCE));
        assert!(!is_older("10.0", CLAUDE_SAFE_SINCE));
    }

    #[test]
    fn local_gateways_may_be_plain() {
        assert!(
            is_local("http://127.0.0.1:8080/v1")
                && is_local("http://localhost")
                && is_local("http://[::1]:3")
        );
        assert!(!is_local("http://127.0.0.1.evil.example") && !is_local("http://10.0.0.1"));
    }
}
