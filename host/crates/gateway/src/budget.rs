//! Caps on what one job may spend, and the running totals that they are held against.

use serde::{Deserialize, Serialize};

use super::usage::Tokens;
use settings::Price;

/// Caps for everything that passes through one adapter. Absent: no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Prompt and reply tokens of all requests together.
    pub max_tokens_total: Option<u64>,
    /// US dollars, by the operator's prices or by what the gateway says.
    pub max_cost_usd: Option<f64>,
    /// Requests with the main model.
    pub max_turns: Option<u32>,
}

/// The usage of an adapter so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of all requests.
    pub tokens: Tokens,
    /// Requests that reached the gateway.
    pub requests: u64,
    /// Requests with the main model.
    pub turns: u64,
    /// US dollars; none as long as no price is known.
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// Returns the usage since an earlier look.
    pub fn since(&self, earlier: &Self) -> Self {
        let now = &self.tokens;
        let then = &earlier.tokens;
        Self {
            tokens: Tokens {
                input: now.input.saturating_sub(then.input),
                output: now.output.saturating_sub(then.output),
                cache_read: now.cache_read.saturating_sub(then.cache_read),
                cache_write: now.cache_write.saturating_sub(then.cache_write),
                reasoning: now.reasoning.saturating_sub(then.reasoning),
            },
            requests: self.requests.saturating_sub(earlier.requests),
            turns: self.turns.saturating_sub(earlier.turns),
            cost_usd: self
                .cost_usd
                .map(|cost| cost - earlier.cost_usd.unwrap_or_default()),
        }
    }
}

impl Budget {
    /// Returns the reason why nothing more may be sent; `None` while there is budget left.
    pub fn spent(&self, usage: &Usage, is_turn: bool) -> Option<String> {
        if let Some(most) = self.max_tokens_total
            && usage.tokens.total() >= most
        {
            return Some(format!(
                "the job's budget of {most} tokens is spent ({} used)",
                usage.tokens.total()
            ));
        }
        if let (Some(most), Some(cost)) = (self.max_cost_usd, usage.cost_usd)
            && cost >= most
        {
            return Some(format!(
                "the job's budget of {most} USD is spent ({cost:.4} used)"
            ));
        }
        if let Some(most) = self.max_turns
            && is_turn
            && usage.turns >= u64::from(most)
        {
            return Some(format!("the job's budget of {most} model turns is spent"));
        }
        None
    }

    /// Sets aside what a request may come to, before it is sent: requests that run at the same time share what is left.
    pub(crate) fn claim(&self, books: &mut Books, need: &Need) -> Ruling {
        if let Some(reason) = self.spent(&books.usage, need.is_turn) {
            return Ruling::Spent(reason);
        }
        // What others have set aside they may not need.
        let short_of = |reason: String| match books.claimed == Claim::default() {
            true => Ruling::Spent(reason),
            false => Ruling::Wait,
        };
        let Claim {
            tokens,
            cost_usd,
            turns,
        } = books.claimed;
        if let Some(most) = self.max_turns
            && need.is_turn
            && books.usage.turns.saturating_add(turns) >= u64::from(most)
        {
            return short_of(format!("the job's budget of {most} model turns is spent"));
        }
        let mut cap = None;
        if let Some(most) = self.max_tokens_total {
            let used = books.usage.tokens.total();
            let left = most.saturating_sub(used).saturating_sub(tokens);
            if left <= need.input {
                return short_of(format!(
                    "the job's budget of {most} tokens is spent ({used} used, and the next request needs about {})",
                    need.input
                ));
            }
            cap = Some(left - need.input);
        }
        let cost = |input, output| need.price.map_or(0.0, |price| price.cost(input, 0, output));
        if let Some(most) = self.max_cost_usd {
            let used = books.usage.cost_usd.unwrap_or_default();
            let left = most - used - cost_usd - cost(need.input, 0);
            if left <= 0.0 {
                return short_of(format!(
                    "the job's budget of {most} USD is spent ({used:.4} used, and the next request needs about {:.4})",
                    cost(need.input, 0)
                ));
            }
            let million = cost(0, 1_000_000);
            if million > 0.0 {
                // A float to an integer saturates.
                let affordable = (left / million * 1e6) as u64;
                cap = Some(cap.unwrap_or(u64::MAX).min(affordable.max(1)));
            }
        }
        let output = cap.map_or(need.output, |cap| cap.min(need.output));
        let claim = Claim {
            tokens: need.input.saturating_add(output),
            cost_usd: cost(need.input, output),
            turns: u64::from(need.is_turn),
        };
        books.take(&claim);
        Ruling::Granted { claim, cap }
    }
}

/// The amounts spent, and those reserved for requests on their way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Books {
    pub(crate) usage: Usage,
    claimed: Claim,
}

