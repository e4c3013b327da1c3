//! The output as its recognisers see it: lines, without the application's log where they want that.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::applog;
use crate::lines::{Line, Rank, split};

/// The view of an output that a recogniser has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The report of a runner, without the application's log and without stamps that the transport put on all lines.
    Report,
    /// All lines as they are.
    Whole,
}

/// The lines while the recognisers go over them, with the block counter that they share.
pub(crate) struct Output<'a> {
    /// The lines that a recogniser sees: all, without the application's log.
    pub(crate) lines: Vec<Line<'a>>,
    /// The application's log.
    aside: Vec<Line<'a>>,
    blocks: u32,
    /// Blocks that a trace outside of any report made.
    loose: HashSet<u32>,
    /// Set where a recogniser found failures it understands.
    pub(crate) recognised: bool,
}

impl<'a> Output<'a> {
    /// Nothing claimed yet, and the application's log set aside where the view says so.
    pub(crate) fn new(text: &'a str, view: View) -> Self {
        let mut all = split(text);
        if view == View::Report {
            strip_transport(&mut all);
        }
        let log = applog::find(&all);
        for (line, log) in all.iter_mut().zip(log) {
            line.log = log;
        }
        let (aside, lines) = all
            .into_iter()
            .partition(|line| view == View::Report && line.log.is_some());
        Self {
            lines,
            aside,
            blocks: 0,
            loose: HashSet::new(),
            recognised: false,
        }
    }

    /// Lines with a rank already, none of them a log's.
    pub(crate) fn ranked(lines: Vec<Line<'a>>, blocks: u32) -> Self {
        Self {
            lines,
            aside: Vec::new(),
            blocks,
            loose: HashSet::new(),
            recognised: true,
        }
    }

    /// Puts the application's log back, each line in its place.
    pub(crate) fn restore(&mut self) {
        if !self.aside.is_empty() {
            self.lines.append(&mut self.aside);
            self.lines.sort_by_key(|line| line.number);
        }
    }

    /// Bytes of the output without the application's log.
    pub(crate) fn quiet_bytes(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.log.is_none())
            .map(|line| line.span.len() + 1)
            .sum()
    }

    /// Claims a line, unless a recogniser before gave it a rank.
    pub(crate) fn claim(&mut self, at: usize, rank: Rank, block: u32) {
        if let Some(line) = self
            .lines
            .get_mut(at)
            .filter(|line| line.rank == Rank::Unknown)
        {
            line.rank = rank;
            line.block = block;
        }
    }

    /// Gives a line a rank, whatever it had.
    pub(crate) fn set(&mut self, at: usize, rank: Rank, block: u32) {
        if let Some(line) = self.lines.get_mut(at) {
            line.rank = rank;
            line.block = block;
        }
    }

    /// A new failure.
    pub(crate) fn block(&mut self) -> u32 {
        self.recognised = true;
        self.blocks += 1;
        self.blocks
    }

    /// A trace outside of any report: the failure itself where nothing else is, else what surrounds one.
    pub(crate) fn loose_block(&mut self) -> u32 {
        let block = self.block();
        self.loose.insert(block);
        block
    }

    /// Makes loose blocks a failure's surroundings where a runner's report has blocks of its own.
    pub(crate) fn settle_loose_blocks(&mut self) {
        if self.loose.is_empty() || self.loose.len() >= self.blocks as usize {
            return;
        }
        let loose = std::mem::take(&mut self.loose);
        for line in &mut self.lines {
            if line.rank > Rank::Context && loose.contains(&line.block) {
                line.rank = if line.rank >= Rank::Explain {
                    Rank::Context
                } else {
                    Rank::Noise
                };
                line.block = 0;
            }
        }
    }

    /// The text of a line, empty beyond the end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.lines.get(at).map_or("", |line| line.text.as_ref())
    }

    /// Returns true if any line begins with one of these, blanks apart.
    pub(crate) fn any_starts_with(&self, starts: &[&str]) -> bool {
        self.lines
            .iter()
            .any(|line| starts.iter().any(|start| line.trimmed().starts_with(start)))
    }
}

/// Takes the stamp off each line where the transport of the output (a CI, a container's log) has put one on all of them.
fn strip_transport(lines: &mut [Line<'_>]) {
    let said = lines.iter().filter(|line| !line.text.is_empty()).count();
    let stamped = lines
        .iter()
        .filter(|line| applog::behind_stamp(&line.text).is_some())
        .count();
    if said < 8 || stamped + 2 < said {
        return;
    }
    for line in lines {
        let Some(rest) = applog::behind_stamp_as_printed(&line.text) else {
            continue;
        };
        let start = line.text.len() - rest.len();
        line.text = match std::mem::take(&mut line.text) {
            Cow::Borrowed(text) => {
                line.span.start += start;
                Cow::Borrowed(text.get(start..).unwrap_or_default())
            }
            Cow::Owned(text) => Cow::Owned(text.get(start..).unwrap_or_default().to_owned()),
        };
    }
}
