//! Check `forbidden-paths`: what a job has no business in is left alone: CI, credentials, generated files, git's own
//! settings; and a lock file only together with its manifest.

use serde::Deserialize;
use worker_plugin::{ChangedFile, Check, Fault, Finding, Job, Report, matches, matches_any};

/// The forbidden paths.
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
    ("yarn.lock", &["package.json", ".yarnrc.yml"]),
    ("pnpm-lock.yaml", &["package.json", "pnpm-workspace.yaml"]),
    ("bun.lock", &["package.json"]),
    ("bun.lockb", &["package.json"]),
    ("deno.lock", &["deno.json", "deno.jsonc", "package.json"]),
    ("poetry.lock", &["pyproject.toml"]),
    ("uv.lock", &["pyproject.toml"]),
    ("pdm.lock", &["pyproject.toml"]),
    ("pylock.toml", &["pyproject.toml"]),
    ("pixi.lock", &["pixi.toml", "pyproject.toml"]),
    ("Pipfile.lock", &["Pipfile"]),
    ("conda-lock.yml", &["environment.yml", "environment.yaml"]),
    ("go.sum", &["go.mod"]),
    ("go.work.sum", &["go.work", "go.mod"]),
    ("Gemfile.lock", &["Gemfile", "*.gemspec"]),
    ("gems.locked", &["gems.rb", "*.gemspec"]),
    ("composer.lock", &["composer.json"]),
    ("mix.lock", &["mix.exs"]),
    ("rebar.lock", &["rebar.config"]),
    ("flake.lock", &["flake.nix"]),
    ("gradle.lockfile", &["build.gradle", "build.gradle.kts"]),
    (
        "buildscript-gradle.lockfile",
        &["build.gradle", "build.gradle.kts"],
    ),
    (
        "packages.lock.json",
        &[
            "*.csproj",
            "*.fsproj",
            "*.vbproj",
            "Directory.Packages.props",
        ],
    ),
    ("paket.lock", &["paket.dependencies"]),
    ("Podfile.lock", &["Podfile"]),
    ("Package.resolved", &["Package.swift", "*.xcodeproj/"]),
    ("Cartfile.resolved", &["Cartfile"]),
    ("pubspec.lock", &["pubspec.yaml"]),
    ("shard.lock", &["shard.yml"]),
    ("stack.yaml.lock", &["stack.yaml"]),
    ("cabal.project.freeze", &["cabal.project", "*.cabal"]),
    ("renv.lock", &["DESCRIPTION", ".Rprofile"]),
    ("conan.lock", &["conanfile.txt", "conanfile.py"]),
    (
        "vcpkg-lock.json",
        &["vcpkg.json", "vcpkg-configuration.json"],
    ),
    ("MODULE.bazel.lock", &["MODULE.bazel"]),
    ("buf.lock", &["buf.yaml"]),
    ("Chart.lock", &["Chart.yaml"]),
    (".terraform.lock.hcl", &["*.tf"]),
    ("devbox.lock", &["devbox.json"]),
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
                if let Some((rule, why)) = self.judge(path, &changed) {
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
    fn judge(&self, path: &str, changed: &[ChangedFile]) -> Option<(&'static str, String)> {
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
        // A manifest beside the lock file, or below it in a workspace. A first lock file comes with its manifest too: one that
        // appears alone pins what nobody asked for.
        let folder = path.strip_suffix(name).unwrap_or_default();
        let with_manifest = changed.iter().any(|other| {
            std::iter::once(&other.path)
                .chain(&other.previous_path)
                .any(|other| other.starts_with(folder) && matches_any(manifests, other))
        });
        (!with_manifest).then(|| {
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
        assert_eq!(report.is_passed(), report.findings.is_empty());
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
    fn a_lock_file_follows_its_manifest_or_is_a_finding() {
        enum How {
            Added,
            Modified,
            Deleted,
        }
        use How::{Added, Deleted, Modified};
        let rows: &[(&[(&str, How)], &[&str])] = &[
            (
                &[("Cargo.lock", Modified), ("host/Cargo.toml", Modified)],
                &[],
            ),
            (&[("Cargo.lock", Added), ("Cargo.toml", Added)], &[]),
            (&[("Cargo.lock", Deleted), ("Cargo.toml", Deleted)], &[]),
            (&[("yarn.lock", Added)], &["lock-file yarn.lock"]),
            (
                &[("Cargo.lock", Added), ("src/lib.rs", Modified)],
                &["lock-file Cargo.lock"],
            ),
            (
                &[("web/pnpm-lock.yaml", Added)],
                &["lock-file web/pnpm-lock.yaml"],
            ),
            (&[("go.sum", Deleted)], &["lock-file go.sum"]),
            (
                &[("ios/Podfile.lock", Modified), ("ios/Podfile", Modified)],
                &[],
            ),
            (&[("deno.lock", Modified)], &["lock-file deno.lock"]),
            (
                &[
                    ("src/App/packages.lock.json", Modified),
                    ("src/App/App.csproj", Modified),
                ],
                &[],
            ),
            // A manifest of another project explains nothing.
            (
                &[
                    ("web/package-lock.json", Modified),
                    ("api/package.json", Modified),
                ],
                &["lock-file web/package-lock.json"],
            ),
            (
                &[("uv.lock", Modified), ("package.json", Modified)],
                &["lock-file uv.lock"],
            ),
            // What only sounds like a lock.
            (
                &[("src/lock.rs", Added), ("docs/Cargo.lock.md", Added)],
                &[],
            ),
        ];
        for (files, wanted) in rows {
            let mut job = FakeJob::default();
            for (path, how) in *files {
                job = match how {
                    Added => job.added(path, "a"),
                    Modified => job.modified(path, "a", "b"),
                    Deleted => job.deleted(path, "a"),
                };
            }
            let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
            assert_eq!(rules("{}", &job), *wanted, "{names:?}");
        }
        let renamed = FakeJob::default().added("yarn.lock", "x");
        assert!(rules(r#"{"allow": ["yarn.lock"]}"#, &renamed).is_empty());
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
