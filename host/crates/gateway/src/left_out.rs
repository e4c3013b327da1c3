//! The parts of a caller's request that do not reach the gateway. Nothing is left out in silence: the model reads a note in its
//! place, the caller gets a header, and the job's log has a line.

use std::cell::{Cell, RefCell};

/// The header of an answer that says what was left out of its request.
pub(crate) const HEADER: &str = "x-worker-left-out";
/// The longest text about it, in characters.
const LONGEST: usize = 400;

/// The parts left out of one request.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    images: Cell<u32>,
    documents: Cell<u32>,
    descriptions: Cell<u32>,
    tools: RefCell<Vec<String>>,
}

impl LeftOut {
    /// An image that the gateway cannot take, or one too many.
    pub(crate) fn image(&self) {
        self.images.set(self.images.get() + 1);
    }

    /// A document that the gateway cannot take.
    pub(crate) fn document(&self) {
        self.documents.set(self.documents.get() + 1);
    }

    /// A part of a tool's description.
    pub(crate) fn description(&self) {
        self.descriptions.set(self.descriptions.get() + 1);
    }

    /// A tool that only Anthropic's servers have, or one too many.
    pub(crate) fn tool(&self, name: &str) {
        self.tools.borrow_mut().push(name.to_owned());
    }

    /// In words, as a header can carry them; none where nothing was left out.
    pub(crate) fn words(&self) -> Option<String> {
        let counted = |count: &Cell<u32>, one: &str| match count.get() {
            0 => None,
            1 => Some(format!("1 {one}")),
            many => Some(format!("{many} {one}s")),
        };
        let tools = self.tools.borrow();
        let parts = [
            counted(&self.images, "image"),
            counted(&self.documents, "document"),
            (self.descriptions.get() > 0)
                .then(|| format!("ends of {} descriptions of tools", self.descriptions.get())),
            (!tools.is_empty()).then(|| format!("{} tools: {}", tools.len(), tools.join(", "))),
        ];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let visible = words.chars().map(|c| match c {
            ' '..='~' => c,
            _ => '?',
        });
        let mut text: String = visible.take(LONGEST).collect();
        if words.chars().count() > LONGEST {
            text.push_str("...");
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_in_words_that_a_header_can_carry() {
        let left = LeftOut::default();
        assert_eq!(left.words(), None);
        left.image();
        assert_eq!(left.words().as_deref(), Some("1 image"));
        left.image();
        left.document();
        left.description();
        left.tool("web_search");
        left.tool("su\u{308}che\r\n");
        assert_eq!(
            left.words().as_deref(),
            Some(
                "2 images; 1 document; ends of 1 descriptions of tools; 2 tools: web_search, su?che??"
            )
        );
        for number in 0..200 {
            left.tool(&format!("mcp__server__tool_{number}"));
        }
        assert!(left.words().is_some_and(|words| words.len() == LONGEST + 3));
    }
}
