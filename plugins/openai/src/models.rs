//! What depends on an OpenAI model's name; shared with `azure`.

use worker_plugin::{Effort, Facts, Sampling, SystemRole, TokenField, ToolId};

/// The facts for a model of OpenAI's; plain ones for any other.
pub(crate) fn facts(model: &str) -> Facts {
    let mut facts = Facts::default();
    let name = model.rsplit('/').next().unwrap_or(model);
    let gpt5 = name.starts_with("gpt-5") && !name.contains("chat");
    let o_series = ["o1", "o3", "o4"].iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    if gpt5 || o_series || name.starts_with("gpt-4") {
        facts.tools.id = ToolId::AtMost(40);
        facts.messages.documents = true;
        facts.messages.user = true;
    }
    if !(gpt5 || o_series) {
        return facts;
    }
    // Reasoning models sample as they like, and refuse to be told.
    facts.limits.token_field = TokenField::MaxCompletionTokens;
    facts.messages.system_role = SystemRole::Developer;
    facts.sampling.temperature = Sampling::Drop;
    facts.sampling.top_p = Sampling::Drop;
    facts.sampling.stop_limit = 0;
    facts.tools.parallel_field = gpt5;
    facts.thinking.by_default = true;
    let levels: &[&str] = if gpt5 {
        &["minimal", "low", "medium", "high"]
    } else {
        &["low", "medium", "high"]
    };
    facts.thinking.efforts = levels.iter().copied().map(Effort::reasoning).collect();
    facts.thinking.off = facts
        .thinking
        .efforts
        .first()
        .map(|least| least.body.clone());
    facts
}