impl Books {
    /// Adds what is in the books of another adapter.
    pub(crate) fn add(&mut self, other: &Self) {
        let usage = &mut self.usage;
        usage.tokens.add(&other.usage.tokens);
        usage.requests += other.usage.requests;
        usage.turns += other.usage.turns;
        if let Some(cost) = other.usage.cost_usd {
            usage.cost_usd = Some(usage.cost_usd.unwrap_or_default() + cost);
        }
        self.take(&other.claimed);
    }

    /// Sets aside.
    pub(crate) fn take(&mut self, claim: &Claim) {
        let claimed = &mut self.claimed;
        claimed.tokens = claimed.tokens.saturating_add(claim.tokens);
        claimed.turns = claimed.turns.saturating_add(claim.turns);
        claimed.cost_usd += claim.cost_usd;
    }

    /// Gives back everything that is set aside.
    pub(crate) fn forget_claims(&mut self) {
        self.claimed = Claim::default();
    }

    /// Gives back what was set aside for a request that is over.
    pub(crate) fn release(&mut self, claim: &Claim) {
        let claimed = &mut self.claimed;
        claimed.tokens = claimed.tokens.saturating_sub(claim.tokens);
        claimed.turns = claimed.turns.saturating_sub(claim.turns);
        claimed.cost_usd -= claim.cost_usd;
        if claimed.tokens == 0 {
            // Sums of floats leave crumbs.
            claimed.cost_usd = 0.0;
        }
    }
}

/// The amount reserved for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claim {
    tokens: u64,
    cost_usd: f64,
    turns: u64,
}

/// The most that a request may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// Prompt tokens, estimated.
    pub(crate) input: u64,
    /// The most reply tokens that it asks for.
    pub(crate) output: u64,
    /// True if it goes to the main model.
    pub(crate) is_turn: bool,
    pub(crate) price: Option<Price>,
}

/// The answer to a claim.
#[derive(Debug, PartialEq)]
pub(crate) enum Ruling {
    /// It may be sent, with a reply of at most `cap` tokens.
    Granted { claim: Claim, cap: Option<u64> },
    /// The rest is reserved for others.
    Wait,
    /// Nothing is left.
    Spent(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cap_ends_the_job_when_it_is_reached_and_not_before() {
        let usage = |input, turns, cost_usd| Usage {
            tokens: Tokens {
                input,
                ..Tokens::default()
            },
            requests: turns,
            turns,
            cost_usd,
        };
        let budget = Budget {
            max_tokens_total: Some(100),
            max_cost_usd: Some(0.5),
            max_turns: Some(3),
        };
        for (used, is_turn, spent) in [
            (usage(99, 2, Some(0.49)), true, None),
            (usage(100, 2, None), true, Some("tokens")),
            (usage(0, 2, Some(0.5)), true, Some("USD")),
            (usage(0, 3, None), true, Some("turns")),
            (usage(0, 3, None), false, None),
        ] {
            let said = budget.spent(&used, is_turn);
            assert_eq!(said.is_some(), spent.is_some(), "{used:?}");
            assert!(said.unwrap_or_default().contains(spent.unwrap_or_default()));
        }
        assert_eq!(
            Budget::default().spent(&usage(u64::MAX, 9, Some(9.0)), true),
            None
        );
    }

    #[test]
    fn requests_at_once_share_what_is_left() {
        let budget = Budget {
            max_tokens_total: Some(1_000),
            max_cost_usd: None,
            max_turns: Some(3),
        };
        let need = |input, output, is_turn| Need {
            input,
            output,
            is_turn,
            price: None,
        };
        let mut books = Books::default();
        let granted = |ruling| match ruling {
            Ruling::Granted { claim, cap } => (claim, cap),
            other => panic!("{other:?}"),
        };
        let (first, cap) = granted(budget.claim(&mut books, &need(300, 100, true)));
        assert_eq!(cap, Some(700));
        let (second, cap) = granted(budget.claim(&mut books, &need(300, 10_000, true)));
        assert_eq!(
            cap,
            Some(300),
            "what is left after both prompts and the first reply"
        );
        assert_eq!(budget.claim(&mut books, &need(1, 1, true)), Ruling::Wait);
        books.release(&second);
        let (third, _) = granted(budget.claim(&mut books, &need(1, 1, true)));
        let (fourth, _) = granted(budget.claim(&mut books, &need(1, 1, true)));
        assert_eq!(
            budget.claim(&mut books, &need(1, 1, true)),
            Ruling::Wait,
            "turns"
        );
        let (side, _) = granted(budget.claim(&mut books, &need(1, 1, false)));
        for claim in [first, third, fourth, side] {
            books.release(&claim);
        }
        assert_eq!(books.claimed, Claim::default());
        // Alone, and more than there is: that is no wait.
        for over in [need(1_000, 1, false), need(u64::MAX, u64::MAX, true)] {
            assert!(matches!(budget.claim(&mut books, &over), Ruling::Spent(_)));
        }
    }
}
