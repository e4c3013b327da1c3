//! Caps on what one job may spend, and the running totals that they are held against.

use serde::{Deserialize, Serialize};

use super::usage::Tokens;

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

/// What has passed through an adapter so far.
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
    /// What has passed through since an earlier look.
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
    /// Why nothing more may be sent; `None` while there is budget left.
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

    /// The most tokens that the next reply may have.
    pub(crate) fn reply_cap(&self, usage: &Usage) -> Option<u64> {
        self.max_tokens_total
            .map(|most| most.saturating_sub(usage.tokens.total()).max(1))
    }
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
        assert_eq!(budget.reply_cap(&usage(90, 0, None)), Some(10));
        assert_eq!(
            Budget::default().spent(&usage(u64::MAX, 9, Some(9.0)), true),
            None
        );
    }
}
