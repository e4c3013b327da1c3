//! The price of the gateway's tokens, as the operator says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input tokens that the gateway had to read.
    pub input: f64,
    /// Output tokens, reasoning included.
    pub output: f64,
    /// Input tokens that came from the gateway's cache; `input` when absent.
    #[serde(default)]
    pub cache: Option<f64>,
}

impl Price {
    /// The cost of these tokens, in US dollars. `input` counts tokens that did not come from the
    /// cache.
    pub fn cost(&self, input: u64, cached: u64, output: u64) -> f64 {
        let dollars = |tokens: u64, price: f64| tokens as f64 * price / 1_000_000.0;
        dollars(input, self.input)
            + dollars(cached, self.cache.unwrap_or(self.input))
            + dollars(output, self.output)
    }

    /// Returns true if every price is a number that money can be.
    pub(super) fn is_sane(&self) -> bool {
        [Some(self.input), Some(self.output), self.cache]
            .into_iter()
            .flatten()
            .all(|price| price.is_finite() && price >= 0.0)
    }
}

/// WORKER_PRICE_* and WORKER_PRICE_TABLE.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// For models that the table does not name.
    pub default: Option<Price>,
    /// By the model's exact name at the gateway.
    pub models: BTreeMap<String, Price>,
}

impl Prices {
    /// The price of a model's tokens; none when the operator gave none.
    pub fn of(&self, model: &str) -> Option<Price> {
        self.models.get(model).copied().or(self.default)
    }
}
