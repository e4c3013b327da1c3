//! What the models' attempts came to: the evidence from which a team chooses its ladder.

use std::collections::BTreeMap;

use serde::Serialize;

use job::State;

/// Fewer tries than this show little of a model.
const THIN: usize = 20;

/// The longest ladder that is looked at, and the most models that are put into one.
const LADDER_MAX: usize = 3;
const MODELS_MAX: usize = 8;

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_964;

/// One try of a model at a task: a job, or an attempt of one.
#[derive(Debug, Clone)]
pub(super) struct Try {
    pub(super) model: String,
    pub(super) state: State,
    pub(super) seconds: f64,
    /// US dollars, where there is a price.
    pub(super) cost_usd: Option<f64>,
    pub(super) tokens: u64,
    /// A later attempt at the same task was verified.
    pub(super) rescued: bool,
}

/// What a model has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Shown {
    pub(super) tries: usize,
    pub(super) verified: usize,
    /// The share of tries that were verified.
    pub(super) pass_rate: f64,
    /// Wilson's 95 % interval of it.
    pub(super) interval: (f64, f64),
    /// US dollars of all tries for each that was verified; none without a price or a verified one.
    pub(super) cost_usd_a_verified: Option<f64>,
    pub(super) tokens_a_verified: Option<u64>,
    /// The mean of a try.
    pub(super) seconds: f64,
    /// Tries that failed, after which the next attempt was verified.
    pub(super) rescued: usize,
    #[serde(skip)]
    cost_a_try: f64,
}

/// The pass rate that so many successes make probable: Wilson's score interval, 95 %.
pub(super) fn wilson(successes: usize, tries: usize) -> (f64, f64) {
    if tries == 0 {
        return (0.0, 1.0);
    }
    let n = tries as f64;
    let share = successes as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    ((middle - reach).max(0.0), (middle + reach).min(1.0))
}

/// What each model has shown. Tries that somebody cancelled show nothing of it.
pub(super) fn shown(tries: &[Try]) -> BTreeMap<String, Shown> {
    let mut of_models: BTreeMap<String, Vec<&Try>> = BTreeMap::new();
    for one in tries {
        let counts =
            one.state.is_terminal() && !matches!(one.state, State::Cancelled | State::Interrupted);
        if counts && !one.model.is_empty() {
            of_models.entry(one.model.clone()).or_default().push(one);
        }
    }
    let of_model = |tries: Vec<&Try>| {
        let count = tries.len();
        let verified = tries
            .iter()
            .filter(|one| one.state == State::Completed)
            .count();
        let costs: Option<Vec<f64>> = tries.iter().map(|one| one.cost_usd).collect();
        let cost = costs.map(|costs| costs.iter().sum::<f64>());
        let tokens: u64 = tries.iter().map(|one| one.tokens).sum();
        let each = |sum: f64| (verified > 0).then(|| sum / verified as f64);
        Shown {
            tries: count,
            verified,
            pass_rate: verified as f64 / count as f64,
            interval: wilson(verified, count),
            cost_usd_a_verified: cost.and_then(each),
            tokens_a_verified: tokens.checked_div(verified as u64),
            seconds: tries.iter().map(|one| one.seconds).sum::<f64>() / count as f64,
            rescued: tries.iter().filter(|one| one.rescued).count(),
            cost_a_try: cost.unwrap_or(tokens as f64) / count as f64,
        }
    };
    of_models
        .into_iter()
        .map(|(model, tries)| (model, of_model(tries)))
        .collect()
}

/// A ladder, as the models of the past would have climbed it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ladder {
    pub(super) models: Vec<String>,
    pub(super) pass_rate: f64,
    /// US dollars a task, or tokens where a model has no price.
    pub(super) cost_a_task: f64,
    /// The models that have fewer tries than show anything.
    pub(super) thin: Vec<String>,
}

/// The ladders that no other one beats in both: cheaper ones pass less. Cheapest first. As if a model's failure said nothing of
/// the next one's, which flatters long ladders.
pub(super) fn ladders(shown: &BTreeMap<String, Shown>) -> Vec<Ladder> {
    let mut models: Vec<(&String, &Shown)> = shown.iter().collect();
    // Those with the most tries.
    models.sort_by_key(|(_, shown)| std::cmp::Reverse(shown.tries));
    models.truncate(MODELS_MAX);
    let mut all = Vec::new();
    climb(&models, &mut Vec::new(), &mut all);
    all.sort_by(|one: &Ladder, other| {
        let cost = one.cost_a_task.total_cmp(&other.cost_a_task);
        cost.then(other.pass_rate.total_cmp(&one.pass_rate))
            .then(one.models.len().cmp(&other.models.len()))
    });
    let mut best = f64::MIN;
    all.retain(|ladder| {
        let better = ladder.pass_rate > best + 1e-9;
        best = best.max(ladder.pass_rate);
        better
    });
    all
}

