//! The two tables: gateways by their URLs, model families by their names. The bundled entries are
//! the files in `plugins/declared/presets`; an operator's entries have the same form.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::{Map, Value};

use super::layer::{FactsError, Layer, Origin};
use super::merge::Layers;
use super::pattern::{ModelName, recognizes, weight};

/// The files of a folder of presets, each with its name.
macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        &[$((
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/../../../plugins/declared/presets/", $folder, "/", $name, ".toml"
            )),
        )),*]
    };
}

/// Every preset of a gateway, by name.
static GATEWAYS: &[(&str, &str)] = files!("gateways":
    "azure" "azure-deployments" "azure-models" "baidu" "cerebras" "cloudflare" "cloudflare-providers"
    "cloudflare-workers-ai"
    "dashscope-coding" "deepseek" "fireworks" "gemini" "github-copilot" "github-models" "github-models-azure"
    "glm" "groq" "huggingface" "kimi" "kimi-coding" "llama-cpp" "lm-studio" "minimax" "mistral" "modelscope"
    "nvidia" "ollama" "one-api" "openai" "openrouter" "qwen" "sambanova" "sglang" "siliconflow" "stepfun"
    "tencent" "tencent-lkeap" "tencent-tokenhub" "think-tags" "together" "venice" "vertex" "vllm" "volcengine" "xai"
);

/// Every model family, by name.
static MODELS: &[(&str, &str)] = files!("models":
    "claude" "deepseek-chat" "deepseek-r1" "deepseek-reasoner" "deepseek-v3" "deepseek-v3.1" "deepseek-v4"
    "doubao" "gemini" "gemini-2.5" "gemini-3" "glm-4" "glm-4.5" "gpt-3.5" "gpt-4" "gpt-4.1" "gpt-4o" "gpt-5"
    "gpt-5-chat" "gpt-5-codex" "gpt-5-pro" "gpt-5.1" "gpt-5.2" "gpt-5.4" "gpt-5.6" "gpt-oss" "grok-3" "grok-4"
    "kimi-k2" "kimi-k2-thinking" "kimi-k2.5" "llama" "magistral" "minimax-m2" "minimax-m3" "mistral" "openai-o"
    "qwen2.5" "qwen3" "qwen3-instruct" "qwen3-open" "qwen3-thinking"
);

static BUNDLED: LazyLock<Presets> = LazyLock::new(|| Presets {
    gateways: read_heads(Table::Gateways),
    models: read_heads(Table::Models),
});

/// A table of presets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Gateways,
    Models,
}

impl Table {
    /// The name in settings.
    fn word(self) -> &'static str {
        match self {
            Self::Gateways => "gateways",
            Self::Models => "models",
        }
    }

    /// The bundled files.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Gateways => GATEWAYS,
            Self::Models => MODELS,
        }
    }

    /// The key of an entry's patterns.
    fn patterns(self) -> &'static str {
        match self {
            Self::Gateways => "recognizes",
            Self::Models => "matches",
        }
    }
}

/// Settings that make no presets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {rule}")]
pub struct PresetsError {
    /// The entry, and the fact in it, as in `gateways.acme.limits.max-output`.
    pub entry: String,
    /// The rule that the value breaks.
    pub rule: String,
}

/// The facts of a gateway, or of the models of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// The name, as in WORKER_DIALECT.
    pub name: String,
    /// The purpose of the preset.
    pub about: String,
    /// Base URLs of the gateway, or names of the models.
    pub patterns: Vec<String>,
    facts: Arc<BundledFacts>,
    /// The layers that the operator's settings put over them, each with its place.
    operator: Vec<Layer>,
}

/// The facts of a bundled entry: its own, and those of the entry that it is like. They are read when they are asked for: a
/// start knows some ninety entries and needs two.
#[derive(Debug)]
struct BundledFacts {
    table: Table,
    /// The name of the entry; empty for that of an operator which is like no other.
    name: &'static str,
    read: OnceLock<Map<String, Value>>,
}

