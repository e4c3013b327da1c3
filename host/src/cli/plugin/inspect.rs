//! `plugin inspect`.

use std::path::Path;

use super::{Failure, engine, plugin_settings, size};
use plugins::{Inspection, PluginSet};
use settings::Settings;

pub(super) fn run(
    settings: &Settings,
    plugin: &str,
    repository: Option<&Path>,
) -> Result<bool, Failure> {
    let engine = engine(settings)?;
    let path = Path::new(plugin);
    let is_name = !plugin.contains(['/', '.']) && !path.exists();
    let seen = if is_name {
        PluginSet::load(&engine, &plugin_settings(settings, repository)).inspect(plugin)?
    } else {
        PluginSet::inspect_file(&engine, path, settings.plugin_max_bytes)?
    };
    print(&seen);
    Ok(true)
}

fn print(seen: &Inspection) {
    let Inspection {
        info,
        wants,
        grants,
        limits,
        ..
    } = seen;
    say!("{} {}: {}", info.own_name, info.version, info.summary);
    say!("  kind      {}", info.kind);
    say!("  made for  mcp-codex-worker:{} {}", info.kind, info.api);
    say!("  size      {}", size(info.size));
    say!("  sha256    {}", info.sha256);
    let wasi = info
        .imports
        .iter()
        .filter(|import| import.starts_with("wasi:"))
        .count();
    let purity = match wasi {
        0 => "pure: no WASI".to_owned(),
        count => format!(
            "{count} of WASI, with nothing behind them: no files, network, environment, time"
        ),
    };
    say!("  imports   {purity}");
    for import in info
        .imports
        .iter()
        .filter(|import| !import.starts_with("wasi:"))
    {
        say!("            {import}");
    }
    let list = |words: &[String]| {
        if words.is_empty() {
            "nothing".to_owned()
        } else {
            words.join(", ")
        }
    };
    say!("  wants     {}", list(wants));
    if let Some(grants) = grants {
        say!("  granted   {}", list(grants));
    }
    say!(
        "  limits    {} of memory, {} ms a call, {} of answer",
        size(limits.memory),
        limits.deadline.as_millis(),
        size(limits.output)
    );
    say!("  loaded in {:.1} ms", seen.load_time.as_secs_f64() * 1e3);
    for (index, (key, value, place)) in seen.config.keys().iter().enumerate() {
        let head = if index == 0 { "set" } else { "" };
        say!("  {head:<9} {key} = {value} ({place})");
    }
    if let Some(schema) = &info.settings_schema {
        say!(
            "  settings  {}",
            schema.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
}
