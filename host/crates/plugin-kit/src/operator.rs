//! The operator's part of the configuration, edited with comments kept.

use std::path::{Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::team::Pinned;
use plugins::Kind;
use settings::EditedFile;
use signing::PublicKey;

/// A config file that is being changed.
pub struct Operator {
    file: PathBuf,
    /// The comments of a file that has nothing else: they stay in front.
    lead: String,
    document: DocumentMut,
    edited: EditedFile,
}

/// The reason why the configuration cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// It cannot be read or written.
    #[error("{file}: {error}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// It is no TOML, or has something else where plugins stand.
    #[error("{file}: {what}")]
    Content {
        /// The file.
        file: String,
        /// The fault.
        what: String,
    },
}

/// A new entry.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    /// The name.
    pub name: &'a str,
    /// The kind of the plugin.
    pub kind: Kind,
    /// The component, relative to the config folder or absolute.
    pub path: &'a str,
    /// The digest.
    pub sha256: &'a str,
    /// The grants.
    pub grants: &'a [String],
    /// The settings of its manifest; the operator's own, in the entry's `config`, stay as they are and stand over them.
    pub defaults: &'a serde_json::Map<String, serde_json::Value>,
    /// In use for every job, and not only where a job or a repository asks for it.
    pub every_job: bool,
    /// The source.
    pub source: Option<&'a str>,
    /// The public key of its publisher, which later versions are held to.
    pub signer: Option<PublicKey>,
}

/// The entry of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The source.
    pub source: Option<String>,
    /// The public key of its publisher, as the entry has it.
    pub signer: Option<String>,
    /// The digest.
    pub sha256: String,
    /// The grants.
    pub grants: Vec<String>,
}

/// The entry for a gateway in the settings of `declared`.
#[derive(Debug, Clone)]
pub struct Declared<'a> {
    /// The gateway's name there.
    pub name: &'a str,
    /// The facts of all of its models: how it is recognized, what it is like. What the entry says
    /// already stays.
    pub head: &'a serde_json::Map<String, serde_json::Value>,
    /// A pattern for the model.
    pub model: &'a str,
    /// The facts of this model; they take the place of those that an earlier call wrote.
    pub facts: &'a serde_json::Map<String, serde_json::Value>,
}

