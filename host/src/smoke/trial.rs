//! The steps, and the scene that they need.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use serde::Serialize;
use serde_json::{Value, json};

use super::{plugins, stand_in};
use crate::reason::{Reason, fail};
use ::plugins::{Engine, PluginSet, PluginSettings};
use demo::gateway::{Script, ScriptedGateway, Turn};
use demo::mcp_client::McpClient;
use demo::{Folder, repository};
use gateway::{Adapter, AdapterConfig, Caller, RecordSink, RequestRecord, fresh_token};
use redact::{KnownValues, Redactor};
use settings::{Settings, Sources, Toolset};

/// The time that one call may take: a first run compiles the plugins.
const PATIENCE: Duration = Duration::from_secs(120);

/// One thing that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The name.
    pub what: &'static str,
    /// True if it did what it should.
    pub ok: bool,
    /// The finding; of a failure, what went wrong.
    pub detail: String,
    /// The time that it took, in milliseconds.
    pub ms: u64,
}

/// Tries everything; `told` gets each step when it is done. `cache_dir` keeps compiled plugins for the next time.
///
/// # Errors
/// There is no temporary folder or no loopback port to try anything with.
pub fn run(cache_dir: &Path, mut told: impl FnMut(&Step)) -> io::Result<Vec<Step>> {
    let folder = Folder::create("smoke")?;
    let gateway = ScriptedGateway::start(script())?;
    reach(&gateway)?;
    let settings = settings(&folder, cache_dir, &gateway)?;
    let scene = Scene {
        folder,
        gateway,
        settings,
    };
    let mut steps = Vec::new();
    let mut take = |what, tried: &mut dyn FnMut() -> Result<String, Reason>| {
        let began = Instant::now();
        let outcome = tried();
        let step = Step {
            what,
            ok: outcome.is_ok(),
            detail: outcome.unwrap_or_else(|reason| reason.0),
            ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        told(&step);
        steps.push(step);
    };
    take("MCP server", &mut || scene.handshake());
    take("tools", &mut || scene.tools());
    let set = scene.plugins();
    for (what, try_kind) in plugins::KINDS {
        take(what, &mut || {
            set.as_ref().map_err(Clone::clone).and_then(try_kind)
        });
    }
    take("adapter", &mut || scene.round_trip());
    take("job", &mut || scene.job());
    Ok(steps)
}

/// In a network namespace of its own even loopback is down at first, and everything would fail for that reason alone.
fn reach(gateway: &ScriptedGateway) -> io::Result<()> {
    TcpStream::connect_timeout(&gateway.address(), PATIENCE)
        .map(drop)
        .map_err(|error| {
            io::Error::other(format!(
                "127.0.0.1 cannot be reached ({error}); in a network namespace of its own: `ip link set lo up` first"
            ))
        })
}

/// The moves of the scripted model, for the adapter's round trip and for the job alike.
fn script() -> Script {
    Script::turns([
        Turn::call(
            "Edit",
            json!({"file_path": GREETING, "old_string": "Hello", "new_string": GREETED}),
        )
        .saying("I will change the greeting."),
        Turn::say("The greeting is changed."),
    ])
}

/// The file of the job's project that is changed.
const GREETING: &str = "greeting.txt";

/// The text in it afterwards.
const GREETED: &str = "Hello, world";

/// Settings of nobody but this.
fn settings(folder: &Folder, cache_dir: &Path, gateway: &ScriptedGateway) -> io::Result<Settings> {
    let environment = [
        ("HOME", folder.path().display().to_string()),
        ("WORKER_CACHE_DIR", cache_dir.display().to_string()),
        ("ONEAPI_BASE_URL", gateway.base_url()),
        ("ONEAPI_API_KEY", "smoke-no-key".to_owned()),
        ("CLAUDE_MODEL", "scripted-model".to_owned()),
    ];
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Settings::load(&Sources::from_environment(environment)).map_err(io::Error::other)
}

/// The scene in which everything is tried.
struct Scene {
    folder: Folder,
    gateway: ScriptedGateway,
    settings: Settings,
}

impl Scene {
    fn serve(&self, agent: &Path) -> io::Result<Command> {
        self.folder
            .serve(&self.settings, Some(&self.gateway), agent)
    }

    fn connect(&self, agent: &Path) -> Result<McpClient, Reason> {
        let command = self.serve(agent)?;
        Ok(McpClient::connect(command, PATIENCE)?)
    }

    fn handshake(&self) -> Result<String, Reason> {
        let mut client = self.connect(Path::new("/none"))?;
        let shook = client.handshake();
        let name = shook.initialize["serverInfo"]["name"].as_str();
        if name != Some(env!("CARGO_PKG_NAME")) {
            fail!("it calls itself {name:?}");
        }
        let said = format!(
            "protocol {}, initialize answered after {} ms",
            plain(&shook.initialize["protocolVersion"]),
            shook.answered_after.as_millis()
        );
        match client.hang_up(PATIENCE) {
            Some(status) if status.success() => Ok(format!("{said}, gone at the end of stdin")),
            Some(status) => fail!("it ended with {status}"),
            None => fail!("it does not end when its client is gone"),
        }
    }

    fn tools(&self) -> Result<String, Reason> {
        let mut client = self.connect(Path::new("/none"))?;
        let listed: Vec<String> = client
            .handshake()
            .tools
            .iter()
            .map(|tool| plain(&tool["name"]))
            .collect();
        let meant: Vec<String> = crate::mcp::tools(Toolset::ALL)
            .iter()
            .map(|tool| tool.name.to_string())
            .collect();
        if listed != meant {
            fail!("lists {}, not {}", listed.join(", "), meant.join(", "));
        }
        // Each takes its call and refuses what it must, in the form that every refusal has.
        for tool in &listed {
            let reply = client.call(tool, json!({"no_such_argument": 1}), PATIENCE)?;
            if !reply.is_error || !reply.structured["error"]["argument"].is_string() {
                fail!(
                    "{tool} does not refuse an unknown argument: {}",
                    reply.structured
                );
            }
        }
        Ok(format!("{} of them: {}", listed.len(), listed.join(", ")))
    }

    /// The bundled plugins, without what an operator added or replaced.
    fn plugins(&self) -> Result<PluginSet, Reason> {
        let engine = Engine::shared(&self.settings.cache_dir)?;
        let none = PluginSettings::from_table(&toml::Table::new(), self.folder.path());
        Ok(PluginSet::load(&engine, &none))
    }

    /// A streamed tool call and a whole answer, through the adapter and a dialect.
    fn round_trip(&self) -> Result<String, Reason> {
        let records: Arc<Mutex<Vec<RequestRecord>>> = Arc::default();
        let kept = Arc::clone(&records);
        let sink = RecordSink::new(move |record| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(record.clone());
        });
        let token = fresh_token()?;
        let plugins = self.plugins()?;
        let config = AdapterConfig {
            token: Some(token.clone()),
            ..AdapterConfig::from_settings(
                &self.settings,
                |named, base_url| plugins.choose_dialect(named, base_url),
                Redactor::new(KnownValues::new(), Vec::new()),
                "smoke",
                sink,
            )?
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let adapter = Adapter::bind(loopback, config).await?;
            let stranger = Caller::new(&adapter.url(), "another token")?;
            if stranger.ask(&stand_in::request(&[]), false).await.is_ok() {
                fail!("it serves a caller without its token");
            }
            let caller = Caller::new(&adapter.url(), &token)?;
            let asked = json!({"role": "user", "content": "Change the greeting."});
            let said = caller
                .ask(&stand_in::request(std::slice::from_ref(&asked)), true)
                .await?;
            let called = said.calls.first();
            if said.stop_reason != "tool_use"
                || called.is_none_or(|call| call.input["new_string"] != GREETED)
            {
                fail!("the streamed tool call came out as {said:?}");
            }
            let whole = caller
                .ask(&stand_in::request(&[asked, said.as_message()]), false)
                .await?;
            if whole.stop_reason != "end_turn" || whole.text.is_empty() {
                fail!("the whole answer came out as {whole:?}");
            }
            adapter.shutdown().await;
            let records = records.lock().unwrap_or_else(PoisonError::into_inner);
            match records.as_slice() {
                [first, second] if !first.estimated && second.input_tokens > 0 => Ok(format!(
                    "a streamed tool call in {} pieces and a whole answer, dialect {}, counted",
                    said.pieces, first.dialect
                )),
                records => fail!("{} requests were recorded, not 2", records.len()),
            }
        })
    }

    /// One job as Codex would give it, with a runner, a confined agent, and checks.
    fn job(&self) -> Result<String, Reason> {
        let project = self.folder.project();
        repository(&project, &[(GREETING, "Hello\n")], "Say hello")?;
        let agent = self.agent()?;
        let mut client = self.connect(&agent)?;
        let job = json!({
            "prompt": "Change the greeting.",
            "allowed_dirs": [project],
            "scoped_patch": {"paths": [GREETING]},
            "checks": [
                {"name": "greeting", "command": ["grep", "-q", GREETED, GREETING]},
                {"name": "leftovers", "plugin": "leftovers"},
            ],
            "wait_ms": u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        });
        let reply = client.call("start", job, PATIENCE * 2)?;
        let result = &reply.structured;
        if result["job_status"] != "completed" || result["changed_files"] != json!([GREETING]) {
            fail!("its result is {result}");
        }
        let text = fs::read_to_string(project.join(GREETING))?;
        if text.trim_end() != GREETED {
            fail!("the file holds {text:?}");
        }
        let checks: Vec<&str> = result["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        Ok(format!("completed; {}", checks.join(", ")))
    }

    /// This very program under the name by which it plays the agent.
    fn agent(&self) -> io::Result<PathBuf> {
        let folder = self.folder.path().join("agent");
        fs::create_dir_all(&folder)?;
        let agent = folder.join(stand_in::NAME);
        let program = env::current_exe()?;
        // A link is free; elsewhere than on the same file system it is a copy.
        if fs::hard_link(&program, &agent).is_err() {
            fs::copy(&program, &agent)?;
        }
        Ok(agent)
    }
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