fn climb<'a>(
    models: &[(&'a String, &'a Shown)],
    rungs: &mut Vec<(&'a String, &'a Shown)>,
    all: &mut Vec<Ladder>,
) {
    if !rungs.is_empty() {
        let (mut left, mut cost) = (1.0, 0.0);
        for (_, shown) in rungs.iter() {
            cost += left * shown.cost_a_try;
            left *= 1.0 - shown.pass_rate;
        }
        let thin = rungs.iter().filter(|(_, shown)| shown.tries < THIN);
        all.push(Ladder {
            models: rungs.iter().map(|(model, _)| (*model).clone()).collect(),
            pass_rate: 1.0 - left,
            cost_a_task: cost,
            thin: thin.map(|(model, _)| (*model).clone()).collect(),
        });
    }
    if rungs.len() == LADDER_MAX {
        return;
    }
    for (model, shown) in models {
        if !rungs.iter().any(|(known, _)| known == model) {
            rungs.push((model, shown));
            climb(models, rungs, all);
            rungs.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tries(model: &str, verified: usize, failed: usize, cost: f64) -> Vec<Try> {
        let one = |state| Try {
            model: model.to_owned(),
            state,
            seconds: 10.0,
            cost_usd: Some(cost),
            tokens: 100,
            rescued: false,
        };
        let mut tries = vec![one(State::Completed); verified];
        tries.extend(vec![one(State::Failed); failed]);
        tries
    }

    /// The values of R's `binom.confint(methods = "wilson")`.
    #[test]
    fn intervals_are_wilsons() {
        for (successes, count, low, high) in [
            (8, 10, 0.4902, 0.9433),
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (50, 100, 0.4038, 0.5962),
        ] {
            let (found_low, found_high) = wilson(successes, count);
            assert!(
                (found_low - low).abs() < 1e-4,
                "{successes}/{count}: {found_low}"
            );
            assert!(
                (found_high - high).abs() < 1e-4,
                "{successes}/{count}: {found_high}"
            );
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_model_costs_what_all_its_tries_cost_for_each_that_was_verified() {
        let mut all = tries("cheap", 1, 3, 0.01);
        all.first_mut().unwrap().seconds = 50.0;
        all.last_mut().unwrap().rescued = true;
        all.extend(tries("free", 0, 1, 0.0));
        all.push(Try {
            state: State::Cancelled,
            ..all.first().unwrap().clone()
        });
        let shown = shown(&all);
        let cheap = &shown["cheap"];
        assert_eq!((cheap.tries, cheap.verified, cheap.rescued), (4, 1, 1));
        assert!((cheap.cost_usd_a_verified.unwrap() - 0.04).abs() < 1e-12);
        assert!((cheap.seconds - 20.0).abs() < 1e-12);
        assert_eq!(shown["free"].cost_usd_a_verified, None);
    }

    #[test]
    fn a_ladder_begins_with_the_cheap_model_and_thin_evidence_is_told() {
        let mut all = tries("cheap", 12, 12, 0.001);
        all.extend(tries("dear", 19, 1, 0.1));
        all.extend(tries("bad", 1, 29, 0.2));
        all.extend(tries("new", 1, 0, 0.0005));
        let ladders = ladders(&shown(&all));
        let named = |models: &[&str]| {
            ladders
                .iter()
                .find(|ladder| ladder.models == models)
                .cloned()
        };
        assert_eq!(named(&["new"]).unwrap().thin, ["new"]);
        assert!(named(&["bad"]).is_none(), "dearer and worse");
        assert!(
            named(&["dear", "cheap"]).is_none(),
            "the cheap one goes first"
        );
        let without_new = shown(
            &all.iter()
                .filter(|one| one.model != "new")
                .cloned()
                .collect::<Vec<_>>(),
        );
        let ladders = super::ladders(&without_new);
        let both = ladders
            .iter()
            .find(|ladder| ladder.models == ["cheap", "dear"])
            .unwrap();
        assert!((both.pass_rate - (1.0 - 0.5 * 0.05)).abs() < 1e-9);
        assert!((both.cost_a_task - (0.001 + 0.5 * 0.1)).abs() < 1e-9);
        assert!(both.thin.is_empty());
    }
}