impl BundledFacts {
    fn new(table: Table, name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            table,
            name,
            read: OnceLock::new(),
        })
    }

    fn get(&self) -> &Map<String, Value> {
        self.read.get_or_init(|| read_facts(self.table, self.name))
    }
}

impl PartialEq for BundledFacts {
    fn eq(&self, other: &Self) -> bool {
        (self.table, self.name) == (other.table, other.name)
    }
}

/// The gateways and the model families that are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Presets {
    gateways: BTreeMap<String, Preset>,
    models: BTreeMap<String, Preset>,
}

impl Presets {
    /// The bundled ones.
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    /// These, and over them what the settings of `declared` at a place say.
    ///
    /// # Errors
    /// The first entry that cannot be.
    pub fn with(&self, place: &str, settings: &Map<String, Value>) -> Result<Self, PresetsError> {
        let mut presets = self.clone();
        for (key, entries) in settings {
            let table = match key.as_str() {
                "gateways" => Table::Gateways,
                "models" => Table::Models,
                _ => {
                    return Err(PresetsError {
                        entry: key.clone(),
                        rule: "no such setting; there are gateways, models".to_owned(),
                    });
                }
            };
            let entries = entries.as_object().ok_or_else(|| PresetsError {
                entry: key.clone(),
                rule: "must be a table of tables".to_owned(),
            })?;
            for (name, entry) in entries {
                let wrong = |error: FactsError| PresetsError {
                    entry: match error.fact.as_str() {
                        "" => format!("{key}.{name}"),
                        fact => format!("{key}.{name}.{fact}"),
                    },
                    rule: error.rule,
                };
                presets.lay(table, name, entry, place).map_err(wrong)?;
            }
        }
        Ok(presets)
    }

    /// Lays an operator's entry over the one of its name, or over the one that it is like.
    fn lay(
        &mut self,
        table: Table,
        name: &str,
        entry: &Value,
        place: &str,
    ) -> Result<(), FactsError> {
        let entry = entry
            .as_object()
            .ok_or_else(|| FactsError::new("", "must be a table"))?;
        let head = Head::read(table, entry)?;
        let presets = match table {
            Table::Gateways => &mut self.gateways,
            Table::Models => &mut self.models,
        };
        let facts = match &head.like {
            Some(like) => match presets.get(like) {
                Some(like) => Some(Arc::clone(&like.facts)),
                None => return Err(no_such_like(like, presets.keys())),
            },
            None => None,
        };
        let origin = Origin::Operator(format!("{}.{name} of {place}", table.word()));
        let layer = Layer::new(origin, &head.facts)?;
        let preset = presets.entry(name.to_owned()).or_insert_with(|| Preset {
            name: name.to_owned(),
            about: "the operator's".to_owned(),
            patterns: Vec::new(),
            facts: BundledFacts::new(table, ""),
            operator: Vec::new(),
        });
        if let Some(about) = head.about {
            preset.about = about;
        }
        if let Some(facts) = facts {
            preset.facts = facts;
        }
        preset.patterns.extend(head.patterns);
        preset.operator.push(layer);
        Ok(())
    }

    /// The gateway of a name.
    pub fn gateway(&self, name: &str) -> Option<&Preset> {
        self.gateways.get(name)
    }

    /// Takes out the gateway of a name: a plugin stands in for it.
    pub fn remove_gateway(&mut self, name: &str) {
        self.gateways.remove(name);
    }

    /// Every gateway, ordered by name.
    pub fn gateways(&self) -> impl Iterator<Item = &Preset> {
        self.gateways.values()
    }

    /// Every model family, ordered by name.
    pub fn models(&self) -> impl Iterator<Item = &Preset> {
        self.models.values()
    }

    /// The gateway whose pattern fixes most of a base URL, and that pattern.
    pub fn gateway_for(&self, base_url: &str) -> Option<(&Preset, &str)> {
        best(&self.gateways, |pattern| recognizes(pattern, base_url))
    }

    /// The family whose pattern fixes most of a model's name, and that pattern.
    pub fn family_for(&self, model: &str) -> Option<(&Preset, &str)> {
        let model = ModelName::new(model);
        best(&self.models, |pattern| model.matches(pattern))
    }

