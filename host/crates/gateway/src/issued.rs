//! The answers and tool calls that the adapter has handed to its caller, by their ids.
//!
//! What an agent prints about itself can be written by any program that it runs, into the same pipe. What the model said went
//! through here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use memchr::memmem::Finder;
use serde::Deserialize;

/// The ids that are remembered; the oldest is forgotten first. An answer has one, and one a tool call.
const REMEMBERED: usize = 16 << 10;

/// The end of both events that carry an id, `message_start` and `content_block_start`; hardly any other has it.
static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_start\""));

/// The ids of one adapter's answers and their tool calls.
#[derive(Debug, Clone, Default)]
pub struct Issued(Arc<Mutex<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Ids {
    fn add(&mut self, id: String) {
        if id.is_empty() || !self.known.insert(id.clone()) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// A message or an event, as far as it carries ids.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Carrier {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    message: Option<Box<Carrier>>,
    content_block: Option<Box<Carrier>>,
    content: Vec<Carrier>,
}

impl Carrier {
    fn ids(self, found: &mut Vec<String>) {
        if matches!(self.kind.as_str(), "message" | "tool_use") {
            found.push(self.id);
        }
        let parts = [self.message, self.content_block];
        for part in parts.into_iter().flatten().map(|part| *part) {
            part.ids(found);
        }
        for part in self.content {
            part.ids(found);
        }
    }
}

impl Issued {
    /// True if an answer or a tool call of this id went through.
    pub fn knows(&self, id: &str) -> bool {
        self.ids().known.contains(id)
    }

    /// True as long as nothing went through.
    pub fn is_empty(&self) -> bool {
        self.ids().known.is_empty()
    }

    /// Takes in whole events on their way to the caller.
    pub(crate) fn note_events(&self, events: &[u8]) {
        if START.find(events).is_none() {
            return;
        }
        let mut found = Vec::new();
        for line in events.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else {
                continue;
            };
            if START.find(data).is_some()
                && let Ok(carrier) = serde_json::from_slice::<Carrier>(data)
            {
                carrier.ids(&mut found);
            }
        }
        self.add(found);
    }

    /// Takes in a whole message on its way to the caller.
    pub(crate) fn note_message(&self, message: &[u8]) {
        let mut found = Vec::new();
        if let Ok(carrier) = serde_json::from_slice::<Carrier>(message) {
            carrier.ids(&mut found);
        }
        self.add(found);
    }

    fn add(&self, found: Vec<String>) {
        let mut ids = self.ids();
        for id in found {
            ids.add(id);
        }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_answers_and_calls_are_known_however_they_come() {
        let issued = Issued::default();
        assert!(issued.is_empty());
        issued.note_events(
            b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[]}}\n\n\
              event: content_block_start\ndata:{\"index\":1,\"content_block\":{\"name\":\"Bash\",\"id\":\"toolu_1\",\"type\":\"tool_use\"},\"type\":\"content_block_start\"}\n\n",
        );
        // Words in a text are none.
        issued.note_events(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\\"content_block_start\\\" toolu_2 tool_use\"}}\n\n",
        );
        issued.note_message(
            br#"{"id":"msg_2","type":"message","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"toolu_3","name":"Read","input":{"id":"toolu_4"}}]}"#,
        );
        issued.note_message(b"no JSON");
        let known = |id: &&str| issued.knows(id);
        let ids = [
            "msg_1", "msg_2", "toolu_1", "toolu_2", "toolu_3", "toolu_4", "",
        ];
        let found: Vec<&str> = ids.into_iter().filter(known).collect();
        assert_eq!(found, ["msg_1", "msg_2", "toolu_1", "toolu_3"]);
    }

    #[test]
    fn the_oldest_ids_are_forgotten() {
        let issued = Issued::default();
        issued.add(
            (0..=REMEMBERED)
                .map(|number| format!("toolu_{number}"))
                .collect(),
        );
        assert!(!issued.knows("toolu_0"));
        assert!(issued.knows("toolu_1") && issued.knows(&format!("toolu_{REMEMBERED}")));
    }
}
