//! `node --test` in its own report.

use super::is_library_frame;
use super::tap::counter;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    let is_there =
        output.any_starts_with(&["✖ "]) && output.any_starts_with(&["ℹ fail ", "ℹ tests "]);
    if !is_there {
        return;
    }
    // The failing tests come once more at the end, with their places.
    let list = output
        .lines
        .iter()
        .position(|line| line.trimmed() == "✖ failing tests:")
        .unwrap_or(0);
    for at in 0..list {
        let line = output.text(at).trim_start().to_owned();
        if line.starts_with("ℹ ") {
            let rank = counter(line.trim_start_matches("ℹ ")).unwrap_or(Rank::Noise);
            output.claim(at, rank, 0);
        } else {
            output.claim(at, Rank::Noise, 0);
        }
    }
    let mut block = 0;
    let mut in_object = false;
    for at in list..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if line == "✖ failing tests:"
            || line.starts_with("✔ ")
            || line.starts_with("▶ ")
            || line.starts_with("﹣ ")
        {
            output.claim(at, Rank::Noise, 0);
        } else if let Some(count) = line.strip_prefix("ℹ ") {
            output.claim(at, counter(count).unwrap_or(Rank::Noise), 0);
        } else if line.starts_with("test at ") {
            block = output.block();
            output.claim(at, Rank::Place, block);
            in_object = false;
        } else if line.starts_with("✖ ") {
            if output
                .lines
                .get(at.wrapping_sub(1))
                .is_none_or(|before| !before.trimmed().starts_with("test at "))
            {
                block = output.block();
            }
            output.claim(at, Rank::Name, block);
            in_object = false;
        } else if block > 0 {
            let rank = if in_object || line.is_empty() || line == "}" {
                Rank::Noise
            } else if let Some(frame) = line.strip_prefix("at ") {
                // The object with the error's fields opens behind the last frame.
                in_object = line.ends_with('{');
                let first = output
                    .lines
                    .get(at.wrapping_sub(1))
                    .is_none_or(|before| !before.trimmed().starts_with("at "));
                let own = !is_library_frame(
                    frame
                        .trim_end_matches(')')
                        .trim_start_matches("TestContext.<anonymous>"),
                );
                if own && first {
                    Rank::Detail
                } else {
                    Rank::Noise
                }
            } else {
                Rank::Explain
            };
            output.claim(at, rank, block);
        }
    }
}