    /// The layers for a model on a gateway: the gateway's own facts, the model's family, and what
    /// the operator states about both. `preset` is the gateway's name here, if it has one.
    ///
    /// # Errors
    /// When a bundled family cannot be read.
    pub fn layers(
        &self,
        gateway: Layer,
        preset: Option<&str>,
        model: &str,
    ) -> Result<Layers, FactsError> {
        let family = self.family_for(model).map(|(family, _)| family);
        let gateways = preset.and_then(|name| self.gateway(name));
        let over = [gateways, family].into_iter().flatten();
        Ok(Layers {
            gateway,
            family: match family {
                Some(family) => Some(Layer::new(
                    Origin::Family(family.name.clone()),
                    family.facts(),
                )?),
                None => None,
            },
            lessons: Vec::new(),
            operator: over.flat_map(|preset| preset.operator.clone()).collect(),
        })
    }
}

impl Preset {
    /// The bundled facts.
    pub fn facts(&self) -> &Map<String, Value> {
        self.facts.get()
    }
}

fn best(
    presets: &BTreeMap<String, Preset>,
    fits: impl Fn(&str) -> bool,
) -> Option<(&Preset, &str)> {
    let all = presets.values().flat_map(|preset| {
        let patterns = preset.patterns.iter();
        patterns.map(move |pattern| (preset, pattern.as_str()))
    });
    all.filter(|(_, pattern)| fits(pattern))
        .max_by_key(|(_, pattern)| weight(pattern))
}

/// An entry's own keys, apart from its facts.
struct Head {
    about: Option<String>,
    patterns: Vec<String>,
    like: Option<String>,
    facts: Map<String, Value>,
}

impl Head {
    /// Reads the text of an entry, if it is one.
    fn parse(table: Table, text: &str) -> Option<Self> {
        let entry = toml::from_str::<Map<String, Value>>(text).ok()?;
        Self::read(table, &entry).ok()
    }

    fn read(table: Table, entry: &Map<String, Value>) -> Result<Self, FactsError> {
        let mut facts = entry.clone();
        let mut text = |key: &str| match facts.shift_remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FactsError::new(key, "must be a string")),
        };
        let (about, like) = (text("about")?, text("like")?);
        let key = table.patterns();
        let patterns = match facts.shift_remove(key) {
            None => Vec::new(),
            Some(list) => serde_json::from_value(list)
                .map_err(|_| FactsError::new(key, "must be a list of strings"))?,
        };
        Ok(Self {
            about,
            patterns,
            like,
            facts,
        })
    }
}

fn no_such_like<'a>(like: &str, known: impl Iterator<Item = &'a String>) -> FactsError {
    let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
    FactsError::new("like", format!("there is no {like}; there are {known}"))
}

/// Reads names, purposes and patterns of the bundled presets. One that cannot be read is not there: the tests hold that every
/// one can.
fn read_heads(table: Table) -> BTreeMap<String, Preset> {
    let head = |(name, text): &(&'static str, &'static str)| {
        let head = Head::parse(table, before_tables(text))?;
        let preset = Preset {
            name: (*name).to_owned(),
            about: head.about.unwrap_or_default(),
            patterns: head.patterns,
            facts: BundledFacts::new(table, name),
            operator: Vec::new(),
        };
        Some(((*name).to_owned(), preset))
    };
    table.files().iter().filter_map(head).collect()
}

/// What stands before the first table, where TOML has the keys that belong to none: all that an entry says of itself.
fn before_tables(text: &str) -> &str {
    match text.find("\n[") {
        Some(end) => text.get(..=end).unwrap_or(text),
        None => text,
    }
}

/// The facts of a bundled entry, and those of the entries that it is like.
fn read_facts(table: Table, name: &str) -> Map<String, Value> {
    let files = table.files();
    let read = |name: &str| {
        let (_, text) = files.iter().find(|(known, _)| *known == name)?;
        Head::parse(table, text)
    };
    let mut facts = Map::new();
    let mut next = read(name);
    // A chain is as long as there are presets, at most: one that turns back on itself ends.
    for _ in files {
        let Some(head) = next else { break };
        facts = under(head.facts, facts);
        next = head.like.and_then(|like| read(&like));
    }
    facts
}

