//! The lessons about one gateway while an adapter runs, and the facts that they make.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::Lesson;
use super::store::{Entry, Page};
use crate::dialect::ActiveDialect;
use crate::error::ApiError;
use crate::facts::{Layers, ModelFacts};

/// Models about which lessons are held.
const MODELS: usize = 64;

/// The lessons about a gateway, by model.
#[derive(Debug)]
pub(crate) struct LessonBook {
    /// The folder of the lessons; none: they end with the adapter.
    folder: Option<PathBuf>,
    /// The gateway's base URL, without query.
    gateway: String,
    models: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    page: Page,
    facts: Arc<ModelFacts>,
}

impl LessonBook {
    pub(crate) fn new(gateway: &reqwest::Url, folder: Option<PathBuf>) -> Self {
        let mut base = gateway.clone();
        base.set_query(None);
        base.set_fragment(None);
        Self {
            folder,
            gateway: base.as_str().trim_end_matches('/').to_owned(),
            models: Mutex::default(),
        }
    }

    /// Returns the facts of a model, lessons included; merged once.
    pub(crate) fn facts(
        &self,
        dialect: &ActiveDialect,
        model: &str,
    ) -> Result<Arc<ModelFacts>, ApiError> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = models.get(model) {
            return Ok(Arc::clone(&known.facts));
        }
        let layers = dialect.layers(model)?;
        let mut page = Page::new(&self.gateway, model, &version(&layers));
        if let Some(folder) = &self.folder {
            page.load(folder);
        }
        let lessons: Vec<Lesson> = page
            .lessons
            .iter()
            .map(|entry| entry.lesson.clone())
            .collect();
        let facts = match merged(&layers, &lessons, model) {
            Ok(facts) => facts,
            Err(why) => {
                tracing::warn!("what was learned about {model} is ignored: {why}");
                page.lessons.clear();
                dialect.facts(model)?
            }
        };
        if models.len() >= MODELS {
            models.clear();
        }
        let known = Known {
            page,
            facts: Arc::clone(&facts),
        };
        models.insert(model.to_owned(), known);
        Ok(facts)
    }

    /// Returns the facts with further lessons.
    pub(crate) fn facts_with(
        &self,
        dialect: &ActiveDialect,
        model: &str,
        further: &[Lesson],
    ) -> Option<Arc<ModelFacts>> {
        let layers = dialect.layers(model).ok()?;
        let mut lessons = self.known(model);
        lessons.extend_from_slice(further);
        merged(&layers, &lessons, model).ok()
    }

    /// Returns true if a lesson was tried before and did not help.
    pub(crate) fn is_useless(&self, model: &str, lesson: &Lesson) -> bool {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(model).is_some_and(|known| {
            known
                .page
                .useless
                .iter()
                .any(|entry| entry.lesson.facts == lesson.facts)
        })
    }

    /// Keeps lessons that helped.
    pub(crate) fn keep(&self, model: &str, lessons: Vec<Lesson>, facts: Arc<ModelFacts>) {
        self.change(model, |known| {
            for lesson in lessons {
                // A newer word on the same facts replaces the older one: gateways change their mind.
                let names = lesson.fact_names();
                known
                    .page
                    .lessons
                    .retain(|entry| entry.lesson.fact_names() != names);
                known
                    .page
                    .useless
                    .retain(|entry| entry.lesson.facts != lesson.facts);
                known.page.lessons.push(Entry::new(lesson));
            }
            known.facts = facts;
        });
    }

    /// Forgets what is known of a model: it made things worse.
    pub(crate) fn forget(&self, dialect: &ActiveDialect, model: &str) {
        let Ok(facts) = dialect.facts(model) else {
            return;
        };
        self.change(model, |known| {
            let lessons = std::mem::take(&mut known.page.lessons);
            known.page.useless.extend(lessons);
            known.facts = facts;
        });
    }

    /// Remembers that a lesson did not help.
    pub(crate) fn drop_useless(&self, model: &str, lesson: Lesson) {
        self.change(model, |known| {
            known
                .page
                .lessons
                .retain(|entry| entry.lesson.facts != lesson.facts);
            known.page.useless.push(Entry::new(lesson));
        });
    }

    pub(crate) fn known(&self, model: &str) -> Vec<Lesson> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models
            .get(model)
            .map(|known| {
                known
                    .page
                    .lessons
                    .iter()
                    .map(|entry| entry.lesson.clone())
                    .collect()
            })
            .unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(&mut Known)) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = models.get_mut(model) else {
            return;
        };
        change(known);
        if let Some(folder) = &self.folder
            && let Err(error) = known.page.save(folder)
        {
            tracing::warn!(
                "what was learned cannot be kept in {}: {error}",
                folder.display()
            );
        }
    }
}

fn merged(
    layers: &Layers,
    lessons: &[Lesson],
    model: &str,
) -> Result<Arc<ModelFacts>, crate::facts::FactsError> {
    let mut layers = layers.clone();
    for lesson in lessons {
        layers.lessons.push(lesson.layer()?);
    }
    layers.merge(model).map(Arc::new)
}

/// A digest of everything that is stated without lessons, and of this version.
fn version(layers: &Layers) -> String {
    let stated = format!("{} {layers:?}", env!("CARGO_PKG_VERSION"));
    let digest = hex::encode(Sha256::digest(stated.as_bytes()));
    digest.get(..16).unwrap_or_default().to_owned()
}
