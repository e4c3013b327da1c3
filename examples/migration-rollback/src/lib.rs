//! Check `migration-rollback`: every changed `NAME.up.sql` has a `NAME.down.sql` that is not empty.

use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, ReadError, Report, files};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder of the migrations.
    #[serde(default = "default_folder")]
    folder: String,
}

fn default_folder() -> String {
    "migrations".to_owned()
}

struct MigrationRollback {
    settings: Settings,
}

impl Check for MigrationRollback {
    type Settings = Settings;
    const SUMMARY: &'static str = "every migration has a rollback";
    const SCHEMA: Option<&'static str> = Some(
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": { "folder": { "type": "string", "minLength": 1 } }
        }"#,
    );

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(MigrationRollback { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let prefix = format!("{}/", self.settings.folder.trim_end_matches('/'));
        let mut report = Report::passed("");
        let mut seen = 0;
        for file in job.changed() {
            let Some(name) = file.path.strip_prefix(&prefix).and_then(|path| path.strip_suffix(".up.sql")) else {
                continue;
            };
            if file.is_deleted() {
                continue;
            }
            seen += 1;
            let down = format!("{prefix}{name}.down.sql");
            // The rollback may have been there before the job, so it need not be among the changed files: this is what
            // the grant `files` is for.
            match files::text(job, &down) {
                Ok(text) if has_statement(&text) => {}
                Ok(_) => report.add(
                    Finding::error("empty-rollback", "the rollback does nothing").in_file(&down).hint("write the SQL that undoes the migration"),
                ),
                Err(ReadError::NotFound) => {
                    let finding = Finding::error("no-rollback", format!("{} has no rollback", file.path)).in_file(&file.path);
                    report.add(finding.hint(format!("add {down} with the SQL that undoes it")));
                }
                Err(error) => return Err(error.into()),
            }
        }
        report.summary = format!("{seen} migrations");
        Ok(report)
    }
}

/// Returns true if anything stands in it but blank lines and comments.
fn has_statement(sql: &str) -> bool {
    sql.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with("--"))
}

worker_plugin::check!(MigrationRollback);

#[cfg(test)]
mod tests {
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    #[test]
    fn a_migration_without_a_rollback_fails() {
        let check = configured(MigrationRollback::new, "{}").unwrap();
        let job = FakeJob::default().added("migrations/7_users.up.sql", "create table users (id int);");
        let report = check.run(&job).unwrap();
        assert!(!report.is_passed());
        assert_eq!(report.findings[0].rule, "no-rollback");
        let job = job.added("migrations/7_users.down.sql", "drop table users;");
        assert!(check.run(&job).unwrap().is_passed());
    }
}
