//! A plugin's settings: what each place says, laid over each other key by key, and who said what.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::schema::{self, Extent, Violation};

/// The place of settings, for messages that lead there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// None: they came with the job.
    file: Option<PathBuf>,
    /// The table's name in the file, as in `plugins.todo.config`.
    table: String,
}

impl Place {
    /// A table of a file.
    pub(super) fn table(file: &Path, table: impl Into<String>) -> Self {
        Place {
            file: Some(file.to_owned()),
            table: table.into(),
        }
    }

    /// The settings that a job gives its check.
    pub(super) fn job() -> Self {
        Place {
            file: None,
            table: "settings".to_owned(),
        }
    }

    fn of_key(&self, key: &str) -> Self {
        Place {
            file: self.file.clone(),
            table: format!("{}.{key}", self.table),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{} in {}", self.table, file.display()),
            None => write!(f, "{} of the check that the job gives", self.table),
        }
    }
}

/// The settings of one plugin.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The later ones stand over the earlier ones.
    layers: Vec<(Place, Map<String, Value>)>,
    /// The first so many of them are defaults.
    defaults: usize,
}

impl Config {
    /// Lays what a place says over what others said.
    pub(super) fn lay(&mut self, place: Place, values: Map<String, Value>) {
        self.layers.push((place, values));
    }

    /// Lays the defaults of a place over other defaults, and under everything else.
    pub(super) fn lay_defaults(&mut self, place: Place, values: Map<String, Value>) {
        self.layers.insert(self.defaults, (place, values));
        self.defaults += 1;
    }

    /// Lays the values of `other` over those that are here.
    pub(super) fn lay_all(&mut self, other: Config) {
        self.layers.extend(other.layers);
    }

    /// The values for the plugin.
    pub fn values(&self) -> Map<String, Value> {
        let layers = self.layers.iter();
        layers
            .flat_map(|(_, values)| values)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The values of each place, the later ones over the earlier ones.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&Place, &Map<String, Value>)> {
        self.layers.iter().map(|(place, values)| (place, values))
    }

    /// Each key with its value and the place that decides it.
    pub fn keys(&self) -> Vec<(String, Value, Place)> {
        let values = self.values().into_iter();
        values
            .filter_map(|(key, value)| {
                let place = self.place_of(&key)?.clone();
                Some((key, value, place))
            })
            .collect()
    }

    /// The place that decides a key.
    fn place_of(&self, key: &str) -> Option<&Place> {
        let layers = self.layers.iter().rev();
        layers
            .into_iter()
            .find(|(_, values)| values.contains_key(key))
            .map(|(place, _)| place)
    }

    /// Checks the settings against the plugin's schema.
    ///
    /// # Errors
    /// The first violation, and what to do about it: the key with the place where it stands, or could stand.
    pub(super) fn check(&self, schema: &Value, extent: Extent) -> Result<(), (Violation, String)> {
        let values = Value::Object(self.values());
        schema::check(schema, &values, extent).map_err(|violation| {
            let top = violation
                .key
                .split(['.', '['])
                .next()
                .unwrap_or_default()
                .to_owned();
            let remedy = match (self.place_of(&top), self.layers.last()) {
                (Some(place), _) => format!("correct {}", place.of_key(&violation.key)),
                (None, Some((place, _))) => format!("write {}", place.of_key(&violation.key)),
                (None, None) => String::new(),
            };
            (violation, remedy)
        })
    }

    /// Every place that says something, for a plugin that does not say which key it means.
    pub(super) fn places(&self) -> String {
        let places = self.layers.iter().filter(|(_, values)| !values.is_empty());
        let places = places
            .map(|(place, _)| place.to_string())
            .collect::<Vec<_>>();
        places.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        let mut config = Config::default();
        let object = |value: Value| value.as_object().unwrap().clone();
        config.lay(
            Place::table(Path::new("/p/plugin.toml"), "config"),
            object(json!({"words": ["FIXME"], "most": 3})),
        );
        config.lay(
            Place::table(Path::new("/c/config.toml"), "plugins.todo.config"),
            object(json!({"words": ["TODO"]})),
        );
        config
    }

    #[test]
    fn a_later_place_decides_the_keys_that_it_names() {
        assert_eq!(
            Value::Object(config().values()),
            json!({"words": ["TODO"], "most": 3})
        );
        let said = config().keys();
        let said: Vec<_> = said
            .iter()
            .map(|(key, _, place)| format!("{key}: {place}"))
            .collect();
        assert_eq!(
            said,
            [
                "words: plugins.todo.config in /c/config.toml",
                "most: config in /p/plugin.toml"
            ]
        );
    }

    #[test]
    fn defaults_are_under_every_setting_and_the_later_ones_over_the_earlier_ones() {
        let place = |table: &str| Place::table(Path::new("/c/config.toml"), table);
        let words = |word: &str| json!({"words": [word]}).as_object().unwrap().clone();
        let mut config = Config::default();
        config.lay_defaults(place("plugins.todo.defaults"), words("first"));
        config.lay_defaults(
            place("repositories.a.plugins.todo.defaults"),
            words("second"),
        );
        assert_eq!(config.values()["words"], json!(["second"]));
        config.lay(place("plugins.todo.config"), words("mine"));
        config.lay_defaults(
            place("repositories.b.plugins.todo.defaults"),
            words("third"),
        );
        assert_eq!(config.values()["words"], json!(["mine"]));
    }

    #[test]
    fn a_violation_leads_to_the_file_and_the_key() {
        let low = json!({"required": ["mode"], "properties": {"most": {"maximum": 2}}});
        let numbers = json!({"properties": {"words": {"items": {"type": "number"}}}});
        let wrong = |config: &Config, schema, extent| {
            let (violation, remedy) = config.check(schema, extent).unwrap_err();
            format!("{violation}; {remedy}")
        };
        assert_eq!(
            wrong(&config(), &low, Extent::Whole),
            "mode is missing; write plugins.todo.config.mode in /c/config.toml"
        );
        assert_eq!(
            wrong(&config(), &low, Extent::SoFar),
            "most must be at most 2; correct config.most in /p/plugin.toml"
        );
        let mut with_job = config();
        with_job.lay(
            Place::job(),
            json!({"most": 1, "mode": "x"}).as_object().unwrap().clone(),
        );
        assert_eq!(
            wrong(&with_job, &numbers, Extent::Whole),
            "words[0] must be number, not string; correct plugins.todo.config.words[0] in /c/config.toml"
        );
    }
}
