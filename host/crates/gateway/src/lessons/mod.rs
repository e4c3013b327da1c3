//! Lessons from a gateway's refusals: a 400 that names a field, a value or a limit is read once, the request is changed
//! accordingly and sent again before anything reached the caller, and what helped is kept for this gateway and model.
//!
//! `grammar` reads a refusal, `book` holds what was learned while an adapter runs, `store` keeps it between runs.

mod book;
mod grammar;
mod store;

pub(crate) use book::LessonBook;
pub(crate) use grammar::{Refusal, read};
pub use store::{KeptLesson, LessonError, folder, forget, list};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::facts::{FactsError, Layer, Origin};

/// Facts that a refusal taught. Nothing of the request's text is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// A sentence for people, made here.
    pub words: String,
    /// The facts as a preset states them.
    pub facts: Map<String, Value>,
}

impl Lesson {
    /// The names of the facts, with their sections and with the requests for which they hold.
    fn fact_names(&self) -> Vec<String> {
        let mut names = names_of(&self.facts);
        for when in self
            .facts
            .get("when")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let Some(members) = when.as_object() else {
                continue;
            };
            let (facts, conditions): (Map<_, _>, Map<_, _>) = members
                .clone()
                .into_iter()
                .partition(|(_, value)| value.is_object());
            let conditions = Value::Object(conditions);
            names.extend(
                names_of(&facts)
                    .into_iter()
                    .map(|name| format!("{name} {conditions}")),
            );
        }
        names
    }

    /// Returns true if the refusal named no limit: the lesson's is a modest guess.
    pub fn is_guess(&self) -> bool {
        self.words.starts_with(grammar::GUESS)
    }

    /// Reads the facts.
    ///
    /// # Errors
    /// When they are none: a file that others wrote.
    pub fn layer(&self) -> Result<Layer, FactsError> {
        Layer::new(Origin::Lesson(self.words.clone()), &self.facts)
    }
}

fn names_of(facts: &Map<String, Value>) -> Vec<String> {
    let sections = facts.iter().filter(|(section, _)| *section != "when");
    sections
        .flat_map(|(section, value)| match value.as_object() {
            Some(facts) => facts
                .keys()
                .map(|fact| format!("{section}.{fact}"))
                .collect(),
            None => vec![section.clone()],
        })
        .collect()
}
