//! Check `forbidden-paths`: what a job has no business in is left alone: CI, credentials, generated files, git's own
//! settings; and a lock file only together with its manifest.

use serde::Deserialize;
use worker_plugin::{
    Change, ChangedFile, Check, Fault, Finding, Job, Report, matches, matches_any,
};

/// What is forbidden.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Further globs.
    pub forbid: Vec<String>,
    /// Globs that may change whatever else is said.
    pub allow: Vec<String>,
}

/// Globs, and why not.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "ci",
        &[
            ".github/workflows/",
            ".github/actions/",
            ".gitlab-ci.yml",
            ".gitlab/",
            ".circleci/",
            ".buildkite/",
            "azure-pipelines.yml",
            "Jenkinsfile",
            ".travis.yml",
            "bitbucket-pipelines.yml",
            ".drone.yml",
            ".woodpecker/",
            "CODEOWNERS",
        ],
        "CI decides what is merged; a person changes it",
    ),
    (
        "credentials",
        &[
            ".env",
            ".env.*",
            "*.pem",
            "*.key",
            "*.p12",
            "*.pfx",
            "*.keystore",
            "id_rsa",
            "id_ed25519",
            ".npmrc",
            ".pypirc",
            ".netrc",
            "credentials.json",
        ],
        "it holds credentials",
    ),
    (
        "git",
        &[
            ".gitattributes",
            ".gitmodules",
            ".git/",
            ".husky/",
            ".pre-commit-config.yaml",
            "lefthook.yml",
        ],
        "git runs or believes it",
    ),
    (
        "generated",
        &[
            "dist/",
            "*.min.js",
            "*.min.css",
            "*.map",
            "*.pb.go",
            "*_pb2.py",
            "*_pb2_grpc.py",
            "*.pb.rs",
            "*.generated.*",
            "*_generated.*",
            "*.g.dart",
            "__generated__/",
            "vendor/",
            "third_party/",
            "node_modules/",
        ],
        "it is generated or somebody else's: change its source",
    ),
    (
        "agent",
        &[
            ".claude/",
            ".codex/",
            ".mcp.json",
            ".cursor/",
            ".vscode/",
            ".idea/",
            ".envrc",
            ".devcontainer/",
        ],
        "it sets up tools on other people's machines",
    ),
];

/// Examples carry no credentials.
const HARMLESS: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "*.pub.pem",
];

/// Lock files, with the manifests that they follow.
const LOCKS: &[(&str, &[&str])] = &[
    ("Cargo.lock", &["Cargo.toml"]),
    ("package-lock.json", &["package.json"]),
    ("npm-shrinkwrap.json", &["package.json"]),
    ("yarn.lock", &["package.json"]),
    ("pnpm-lock.yaml", &["package.json", "pnpm-workspace.yaml"]),
    ("bun.lock", &["package.json"]),
    ("poetry.lock", &["pyproject.toml"]),
    ("uv.lock", &["pyproject.toml"]),
    ("pdm.lock", &["pyproject.toml"]),
    ("Pipfile.lock", &["Pipfile"]),
    ("go.sum", &["go.mod"]),
    ("Gemfile.lock", &["Gemfile", "*.gemspec"]),
    ("composer.lock", &["composer.json"]),
    ("mix.lock", &["mix.exs"]),
    ("flake.lock", &["flake.nix"]),
    ("gradle.lockfile", &["build.gradle", "build.gradle.kts"]),
];

/// The check.
pub struct ForbiddenPaths {
    settings: Settings,
}

impl Check for ForbiddenPaths {
    type Settings = Settings;
    const SUMMARY: &'static str = "CI, credentials, generated and lock files are left alone";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(ForbiddenPaths { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let changed = job.changed();
        let mut findings = Vec::new();
        for file in &changed {
            // A rename takes a file away in one place and makes it in another.
            for path in std::iter::once(&file.path).chain(&file.previous_path) {
                if let Some((rule, why)) = self.judge(path, file, &changed) {
                    let finding =
                        Finding::error(rule, format!("{path} may not change: {why}")).in_file(path);
                    findings.push(finding.hint("put this file back as it was"));
                    break;
                }
            }
        }
        Ok(Report::of(findings))
    }
}

impl ForbiddenPaths {
    fn judge(
        &self,
        path: &str,
        file: &ChangedFile,
        changed: &[ChangedFile],
    ) -> Option<(&'static str, String)> {
        if matches_any(&self.settings.allow, path) {
            return None;
        }
        if let Some(glob) = self.settings.forbid.iter().find(|glob| matches(glob, path)) {
            return Some(("forbidden", format!("the settings forbid {glob}")));
        }
        if matches_any(HARMLESS, path) {
            return None;
        }
        for (rule, globs, why) in FORBIDDEN {
            if matches_any(globs, path) {
                return Some((rule, (*why).to_owned()));
            }
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let (_, manifests) = LOCKS.iter().find(|(lock, _)| *lock == name)?;
        let mut others = changed.iter();
        let with_manifest = others.any(|other| matches_any(manifests, &other.path));
        // A first lock file belongs to a first manifest, which may be older.
        (!with_manifest && file.change != Change::Added).then(|| {
            (
                "lock-file",
                format!("{} did not change with it", manifests.join(" or ")),
            )
        })
    }
}

worker_plugin::check!(ForbiddenPaths);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    fn rules(settings: &str, job: &FakeJob) -> Vec<String> {
        let report = configured(ForbiddenPaths::new, settings)
            .unwrap()
            .run(job)
            .unwrap();
        assert_eq!(report.passed, report.findings.is_empty());
        report
            .findings
            .into_iter()
            .map(|finding| format!("{} {}", finding.rule, finding.path.unwrap()))
            .collect()
    }

    #[test]
    fn what_a_job_has_no_business_in() {
        let rows: &[(&str, &[&str])] = &[
            ("src/main.rs", &[]),
            (".github/workflows/ci.yml", &["ci .github/workflows/ci.yml"]),
            ("web/.env.production", &["credentials web/.env.production"]),
            (".env.example", &[]),
            (
                "packages/ui/dist/bundle.js",
                &["generated packages/ui/dist/bundle.js"],
            ),
            ("distance/a.js", &[]),
            ("api/v1/x.pb.go", &["generated api/v1/x.pb.go"]),
            (".gitattributes", &["git .gitattributes"]),
            (".claude/settings.json", &["agent .claude/settings.json"]),
            ("deep/Cargo.lock", &["lock-file deep/Cargo.lock"]),
        ];
        for (path, wanted) in rows {
            let job = FakeJob::default().modified(path, "a", "b");
            assert_eq!(rules("{}", &job), *wanted, "{path}");
        }
    }

    #[test]
    fn a_lock_file_may_follow_its_manifest() {
        let job = FakeJob::default()
            .modified("Cargo.lock", "a", "b")
            .modified("host/Cargo.toml", "a", "b");
        assert!(rules("{}", &job).is_empty());
        assert!(rules("{}", &FakeJob::default().added("yarn.lock", "x")).is_empty());
    }

    #[test]
    fn settings_add_and_take_away() {
        let job = FakeJob::default()
            .modified("db/schema.sql", "a", "b")
            .modified("vendor/x.go", "a", "b");
        assert_eq!(
            rules(r#"{"forbid": ["db/**"], "allow": ["vendor/"]}"#, &job),
            ["forbidden db/schema.sql"]
        );
    }
}