impl Operator {
    /// Opens a config file; it need not exist yet.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn open(file: &Path) -> Result<Self, OperatorError> {
        let edited = EditedFile::open(file).map_err(|error| OperatorError::File {
            file: file.display().to_string(),
            error,
        })?;
        let text = edited.text().to_owned();
        let document = text
            .parse::<DocumentMut>()
            .map_err(|error| OperatorError::Content {
                file: file.display().to_string(),
                what: error.to_string().trim_end().to_owned(),
            })?;
        if document.as_table().is_empty() {
            return Ok(Operator {
                file: file.to_owned(),
                lead: if text.is_empty() || text.ends_with('\n') {
                    text
                } else {
                    format!("{text}\n")
                },
                document: DocumentMut::new(),
                edited,
            });
        }
        Ok(Operator {
            file: file.to_owned(),
            lead: String::new(),
            document,
            edited,
        })
    }

    /// Writes or replaces an entry. Limits and settings that the old one has are kept; grants are only what is given.
    ///
    /// # Errors
    /// When something else stands in its place.
    pub fn add(&mut self, new: &NewEntry<'_>) -> Result<(), OperatorError> {
        let plugins = self.plugins()?;
        let entry = plugins
            .entry(new.name)
            .or_insert_with(|| Item::Table(Table::new()));
        let Some(entry) = entry.as_table_like_mut() else {
            return Err(self.wrong(&format!("[plugins] {} is no table", new.name)));
        };
        entry.insert("kind", value(new.kind.word()));
        entry.insert("path", value(new.path));
        entry.insert("sha256", value(new.sha256));
        match new.source {
            Some(source) => entry.insert("source", value(source)),
            None => entry.remove("source"),
        };
        match new.signer {
            Some(signer) => entry.insert("signer", value(signer.to_string())),
            None => entry.remove("signer"),
        };
        entry.remove("enabled");
        match new.grants {
            [] => entry.remove("grants"),
            grants => entry.insert(
                "grants",
                value(grants.iter().map(String::as_str).collect::<Array>()),
            ),
        };
        match table_of(new.defaults) {
            Some(defaults) => entry.insert("defaults", defaults),
            None => entry.remove("defaults"),
        };
        match new.kind {
            Kind::Check => self.list("checks", new.name, new.every_job),
            Kind::Redactor if new.every_job => self.list("redact", new.name, true),
            Kind::Summarizer if new.every_job => self.list("summarize", new.name, true),
            Kind::Redactor | Kind::Summarizer => Ok(()),
            Kind::Dialect => Ok(()),
        }
    }

    /// Returns the source, publisher, digest and grants of an entry's plugin.
    pub fn installed(&self, name: &str) -> Option<Installed> {
        let entry = self.document.get("plugins")?.get(name)?;
        let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
        let grants = entry.get("grants").and_then(Item::as_array);
        let grants = grants.into_iter().flatten();
        Some(Installed {
            source: text("source"),
            signer: text("signer"),
            sha256: text("sha256")?,
            grants: grants
                .filter_map(|grant| Some(grant.as_str()?.to_owned()))
                .collect(),
        })
    }

    /// Returns true if every job has the plugin, whatever its repository.
    pub fn is_standing(&self, name: &str) -> bool {
        self.document
            .get("plugins")
            .is_some_and(|lists| in_a_list(lists, name))
    }

    /// Returns the entries of other repositories that have the plugin in a list of theirs.
    pub fn elsewhere(&self, name: &str, top: &str) -> Vec<String> {
        let repositories = self.document.get("repositories");
        let repositories = repositories.and_then(Item::as_table_like);
        let entries = repositories.into_iter().flat_map(|table| table.iter());
        let has = |entry: &Item| {
            let lists = entry.get("plugins");
            lists.is_some_and(|lists| in_a_list(lists, name))
        };
        let others = entries.filter(|(key, entry)| *key != top && has(entry));
        others.map(|(key, _)| key.to_owned()).collect()
    }

    /// Puts plugins into the lists of one repository, with the settings that it wants for them, and notes which lock was
    /// accepted there.
    ///
    /// # Errors
    /// When something else stands in its place.
    pub fn accept(
        &mut self,
        top: &str,
        lock: &str,
        plugins: &[Pinned],
    ) -> Result<(), OperatorError> {
        let file = self.file.display().to_string();
        let wrong = || OperatorError::Content {
            file: file.clone(),
            what: format!("repositories.{top:?} must be a table"),
        };
        let implicit = || {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        };
        let repositories = self
            .document
            .entry("repositories")
            .or_insert_with(implicit)
            .as_table_mut()
            .ok_or_else(wrong)?;
        let entry = repositories
            .entry(top)
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(wrong)?;
        entry.insert("lock", value(lock));
        let lists = entry
            .entry("plugins")
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
            .ok_or_else(wrong)?;
        for (kind, key) in [
            (Kind::Check, "checks"),
            (Kind::Redactor, "redact"),
            (Kind::Summarizer, "summarize"),
        ] {
            for plugin in plugins.iter().filter(|plugin| plugin.kind == kind.word()) {
                let name = plugin.id.as_str();
                let list = lists.entry(key).or_insert_with(|| value(Array::new()));
                let list = list.as_array_mut().ok_or_else(wrong)?;
                if !list.iter().any(|item| item.as_str() == Some(name)) {
                    list.push(name);
                }
            }
        }
        for plugin in plugins {
            let wanted = table_of(&plugin.config);
            if wanted.is_none() && lists.get(&plugin.id).is_none() {
                continue;
            }
            let own = lists.entry(&plugin.id).or_insert_with(implicit);
            let own = own.as_table_like_mut().ok_or_else(wrong)?;
            match wanted {
                Some(wanted) => own.insert("defaults", wanted),
                None => own.remove("defaults"),
            };
        }
        Ok(())
    }

    /// Takes an entry out, and gives the path of its component if there was one.
    ///
    /// # Errors
    /// When the file has something else where plugins stand.
    pub fn remove(&mut self, name: &str) -> Result<Option<Option<String>>, OperatorError> {
        let removed = self.plugins()?.remove(name);
        self.list("checks", name, false)?;
        self.list("redact", name, false)?;
        self.list("summarize", name, false)?;
        Ok(removed.map(|entry| entry.get("path").and_then(Item::as_str).map(str::to_owned)))
    }

    /// Switches a plugin on or off and keeps its settings.
    ///
    /// # Errors
    /// When something else stands in its place.
    pub fn enable(&mut self, name: &str, enabled: bool) -> Result<(), OperatorError> {
        let plugins = self.plugins()?;
        let entry = plugins
            .entry(name)
            .or_insert_with(|| Item::Table(Table::new()));
        let Some(entry) = entry.as_table_like_mut() else {
            return Err(self.wrong(&format!("[plugins] {name} is no table")));
        };
        entry.insert("enabled", value(enabled));
        Ok(())
    }

    /// Says something of a gateway in the settings of `declared`.
    ///
    /// # Errors
    /// When something else stands in its place.
    pub fn declare(&mut self, new: &Declared<'_>) -> Result<(), OperatorError> {
        let mut facts = new.facts.clone();
        let further = facts.shift_remove("when");
        let conditions = match further {
            Some(serde_json::Value::Array(conditions)) => conditions,
            _ => Vec::new(),
        };
        let places = ["declared", "config", "gateways", new.name];
        let mut entry = self.plugins()?;
        for (at, place) in places.into_iter().enumerate() {
            let inner = entry.entry(place).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(at + 1 < places.len());
                Item::Table(table)
            });
            let Some(inner) = inner.as_table_mut() else {
                let place = places.get(..=at).unwrap_or_default().join(".");
                let what = format!("plugins.{place} must be written as [plugins.{place}]");
                return Err(self.wrong(&what));
            };
            entry = inner;
        }
        for (key, fact) in new.head {
            entry
                .entry(key)
                .or_insert_with(|| Item::Value(toml_of(fact)));
        }
        let whens = entry
            .entry("when")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(whens) = whens.as_array_of_tables_mut() else {
            let what = format!(
                "plugins.{}.when must be written as [[...]]",
                places.join(".")
            );
            return Err(self.wrong(&what));
        };
        let models = [new.model].into_iter().collect::<Array>();
        let is_ours = |when: &Table| {
            let own = when.get("models").and_then(Item::as_array);
            own.is_some_and(|own| {
                own.len() == 1 && own.iter().all(|one| one.as_str() == Some(new.model))
            })
        };
        whens.retain(|when| !is_ours(when));
        let always = serde_json::Value::Object(facts);
        for facts in [always].into_iter().chain(conditions) {
            let mut when = Table::new();
            when.insert("models", value(models.clone()));
            for (key, fact) in facts.as_object().into_iter().flatten() {
                when.insert(key, Item::Value(toml_of(fact)));
            }
            if when.len() > 1 {
                whens.push(when);
            }
        }
        Ok(())
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the file system is in the way.
    pub fn save(&self) -> Result<(), OperatorError> {
        let text = format!("{}{}", self.lead, self.document);
        self.edited
            .write(&text)
            .map_err(|error| OperatorError::File {
                file: self.file.display().to_string(),
                error,
            })
    }

    fn plugins(&mut self) -> Result<&mut Table, OperatorError> {
        let file = self.file.display().to_string();
        let plugins = self.document.entry("plugins").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        plugins.as_table_mut().ok_or(OperatorError::Content {
            file,
            what: "plugins must be written as [plugins]".to_owned(),
        })
    }

    /// Puts a name into a list or takes it out.
    fn list(&mut self, key: &str, name: &str, there: bool) -> Result<(), OperatorError> {
        let plugins = self.plugins()?;
        if !there && plugins.get(key).is_none() {
            return Ok(());
        }
        let list = plugins.entry(key).or_insert_with(|| value(Array::new()));
        let Some(list) = list.as_array_mut() else {
            return Err(self.wrong(&format!("[plugins] {key} must be a list of names")));
        };
        list.retain(|item| there || item.as_str() != Some(name));
        if there && !list.iter().any(|item| item.as_str() == Some(name)) {
            list.push(name);
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> OperatorError {
        OperatorError::Content {
            file: self.file.display().to_string(),
            what: what.to_owned(),
        }
    }
}

/// Returns true if one of the lists of a `plugins` table has the name.
fn in_a_list(plugins: &Item, name: &str) -> bool {
    let lists = ["checks", "redact", "summarize"].into_iter();
    let mut names = lists
        .filter_map(|key| plugins.get(key)?.as_array())
        .flatten();
    names.any(|item| item.as_str() == Some(name))
}

/// Settings as a table; none where there are none.
fn table_of(settings: &serde_json::Map<String, serde_json::Value>) -> Option<Item> {
    let text = toml::to_string(settings).ok()?;
    let table = text.parse::<DocumentMut>().ok()?.as_table().clone();
    (!table.is_empty()).then_some(Item::Table(table))
}

/// JSON as TOML in one line. TOML has no null: what is null is left out.
fn toml_of(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(""),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => {
            let items = items.iter().filter(|item| !item.is_null());
            Value::Array(items.map(toml_of).collect())
        }
        Json::Object(members) => {
            let members = members.iter().filter(|(_, member)| !member.is_null());
            let members = members.map(|(key, member)| (key.as_str(), toml_of(member)));
            Value::InlineTable(members.collect::<InlineTable>())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn comments_and_other_settings_outlive_adding_and_removing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let before =
            "# mine\nWORKER_LOG = \"info\"\n\n[plugins]\nchecks = [\"license\"] # first this\n";
        std::fs::write(&file, before).unwrap();
        let config = serde_json::json!({"words": ["TODO"]});
        let mut operator = Operator::open(&file).unwrap();
        let entry = NewEntry {
            name: "todo",
            kind: Kind::Check,
            path: "plugins/todo.wasm",
            sha256: "00",
            grants: &["clock".to_owned()],
            defaults: config.as_object().unwrap(),
            every_job: true,
            source: None,
            signer: None,
        };
        operator.add(&entry).unwrap();
        operator.add(&entry).unwrap();
        operator.save().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("# mine") && text.contains("# first this"),
            "{text}"
        );
        assert!(text.contains("checks = [\"license\", \"todo\"]"), "{text}");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(
            table["plugins"]["todo"]["defaults"]["words"][0].as_str(),
            Some("TODO")
        );

        let mut operator = Operator::open(&file).unwrap();
        assert_eq!(
            operator.remove("todo").unwrap(),
            Some(Some("plugins/todo.wasm".to_owned()))
        );
        assert_eq!(operator.remove("todo").unwrap(), None);
        operator.save().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let save = || {
            let mut operator = Operator::open(&file).unwrap();
            operator.enable("scope", true).unwrap();
            operator.save().unwrap();
        };
        save();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        save();
        assert_eq!(mode(), 0o640);
    }
}