/// `over` with what only `base` states. Conditional facts of both hold, `base`'s first.
fn under(mut base: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Array(whens)), Value::Array(more)) if key == "when" => whens.extend(more),
            (Some(Value::Object(section)), Value::Object(facts)) if key != "extra-body" => {
                section.extend(facts);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    base
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn bundled() -> [(Table, &'static [(&'static str, &'static str)]); 2] {
        [Table::Gateways, Table::Models].map(|table| (table, table.files()))
    }

    #[test]
    fn every_file_of_the_folders_is_a_preset() {
        for (table, files) in bundled() {
            let folder = format!(
                "{}/../../../plugins/declared/presets/{}",
                env!("CARGO_MANIFEST_DIR"),
                table.word()
            );
            let there = std::fs::read_dir(Path::new(&folder)).unwrap();
            let there = there
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<BTreeSet<_>>();
            let listed = files
                .iter()
                .map(|(name, _)| format!("{name}.toml"))
                .collect::<BTreeSet<_>>();
            assert_eq!(there, listed, "{folder}");
        }
    }

    #[test]
    fn every_preset_is_whole_and_says_what_it_is_drawn_from() {
        for (table, files) in bundled() {
            for (name, text) in files {
                let entry = toml::from_str::<Map<String, Value>>(text)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                let head = Head::read(table, &entry).unwrap();
                let first = Head::parse(table, before_tables(text)).unwrap();
                assert_eq!(
                    (&first.about, &first.patterns, &first.like),
                    (&head.about, &head.patterns, &head.like),
                    "{name}: what it says of itself stands before its tables"
                );
                if let Err(error) = Layer::new(Origin::Default, &head.facts) {
                    panic!("{name}: {error}");
                }
                assert!(
                    head.about.is_some_and(|about| !about.is_empty()),
                    "{name}: no about"
                );
                assert!(text.starts_with("# "), "{name}: no comment");
                let drawn = ["https://", "github.com/", "Measured"];
                assert!(
                    drawn.iter().any(|word| text.contains(word)),
                    "{name}: drawn from nothing"
                );
                if let Some(like) = head.like {
                    assert!(
                        files.iter().any(|(known, _)| *known == like),
                        "{name}: like {like}"
                    );
                }
                if table == Table::Models {
                    assert!(!head.patterns.is_empty(), "{name}: matches nothing");
                    let gateways = ["endpoint", "streaming", "usage", "extra-body"];
                    let stray = gateways
                        .iter()
                        .find(|section| entry.contains_key(**section));
                    assert_eq!(stray, None, "{name} states what only a gateway can");
                }
            }
        }
    }

    #[test]
    fn no_pattern_is_for_two_presets() {
        for (_, presets) in [("gateways", &BUNDLED.gateways), ("models", &BUNDLED.models)] {
            let mut seen = BTreeMap::new();
            for preset in presets.values() {
                for pattern in &preset.patterns {
                    let other = seen.insert(pattern, &preset.name);
                    assert_eq!(other, None, "{pattern}: {}", preset.name);
                }
            }
        }
    }

    /// Every family in layers with every gateway makes facts, for each kind of request.
    #[test]
    fn every_family_goes_with_every_gateway() {
        for gateway in BUNDLED.gateways() {
            let layer = Layer::new(Origin::Gateway(gateway.name.clone()), gateway.facts()).unwrap();
            for family in BUNDLED.models() {
                for pattern in &family.patterns {
                    let model = pattern.replace('*', "x");
                    let layers = BUNDLED.layers(layer.clone(), Some(&gateway.name), &model);
                    let merged = layers.unwrap().merge(&model);
                    assert!(merged.is_ok(), "{} on {}", family.name, gateway.name);
                }
            }
        }
    }

    #[test]
    fn an_operator_teaches_a_gateway_and_a_model_in_a_few_lines() {
        let settings = toml::from_str::<Map<String, Value>>(
            r#"
            [gateways.acme]
            like = "vllm"
            recognizes = ["gateway.acme.example", "*.acme.example/llm"]
            endpoint.roots = ["/chat/v3"]
            endpoint.auth = { header = "x-acme-key" }
            limits.max-output = 4000
            [models.acme-coder]
            matches = ["acme-coder*"]
            limits.context = 32768
            [gateways.deepseek]
            recognizes = ["deepseek.corp"]
            sampling.stop-limit = 2
            [models.deepseek-v4]
            thinking.mode = "always"
            "#,
        )
        .unwrap();
        let presets = Presets::bundled()
            .with("plugins.declared.config in /c/config.toml", &settings)
            .unwrap();
        let (acme, pattern) = presets
            .gateway_for("https://x.acme.example/llm/v1")
            .unwrap();
        assert_eq!(
            (acme.name.as_str(), pattern),
            ("acme", "*.acme.example/llm")
        );
        let facts = |preset: &str, model: &str| {
            let gateway = presets.gateway(preset).unwrap();
            let layer = Layer::new(Origin::Gateway(preset.to_owned()), gateway.facts()).unwrap();
            let layers = presets.layers(layer, Some(preset), model).unwrap();
            layers.merge(model).unwrap()
        };
        let merged = facts("acme", "acme-coder-2");
        let usual = merged.usual();
        assert_eq!(usual.endpoint.roots, ["/chat/v3"]);
        assert_eq!(usual.limits.max_output, Some(4000));
        assert_eq!(usual.limits.context, Some(32_768));
        assert!(usual.sampling.top_k, "as vllm");
        let origin = |fact: &str| {
            let explained = merged.explain().iter().find(|e| e.fact == fact).unwrap();
            explained.origin.to_string()
        };
        let place = "of plugins.declared.config in /c/config.toml";
        assert_eq!(
            origin("limits.max-output"),
            format!("gateways.acme {place}")
        );
        assert_eq!(
            origin("limits.context"),
            format!("models.acme-coder {place}")
        );
        assert_eq!(origin("sampling.top-k"), "gateway acme");
        let deepseek = facts("deepseek", "deepseek-v4-flash");
        assert_eq!(deepseek.usual().sampling.stop_limit, 2);
        assert!(deepseek.usual().thinking.history_required);
        assert_eq!(
            format!("{:?}", deepseek.usual().thinking.mode),
            "Always",
            "the operator's word over the family's"
        );
        assert_eq!(
            presets
                .gateway_for("http://deepseek.corp/v1")
                .unwrap()
                .0
                .name,
            "deepseek"
        );
    }

    #[test]
    fn entries_that_cannot_be_are_refused_by_name() {
        for (settings, words) in [
            (
                json!({"gateway": {}}),
                "gateway: no such setting; there are gateways, models",
            ),
            (
                json!({"gateways": []}),
                "gateways: must be a table of tables",
            ),
            (json!({"gateways": {"a": 1}}), "gateways.a: must be a table"),
            (
                json!({"gateways": {"a": {"limits": {"max-ouput": 1}}}}),
                "gateways.a.limits.max-ouput: no such fact; did you mean limits.max-output?",
            ),
            (
                json!({"gateways": {"a": {"recognizes": "x"}}}),
                "gateways.a.recognizes: must be a list of strings",
            ),
            (
                json!({"gateways": {"a": {"like": "vlm"}}}),
                "gateways.a.like: there is no vlm; there are azure, ",
            ),
            (
                json!({"gateways": {"a": {"about": 1}}}),
                "gateways.a.about: must be a string",
            ),
            (
                json!({"models": {"a": {"recognizes": []}}}),
                "models.a.recognizes: no such fact",
            ),
        ] {
            let said = Presets::bundled().with("p", settings.as_object().unwrap());
            let said = said.unwrap_err().to_string();
            assert!(said.starts_with(words), "{settings}: {said}");
        }
    }
}
