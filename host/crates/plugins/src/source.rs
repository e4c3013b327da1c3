//! From the bytes of a component to a plugin in use: compiled, linked, described, its settings looked at.

use std::path::PathBuf;
use std::sync::Arc;

use super::bundled::Code;
use super::config::Config;
use super::engine::CompileError;
use super::grants::Grants;
use super::loaded::{Info, Loaded};
use super::log::PluginLog;
use super::settings::LimitChanges;
use super::v1::link::link;
use super::v1::plugin::Plugin;
use super::{Engine, Kind, PluginError, Stage, engine};

/// The source of a plugin.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: String,
    /// The file of the bytes; none for a bundled plugin.
    pub(super) file: Option<PathBuf>,
    pub(super) code: Code,
    /// Digest of the component.
    pub(super) sha256: String,
    /// The kind that it must have, where one was promised.
    pub(super) kind: Option<Kind>,
    /// The name and the version that it must give itself, where a manifest promises them.
    pub(super) promised: Option<(String, String)>,
    pub(super) grants: Grants,
    pub(super) limits: LimitChanges,
    /// Rules of a check whose findings do not count.
    pub(super) suppress: Vec<String>,
    pub(super) config: Config,
    pub(super) log: Arc<PluginLog>,
    /// The folder in which breakdowns are counted over processes.
    pub(super) troubles: Option<PathBuf>,
}

impl Source {
    /// A component as it is, without an operator's entry: bundled ones, and those that are only looked at.
    pub(super) fn plain(name: &str, code: Code, sha256: Option<&str>) -> Self {
        Source {
            name: name.to_owned(),
            file: None,
            sha256: sha256.map_or_else(|| engine::digest(&code.bytes()), str::to_owned),
            code,
            kind: None,
            promised: None,
            grants: Grants::default(),
            limits: LimitChanges::default(),
            suppress: Vec::new(),
            config: Config::default(),
            log: Arc::default(),
            troubles: None,
        }
    }

    /// Compiles (or takes from the cache), checks what it wants and offers, and asks it to describe itself.
    pub(super) fn load(self, engine: &Arc<Engine>) -> Result<Plugin, PluginError> {
        let source = self;
        let name = source.name.clone();
        let refuse = |stage, what: String, remedy: String| PluginError {
            plugin: name.clone(),
            version: None,
            sha256: None,
            kind: source.kind,
            stage,
            what,
            remedy,
        };
        if let Code::Given(bytes) = &source.code {
            is_component(bytes).map_err(|(what, remedy)| refuse(Stage::Compile, what, remedy))?;
        }
        let compiled = engine.component(&source.sha256, &source.code);
        let (runtime, component) = compiled.map_err(|error| {
            let remedy = match error {
                CompileError::Engine(_) => "",
                _ => "build it again with `mcp-codex-worker plugin build`",
            };
            refuse(Stage::Compile, error.to_string(), remedy.to_owned())
        })?;
        let linked = link(&runtime.wasmtime, &component, &source.grants, &name)
            .map_err(|(what, remedy)| refuse(Stage::Link, what, remedy))?;
        if let Some(kind) = source.kind.filter(|kind| *kind != linked.kind) {
            let what = format!("is a {}, not a {kind}", linked.kind);
            return Err(refuse(
                Stage::Link,
                what,
                format!("write kind = \"{}\"", linked.kind),
            ));
        }
        let info = Info {
            own_name: name.clone(),
            name: source.name,
            version: String::new(),
            summary: String::new(),
            kind: linked.kind,
            api: linked.api,
            settings_schema: None,
            imports: linked.imports,
            size: source.code.size(),
            sha256: source.sha256,
        };
        let loaded = Loaded::new(
            runtime,
            info,
            linked.wasi,
            source.limits.over(linked.kind),
            source.grants,
            source.config,
            source.log,
        );
        let mut loaded = loaded;
        loaded.suppress = source.suppress;
        if let Some(folder) = &source.troubles {
            loaded.remember_troubles(folder);
        }
        let mut plugin = Plugin::new(loaded, linked.pre);
        let described = plugin.describe()?;
        Arc::get_mut(&mut plugin.loaded)
            .ok_or_else(|| refuse(Stage::Start, "is still in use".to_owned(), String::new()))?
            .introduce(described)?;
        let info = &plugin.loaded.info;
        if let Some((id, version)) = &source.promised
            && (*id != info.own_name || *version != info.version)
        {
            let what = format!(
                "says that it is {} {}, and plugin.toml says {id} {version}",
                info.own_name, info.version
            );
            let remedy = "write the same in both, and build it again";
            return Err(refuse(Stage::Link, what, remedy.to_owned()));
        }
        // The operator's settings are looked at here, so that a fault in them shows at once. A check may get what it needs
        // only with the job: without what its schema requires, what the plugin itself says is left until they are whole.
        if plugin.loaded.info.kind != Kind::Check {
            plugin.validate(plugin.loaded.config(None)?)?;
        } else {
            plugin.loaded.settings_so_far()?;
            if plugin.loaded.has_settings()
                && let Ok(config) = plugin.loaded.config(None)
            {
                plugin.validate(config)?;
            }
        }
        Ok(plugin)
    }
}

/// Tells a core module and other files from a component, in words that help.
fn is_component(bytes: &[u8]) -> Result<(), (String, String)> {
    let build = "build a component: `mcp-codex-worker plugin build`".to_owned();
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err((
            "is a core WebAssembly module and no component".to_owned(),
            build,
        )),
        [0x7f, b'E', b'L', b'F', ..] => Err((
            "is native code; only WebAssembly components are taken".to_owned(),
            build,
        )),
        [] => Err(("is an empty file".to_owned(), build)),
        _ => Err(("is no WebAssembly".to_owned(), build)),
    }
}
