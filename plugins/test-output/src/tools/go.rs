//! `go test`, `go build`, `go vet`.

use std::collections::HashMap;

use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    if !output.any_starts_with(&["--- FAIL: ", "FAIL\t", "=== RUN ", "ok  \t", "--- PASS: "]) {
        return;
    }
    verbose(output);
    let mut block = 0;
    let mut part = Part::Outside;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if line.starts_with("--- FAIL: ") {
            // A parent says nothing that its failing subtests do not say.
            block = output.block();
            output.claim(at, Rank::Name, block);
            part = Part::Failure;
        } else if let Some(rank) = outer(&text) {
            output.claim(at, rank, 0);
            part = Part::Outside;
        } else if text.starts_with("panic: ")
            || text.starts_with("fatal error: ")
            || text.starts_with("[signal ")
        {
            if !matches!(part, Part::Failure) || block == 0 {
                block = output.block();
            }
            output.claim(at, Rank::Explain, block);
            part = Part::Failure;
        } else if text.starts_with("goroutine ") && text.ends_with(':') {
            output.claim(at, Rank::Noise, block);
            part = if matches!(part, Part::Frames | Part::OtherFrames) {
                Part::OtherFrames
            } else {
                Part::Frames
            };
        } else if text.starts_with("# ") && super::place(output.text(at + 1)).is_some() {
            block = output.block();
            output.claim(at, Rank::Name, block);
            part = Part::Compile;
        } else {
            let rank = match part {
                Part::Outside => continue,
                Part::Failure if line.is_empty() => Rank::Noise,
                Part::Failure | Part::Compile => Rank::Explain,
                Part::Frames => frame(&text),
                Part::OtherFrames => Rank::Noise,
            };
            output.claim(at, rank, block);
        }
    }
}

enum Part {
    Outside,
    Failure,
    Compile,
    /// The goroutine that failed.
    Frames,
    /// The ones that only were there.
    OtherFrames,
}

fn outer(text: &str) -> Option<Rank> {
    let line = text.trim_start();
    if text.starts_with("FAIL\t") {
        return Some(Rank::Verdict);
    }
    let noise = [
        "=== RUN ",
        "=== PAUSE ",
        "=== CONT ",
        "=== NAME ",
        "--- PASS: ",
        "--- SKIP: ",
        "ok  \t",
        "?   \t",
        "exit status ",
        "coverage: ",
    ];
    (text == "FAIL" || text == "PASS" || noise.iter().any(|start| line.starts_with(start)))
        .then_some(Rank::Noise)
}

/// `\t/home/me/calc.go:12 +0x1d` is a place if the file is not Go's own.
fn frame(text: &str) -> Rank {
    let Some(path) = text.strip_prefix('\t') else {
        return Rank::Noise;
    };
    let own = ["/src/testing/", "/src/runtime/", "/pkg/mod/"]
        .iter()
        .all(|library| !path.contains(library));
    if own { Rank::Place } else { Rank::Noise }
}

/// With `-v` a test's lines stand before its `--- FAIL`: they are its explanation, or noise when it passed.
fn verbose(output: &mut Output<'_>) {
    let mut pending: HashMap<String, Vec<usize>> = HashMap::new();
    let mut current = String::new();
    for at in 0..output.lines.len() {
        let line = output.text(at).trim_start().to_owned();
        let named = ["=== RUN ", "=== CONT ", "=== NAME "]
            .iter()
            .find_map(|start| line.strip_prefix(start));
        if let Some(name) = named {
            current = name.trim().to_owned();
        } else if let Some(rest) = line
            .strip_prefix("--- FAIL: ")
            .or_else(|| line.strip_prefix("--- PASS: "))
        {
            let name = rest.split(' ').next().unwrap_or_default();
            let failed = line.starts_with("--- FAIL: ");
            let Some(lines) = pending.remove(name) else {
                continue;
            };
            let block = if failed { output.block() } else { 0 };
            for line in lines {
                output.claim(
                    line,
                    if failed { Rank::Explain } else { Rank::Noise },
                    block,
                );
            }
            if failed {
                output.claim(at, Rank::Name, block);
            }
        } else if !current.is_empty()
            && !line.is_empty()
            && outer(&line).is_none()
            && !line.starts_with("panic: ")
        {
            match pending.get_mut(&current) {
                Some(lines) => lines.push(at),
                None => {
                    pending.insert(current.clone(), vec![at]);
                }
            }
        }
        if line.starts_with("panic: ") || line.starts_with("FAIL\t") || line.starts_with("ok  \t") {
            current.clear();
            pending.clear();
        }
    }
}
