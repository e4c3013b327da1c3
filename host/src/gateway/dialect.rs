//! Which form of chat completions a gateway speaks: what its dialect declares, asked once a model.

use std::sync::Arc;

use crate::plugins::facts::Facts;

/// The dialect of one gateway.
#[derive(Debug, Clone)]
pub enum Dialect {
    /// Plain chat completions, without any component.
    Plain,
}

impl Dialect {
    /// Its name, as in WORKER_DIALECT.
    pub fn name(&self) -> &str {
        match self {
            Self::Plain => "plain",
        }
    }

    /// What is true of a model behind a base URL.
    pub(crate) fn facts(
        &self,
        _base_url: &str,
        _model: &str,
    ) -> Result<Arc<Facts>, super::error::ApiError> {
        match self {
            Self::Plain => Ok(Arc::new(Facts::default())),
        }
    }
}
