//! Reasoning that stands inline in the text, between `<think>` and `</think>`.
//!
//! Only at the beginning of an answer: the same words later are what the model writes about, not what it thinks.

/// A part of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Reasoning(String),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far: the tag may come.
    Before,
    Inside,
    After,
}

/// Sets the reasoning off from the text, however the pieces cut the tags.
#[derive(Debug)]
pub(crate) struct ThinkTags {
    opening: String,
    closing: String,
    state: State,
    /// The text that may yet become a tag.
    held: String,
}

impl ThinkTags {
    /// For a tag's name, as in `think`.
    pub(crate) fn new(tag: &str) -> Self {
        Self {
            opening: format!("<{tag}>"),
            closing: format!("</{tag}>"),
            state: State::Before,
            held: String::new(),
        }
    }

    /// Reads a further piece of text.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = std::mem::take(&mut self.held) + text;
        loop {
            match self.state {
                State::After => {
                    push_some(&mut pieces, Piece::Text(text));
                    return pieces;
                }
                State::Before => {
                    let trimmed = text.trim_start();
                    if let Some(rest) = trimmed.strip_prefix(&self.opening) {
                        text = rest.to_owned();
                        self.state = State::Inside;
                    } else if self.opening.starts_with(trimmed) {
                        self.held = text;
                        return pieces;
                    } else if let Some((reasoning, rest)) = text
                        .split_once(&self.closing)
                        .filter(|(r, _)| !r.contains(&self.opening))
                    {
                        // Templates that write the opening tag themselves.
                        push_some(&mut pieces, Piece::Reasoning(reasoning.to_owned()));
                        text = rest.trim_start_matches('\n').to_owned();
                        self.state = State::After;
                    } else {
                        self.state = State::After;
                    }
                }
                State::Inside => {
                    if let Some((reasoning, rest)) = text.split_once(&self.closing) {
                        push_some(&mut pieces, Piece::Reasoning(reasoning.to_owned()));
                        text = rest.trim_start_matches('\n').to_owned();
                        self.state = State::After;
                        continue;
                    }
                    let cut = text.len() - partial_end(&text, &self.closing);
                    let (reasoning, held) = text.split_at(cut);
                    self.held = held.to_owned();
                    push_some(&mut pieces, Piece::Reasoning(reasoning.to_owned()));
                    return pieces;
                }
            }
        }
    }

    /// The text that was held back when the answer ended.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        let mut pieces = Vec::new();
        let piece = if self.state == State::Inside {
            Piece::Reasoning(held)
        } else {
            Piece::Text(held)
        };
        push_some(&mut pieces, piece);
        pieces
    }
}

fn push_some(pieces: &mut Vec<Piece>, piece: Piece) {
    let (Piece::Reasoning(text) | Piece::Text(text)) = &piece;
    if !text.is_empty() {
        pieces.push(piece);
    }
}

/// The length of the end of the text that may be the beginning of the tag.
fn partial_end(text: &str, tag: &str) -> usize {
    (1..tag.len())
        .rev()
        .find(|length| {
            tag.get(..*length)
                .is_some_and(|start| text.ends_with(start))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;
    use proptest::prelude::*;

    fn split<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let mut tags = ThinkTags::new("think");
        let mut all: Vec<Piece> = pieces
            .into_iter()
            .flat_map(|piece| tags.push(piece))
            .collect();
        all.extend(tags.finish());
        let (mut reasoning, mut text) = (String::new(), String::new());
        for piece in all {
            match piece {
                Piece::Reasoning(piece) => reasoning.push_str(&piece),
                Piece::Text(piece) => text.push_str(&piece),
            }
        }
        (reasoning, text)
    }

    #[test]
    fn inline_reasoning_is_set_off_from_the_text() {
        for (answer, reasoning, text) in [
            ("<think>a</think>b", "a", "b"),
            ("\n<think>\na\n</think>\n\nb", "\na\n", "b"),
            ("b", "", "b"),
            ("b <think>c</think>", "", "b <think>c</think>"),
            ("<think>a", "a", ""),
            ("<thin", "", "<thin"),
            ("<think>a</thi", "a</thi", ""),
            ("<thinking>b", "", "<thinking>b"),
            ("  b", "", "  b"),
        ] {
            assert_eq!(
                split([answer]),
                (reasoning.to_owned(), text.to_owned()),
                "{answer}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(
            parts in proptest::collection::vec(proptest::sample::select(vec!["<think>", "</think>", "<", "/", "think", ">", "é", "b", " "]), 0..12),
        ) {
            let whole = format!("<think>{}", parts.concat());
            let mut buffer = [0u8; 4];
            let single: Vec<String> = whole.chars().map(|c| c.encode_utf8(&mut buffer).to_owned()).collect();
            let (reasoning, text) = split([whole.as_str()]);
            let (reasoning_cut, text_cut) = split(single.iter().map(String::as_str));
            prop_assert_eq!(reasoning, reasoning_cut);
            // Line feeds behind the closing tag are only seen in one piece.
            prop_assert_eq!(text.trim_start(), text_cut.trim_start());
        }
    }
}
