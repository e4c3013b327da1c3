//! The choice of lines for the digest, when not all of them fit.

use crate::lines::{Line, Rank};
use crate::output::Output;

/// A longer line is cut: an assertion's first words say more than the end of a huge value.
const LINE_BYTES: usize = 400;
/// Bytes for what surrounds the failures.
const CONTEXT_BYTES: usize = 400;
/// Lines that a failing test printed, counted from its end, shown where there is room.
const PRINTED_LINES: usize = 12;

/// The digest.
pub(crate) struct Selection {
    /// The text.
    pub(crate) text: String,
    /// The lines in it.
    pub(crate) lines: Vec<usize>,
}

/// Takes the lines of most worth until `max` bytes are spent, and puts them back in their order.
pub(crate) fn select(output: &Output<'_>, max: usize) -> Selection {
    let worth = |at: usize| output.lines.get(at).map_or(Rank::Noise, |line| line.rank);
    let all: Vec<usize> = (0..output.lines.len())
        .filter(|at| worth(*at) > Rank::Context)
        .collect();
    let essential = |at: &usize| worth(*at) > Rank::Output;
    let mut budget = Budget {
        left: max,
        taken: vec![false; output.lines.len()],
    };
    let wanted: usize = all
        .iter()
        .filter(|at| essential(at))
        .map(|at| cost(output, *at))
        .sum();
    if wanted <= max {
        for at in all.iter().copied().filter(|at| essential(at)) {
            budget.take(output, at);
        }
        take_printed(output, &all, &mut budget);
    } else {
        budget.left = max.saturating_sub(NOTE);
        take_by_worth(output, &all, &mut budget, max);
    }
    take_context(output, &mut budget, max);
    let lines: Vec<usize> = (0..output.lines.len())
        .filter(|at| budget.has(*at))
        .collect();
    let omitted = all
        .iter()
        .filter(|at| essential(at) && !budget.has(**at))
        .count();
    let mut text = String::with_capacity(max.min(4096));
    for at in &lines {
        if let Some(line) = output.lines.get(*at) {
            let (said, cut) = shown(line);
            text.push_str(said);
            if cut {
                text.push_str("...");
            }
            if line.times > 1 {
                text.push_str(&fold_note(line.times));
            }
            text.push('\n');
        }
    }
    if omitted > 0 && text.len() + NOTE <= max {
        text.push_str(&format!(
            "[... {omitted} more lines about failures left out ...]\n"
        ));
    }
    Selection { text, lines }
}

/// Room for the note about what was left out.
const NOTE: usize = 64;

/// A line as it is shown, and whether it was cut.
fn shown<'a>(line: &'a Line<'_>) -> (&'a str, bool) {
    if line.text.len() <= LINE_BYTES {
        return (&line.text, false);
    }
    let end = (0..=LINE_BYTES - 3)
        .rev()
        .find(|end| line.text.is_char_boundary(*end))
        .unwrap_or(0);
    (line.text.get(..end).unwrap_or_default(), true)
}

/// Behind a line that stands for several.
fn fold_note(times: u32) -> String {
    format!(" [{times} such lines]")
}

fn cost(output: &Output<'_>, at: usize) -> usize {
    output.lines.get(at).map_or(0, |line| {
        let note = if line.times > 1 {
            fold_note(line.times).len()
        } else {
            0
        };
        line.text.len().min(LINE_BYTES) + note + 1
    })
}

struct Budget {
    left: usize,
    taken: Vec<bool>,
}

impl Budget {
    fn has(&self, at: usize) -> bool {
        self.taken.get(at).copied().unwrap_or(false)
    }

    fn take(&mut self, output: &Output<'_>, at: usize) -> bool {
        if self.has(at) {
            return true;
        }
        let cost = cost(output, at);
        let fits = cost <= self.left;
        if let Some(slot) = self.taken.get_mut(at).filter(|_| fits) {
            *slot = true;
            self.left -= cost;
        }
        fits
    }
}

/// Takes the surroundings of failures: a few lines, and never so many that the digest is longer
/// than the output without the application's log.
fn take_context(output: &Output<'_>, budget: &mut Budget, max: usize) {
    let spent = max.saturating_sub(budget.left);
    let room = max.min(output.quiet_bytes()).saturating_sub(spent);
    budget.left = budget.left.min(room).min(CONTEXT_BYTES);
    for at in 0..output.lines.len() {
        let is_context = output
            .lines
            .get(at)
            .is_some_and(|line| line.rank == Rank::Context);
        if is_context {
            budget.take(output, at);
        }
    }
}

/// Takes the output of failing tests, the last lines of each.
fn take_printed(output: &Output<'_>, all: &[usize], budget: &mut Budget) {
    let mut block = (0, 0);
    for at in all.iter().rev().copied() {
        let Some(line) = output
            .lines
            .get(at)
            .filter(|line| line.rank == Rank::Output)
        else {
            continue;
        };
        if block.0 != line.block {
            block = (line.block, 0);
        }
        block.1 += 1;
        if block.1 <= PRINTED_LINES {
            budget.take(output, at);
        }
    }
}

/// Too much for the budget: first the exit state, then what explains each failure in turn, then the rest by its worth.
fn take_by_worth(output: &Output<'_>, all: &[usize], budget: &mut Budget, max: usize) {
    let rank = |at: usize| output.lines.get(at).map_or(Rank::Noise, |line| line.rank);
    let of = |wanted: Rank| all.iter().copied().filter(move |at| rank(*at) == wanted);
    for at in of(Rank::Verdict)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .take(4)
    {
        budget.take(output, at);
    }
    // The first failure whole, within reason: one that can be understood is worth more than a list.
    let blocks = blocks(output, all);
    if let Some(first) = blocks.first() {
        let floor = budget.left.saturating_sub(max / 2);
        for rank_wanted in [Rank::Name, Rank::Explain, Rank::Place, Rank::Detail] {
            for at in first.iter().copied().filter(|at| rank(*at) == rank_wanted) {
                if budget.left.saturating_sub(cost(output, at)) >= floor {
                    budget.take(output, at);
                }
            }
        }
    }
    // Then each failure's name, first explanation and place.
    for block in &blocks {
        for (wanted, most) in [(Rank::Name, 2), (Rank::Explain, 3), (Rank::Place, 1)] {
            for at in block
                .iter()
                .copied()
                .filter(|at| rank(*at) == wanted)
                .take(most)
            {
                budget.take(output, at);
            }
        }
    }
    for wanted in [Rank::Index, Rank::Explain, Rank::Place, Rank::Detail] {
        for at in of(wanted).collect::<Vec<_>>() {
            if wanted == Rank::Index && budget.left < max / 4 {
                break;
            }
            budget.take(output, at);
        }
    }
}

/// The lines of each failure, in the order in which failures come.
fn blocks(output: &Output<'_>, all: &[usize]) -> Vec<Vec<usize>> {
    let mut found: Vec<(u32, Vec<usize>)> = Vec::new();
    for at in all.iter().copied() {
        let Some(line) = output.lines.get(at).filter(|line| line.block > 0) else {
            continue;
        };
        match found
            .iter_mut()
            .rev()
            .take(8)
            .find(|(block, _)| *block == line.block)
        {
            Some((_, lines)) => lines.push(at),
            None => found.push((line.block, vec![at])),
        }
    }
    found.into_iter().map(|(_, lines)| lines).collect()
}
