//! Reads the arguments of a tool call strictly: an unknown, missing or mistyped one is refused by name.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The arguments of one call (or of one object within it), with the path to name them by.
pub(super) struct Arguments {
    path: String,
    values: Map<String, Value>,
}

impl Arguments {
    /// The arguments of a call. Every key must be among `known`.
    pub(super) fn new(values: Map<String, Value>, known: &[&str]) -> Result<Self, Refusal> {
        Self::at(String::new(), values, known)
    }

    /// The same of something else than a call: `path` names the place that it stands in.
    pub(super) fn at(
        path: String,
        mut values: Map<String, Value>,
        known: &[&str],
    ) -> Result<Self, Refusal> {
        if let Some(unknown) = values.keys().find(|key| !known.contains(&key.as_str())) {
            let shown: String = unknown.chars().take(64).collect();
            return Err(Refusal::new(
                format!("{path}{shown}"),
                format!("unknown argument; there are: {}", known.join(", ")),
            ));
        }
        // A model that writes null means that it leaves the argument out.
        values.retain(|_, value| !value.is_null());
        Ok(Self { path, values })
    }

    /// The full name of an argument.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// A refusal of one of these arguments.
    pub(super) fn refuse(&self, key: &str, rule: impl std::fmt::Display) -> Refusal {
        Refusal::new(self.name(key), rule)
    }

    /// Returns true if the argument was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The argument as it came.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(key, "must be a string")),
        }
    }

    /// A short, non-empty string without control characters.
    pub(super) fn word(&mut self, key: &str, most: usize) -> Result<Option<String>, Refusal> {
        let Some(text) = self.string(key)? else {
            return Ok(None);
        };
        if text.trim().is_empty() || text.len() > most || text.chars().any(char::is_control) {
            return Err(self.refuse(key, format!("must be 1 to {most} bytes of plain text")));
        }
        Ok(Some(text))
    }

    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.refuse(key, "must be true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(
        &mut self,
        key: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        // Some models write 60000.0.
        let number = value.as_u64().or_else(|| {
            value
                .as_f64()
                .filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float))
                .map(|float| float as u64)
        });
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(self.refuse(
                key,
                format!("must be a whole number from {least} to {most}"),
            )),
        }
    }

    /// A positive amount.
    pub(super) fn amount(&mut self, key: &str) -> Result<Option<f64>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(amount) if amount > 0.0 && amount.is_finite() => Ok(Some(amount)),
                _ => Err(self.refuse(key, "must be a number above 0")),
            },
        }
    }

    /// A list of non-empty strings.
    pub(super) fn strings(
        &mut self,
        key: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let rule = format!("must be a list of at most {most} non-empty strings");
        let Value::Array(items) = value else {
            return Err(self.refuse(key, rule));
        };
        if items.len() > most {
            return Err(self.refuse(key, rule));
        }
        let strings = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::String(text) if !text.is_empty() && !text.contains('\0') => Ok(text),
                _ => Err(self.refuse(&format!("{key}[{index}]"), "must be a non-empty string")),
            });
        strings.collect::<Result<_, _>>().map(Some)
    }

    /// A list of absolute paths, at least one.
    pub(super) fn directories(&mut self, key: &str, most: usize) -> Result<Vec<PathBuf>, Refusal> {
        let paths = self.strings(key, most)?.unwrap_or_default();
        if paths.is_empty() {
            return Err(self.refuse(key, "must name at least one directory"));
        }
        let absolute = paths.into_iter().enumerate().map(|(index, path)| {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(self.refuse(&format!("{key}[{index}]"), "must be an absolute path"))
            }
        });
        absolute.collect()
    }

    /// A nested object.
    pub(super) fn object(&mut self, key: &str, known: &[&str]) -> Result<Option<Self>, Refusal> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(values)) => {
                Self::at(format!("{}{key}.", self.path), values, known).map(Some)
            }
            Some(_) => Err(self.refuse(key, "must be an object")),
        }
    }

    /// A list of nested objects.
    pub(super) fn objects(
        &mut self,
        key: &str,
        known: &[&str],
        most: usize,
    ) -> Result<Vec<Self>, Refusal> {
        let Some(value) = self.take(key) else {
            return Ok(Vec::new());
        };
        let rule = format!("must be a list of at most {most} objects");
        let Value::Array(items) = value else {
            return Err(self.refuse(key, rule));
        };
        if items.len() > most {
            return Err(self.refuse(key, rule));
        }
        let objects = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Object(values) => {
                    Self::at(format!("{}{key}[{index}].", self.path), values, known)
                }
                _ => Err(self.refuse(&format!("{key}[{index}]"), "must be an object")),
            });
        objects.collect()
    }
}
