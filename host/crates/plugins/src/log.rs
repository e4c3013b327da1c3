//! The log of a job's plugins, until whoever keeps the job's log takes it.

use std::sync::{Mutex, PoisonError};

/// So many bytes are kept between two takings; what is beyond is counted.
const MOST: usize = 64 << 10;

/// Messages of plugins, raw until they are taken.
#[derive(Debug, Default)]
pub(super) struct PluginLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    messages: Vec<Message>,
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Message {
    plugin: String,
    level: &'static str,
    text: String,
}

impl PluginLog {
    /// Keeps one message; those for the plugin's author alone (debug and below) are not the job's.
    pub(super) fn tell(&self, plugin: &str, level: tracing::Level, text: &str) {
        let level = match level {
            tracing::Level::ERROR => "error: ",
            tracing::Level::WARN => "warning: ",
            tracing::Level::INFO => "",
            _ => return,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = kept.bytes + plugin.len() + text.len();
        if bytes > MOST {
            kept.dropped += 1;
            return;
        }
        kept.bytes = bytes;
        kept.messages.push(Message {
            plugin: plugin.to_owned(),
            level,
            text: text.to_owned(),
        });
    }

    /// The messages since the last taking, a text each. They are redacted as they came, since a secret may go over several
    /// lines; then each line gets the plugin's name in front, so that none passes for another's.
    pub(super) fn take(&self, redact: impl Fn(&str) -> String) -> Vec<String> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told = kept.messages.iter().map(|message| {
            let text = redact(&message.text);
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let mut level = message.level;
            let lines = lines.map(|line| {
                let line = line.replace(|c: char| c.is_control() && c != '\t', "");
                let level = std::mem::take(&mut level);
                format!("plugin {}: {level}{line}", message.plugin)
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        let mut told: Vec<String> = told.filter(|text| !text.is_empty()).collect();
        if kept.dropped > 0 {
            told.push(format!(
                "({} further messages of plugins are left out)",
                kept.dropped
            ));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn every_line_carries_the_plugin_and_nothing_that_a_terminal_obeys() {
        let log = PluginLog::default();
        log.tell(
            "todo",
            Level::WARN,
            "\u{1b}[2Jone\r\n\ncompleted: all is well",
        );
        log.tell("todo", Level::DEBUG, "for the author alone");
        log.tell("todo", Level::INFO, "two");
        assert_eq!(
            log.take(str::to_owned),
            [
                "plugin todo: warning: [2Jone\nplugin todo: completed: all is well",
                "plugin todo: two"
            ]
        );
        assert!(log.take(str::to_owned).is_empty());
    }

    #[test]
    fn a_secret_over_several_lines_is_redacted_before_the_lines_are_marked() {
        let log = PluginLog::default();
        log.tell("todo", Level::INFO, "key: a\nb");
        assert_eq!(
            log.take(|text| text.replace("a\nb", "[redacted]")),
            ["plugin todo: key: [redacted]"]
        );
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let log = PluginLog::default();
        for _ in 0..100 {
            log.tell("loud", Level::INFO, &"x".repeat(4000));
        }
        let lines = log.take(str::to_owned);
        assert!(lines.iter().map(String::len).sum::<usize>() <= MOST + 10_000);
        let last = lines.last().map(String::as_str).unwrap_or_default();
        assert!(last.contains("further messages"), "{last}");
    }
}
