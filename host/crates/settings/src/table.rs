//! The one table of settings: `.env.example`, the README's table and `doctor` are checked against it.

/// One setting as users know it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in the environment, in `.env`, in the config file and after `--set`.
    pub name: &'static str,
    /// The default as a user would type it; none where the setting is off or found out at run time.
    pub default: Option<&'static str>,
    /// One sentence: what it means, its unit and its range.
    pub doc: &'static str,
    /// True if the value must never be shown, logged or passed on a command line.
    pub secret: bool,
}

const fn plain(name: &'static str, default: Option<&'static str>, doc: &'static str) -> Setting {
    Setting {
        name,
        default,
        doc,
        secret: false,
    }
}

const fn secret(name: &'static str, doc: &'static str) -> Setting {
    Setting {
        name,
        default: None,
        doc,
        secret: true,
    }
}

/// Every setting, in the order in which people meet them.
pub const SETTINGS: &[Setting] = &[
    plain(
        "SANDBOX_ROOT",
        None,
        "Absolute directory that must contain every path of a job and of analyze; without it start and analyze refuse.",
    ),
    plain(
        "ONEAPI_BASE_URL",
        None,
        "Gateway URL (http or https); used with ONEAPI_API_KEY.",
    ),
    secret("ONEAPI_API_KEY", "Key of the gateway in ONEAPI_BASE_URL."),
    plain(
        "ANTHROPIC_BASE_URL",
        None,
        "Gateway URL when ONEAPI_BASE_URL is not set; used with ANTHROPIC_API_KEY, never with the other key.",
    ),
    secret(
        "ANTHROPIC_API_KEY",
        "Key of the gateway in ANTHROPIC_BASE_URL.",
    ),
    plain(
        "CLAUDE_MODEL",
        None,
        "The gateway's model; start.model overrides it for one job.",
    ),
    plain(
        "ANTHROPIC_MODEL",
        None,
        "The gateway's model when CLAUDE_MODEL is not set.",
    ),
    plain(
        "CLAUDE_CODE_MODEL",
        Some("sonnet"),
        "Name given to `claude --model` for its local validation only; the gateway never sees it.",
    ),
    plain(
        "CLAUDE_PERMISSION_MODE",
        Some("acceptEdits"),
        "default, acceptEdits, dontAsk, plan or bypassPermissions; start.permission_mode overrides it.",
    ),
    plain(
        "ALLOW_BYPASS_PERMISSIONS",
        Some("0"),
        "1 allows bypassPermissions, from the setting and from the argument.",
    ),
    plain(
        "USE_OPENAI_ADAPTER",
        Some("1"),
        "1 translates to chat completions; 0 relays to a gateway that speaks Anthropic messages.",
    ),
    plain(
        "WORKER_TOOLSETS",
        Some("jobs,analyze,reading"),
        "Tools that the planner gets, comma-separated: jobs (start, get, tail, wait, cancel, apply), analyze, reading (search).",
    ),
    plain(
        "WAIT_DEFAULT_MS",
        Some("240000"),
        "Milliseconds that wait waits when the call has no timeout_ms, 0 to 86400000; keep it below Codex's tool_timeout_sec.",
    ),
    plain(
        "INCLUDE_DIFF_DEFAULT",
        Some("0"),
        "1 puts the diff into results when the call has no include_diff; the diff is always an artifact.",
    ),
    plain(
        "DIFF_MAX_BYTES",
        Some("20000"),
        "Most bytes of diff in a reply; max_diff_bytes counts too, and the smaller wins.",
    ),
    plain(
        "CHECK_OUTPUT_RESPONSE_MAX",
        Some("2000"),
        "Most bytes of one check's digest in a reply.",
    ),
    plain(
        "MAX_RUNNING_JOBS",
        Some("4"),
        "Jobs that run at the same time, 1 to 100; further ones queue.",
    ),
    plain(
        "WORKER_ISOLATION",
        Some("none"),
        "none: a job works in your checkout; worktree: in its own tree; start.isolation overrides it.",
    ),
    plain(
        "WORKER_ESCALATE_MODEL",
        None,
        "Stronger model for a revise pass after a failed one, and for nothing else.",
    ),
    plain(
        "WORKER_LITE_MODEL",
        None,
        "Cheaper model for analyze and side requests; the main model when not set.",
    ),
    plain(
        "FALLBACK_BASE_URL",
        None,
        "Second gateway, used when the first one fails, with FALLBACK_API_KEY.",
    ),
    secret(
        "FALLBACK_API_KEY",
        "Key of the gateway in FALLBACK_BASE_URL.",
    ),
    plain(
        "FALLBACK_MODELS",
        None,
        "Models to try on the second gateway, comma-separated, at most 3; the main model when not set.",
    ),
    plain(
        "WORKER_METRICS_FILE",
        None,
        "JSONL file that gets a line for each gateway request; the job store has them too.",
    ),
    plain(
        "WORKER_PRICE_INPUT",
        None,
        "US dollars for a million input tokens, for reports and for caps that a job asks for.",
    ),
    plain(
        "WORKER_PRICE_OUTPUT",
        None,
        "US dollars for a million output tokens.",
    ),
    plain(
        "WORKER_PRICE_CACHE",
        None,
        "US dollars for a million input tokens read from the gateway's cache; the input price when not set.",
    ),
    plain(
        "WORKER_PRICE_TABLE",
        None,
        "Prices by model: a JSON object {\"model\": {\"input\": 1, \"output\": 2, \"cache\": 0.1}}, or the absolute path of a file with it.",
    ),
    plain(
        "WORKER_DIALECT",
        None,
        "Gateway preset or dialect plugin; chosen by the gateway's URL when not set, else openai.",
    ),
    plain(
        "WORKER_GATEWAY_RETRIES",
        Some("2"),
        "Quick retries of one request on one gateway, 0 to 10; 0 turns every retry off. Claude Code itself makes up to 2 more.",
    ),
    plain(
        "WORKER_GATEWAY_PATIENCE_MS",
        Some("60000"),
        "Milliseconds that a request waits in all for a gateway that is down or answers 429 or 5xx, asking again; 600000 outlasts ten minutes.",
    ),
    plain(
        "WORKER_GATEWAY_IDLE_MS",
        Some("240000"),
        "Milliseconds without a byte after which a gateway's answer counts as broken; keep it below WORKER_STALL_MS.",
    ),
    plain(
        "WORKER_CHECK_BEFORE",
        Some("1"),
        "1 also runs a job's command checks once on the base, in a tree of their own while the agent works, so that the result says whether they passed before; 0 does not.",
    ),
    plain(
        "WORKER_SIGNING_KEY",
        None,
        "Ed25519 key (PEM) that signs the statement of each job; signing-key.pem in the config folder when not set, which `setup` makes.",
    ),
    plain(
        "WORKER_ALLOWED_TOOLS",
        None,
        "What the agent may run in acceptEdits, comma-separated; when not set Bash(*) in a confined job, else only the checks' commands.",
    ),
    plain(
        "WORKER_SANDBOX",
        Some("auto"),
        "auto confines as far as the kernel can and says how far, required refuses where it cannot, off does not confine.",
    ),
    plain(
        "WORKER_SANDBOX_READ",
        None,
        "Further paths that agent and checks may read, separated like PATH.",
    ),
    plain(
        "WORKER_SANDBOX_WRITE",
        None,
        "Further paths that agent and checks may write, separated like PATH.",
    ),
    plain(
        "WORKER_TASK_MEMORY_MB",
        None,
        "Most MB of memory that an agent's pass or a check may have at once, all its processes together, before it is ended; 0: no limit; three quarters of the machine's when not set.",
    ),
    plain(
        "WORKER_TASK_DISK_MB",
        Some("20480"),
        "Most MB that an agent's pass or a check may write to disk and keep there before it is ended; 0: no limit.",
    ),
    plain(
        "WORKER_JOB_TIMEOUT_MS",
        Some("1800000"),
        "Milliseconds for a whole job without its time in the queue; start.timeout_ms overrides it.",
    ),
    plain(
        "WORKER_KEEP_DAYS",
        Some("30"),
        "Days that a job is kept after its end, before it is announced in `jobs` and `doctor` and deleted a day later; 0 keeps jobs of any age.",
    ),
    plain(
        "WORKER_KEEP_MB",
        Some("5000"),
        "Megabytes on the disk that jobs may take together, before the oldest are announced and deleted in the same way; 0 sets no limit.",
    ),
    plain(
        "WORKER_QUEUE_MS",
        Some("43200000"),
        "Milliseconds that a job waits for a slot and for its checkout, after which it ends as timed_out.",
    ),
    plain(
        "WORKER_STALL_MS",
        Some("300000"),
        "Milliseconds without any event after which a job ends as timed_out.",
    ),
    plain(
        "WORKER_CHECK_ENV",
        None,
        "Names of variables that checks and agent may see, comma-separated; their values count as secrets.",
    ),
    plain(
        "WORKER_CLAUDE_BIN",
        None,
        "The Claude Code to run; claude on PATH when not set.",
    ),
    plain(
        "WORKER_AGENT_PROFILE",
        Some("bare"),
        "How much of Claude Code is loaded into each request: bare (about 4 KB), slim (49 KB) or full (120 KB).",
    ),
    plain(
        "WORKER_PLUGIN_MAX_BYTES",
        Some("33554432"),
        "Largest plugin component that is accepted, in bytes; one in Python has about 18 MB.",
    ),
    plain(
        "WORKER_UPDATE_URL",
        Some("https://registry.npmjs.org/mcp-codex-worker/latest"),
        "Address that update --check asks for the newest release: npm's registry, or GitHub's releases/latest.",
    ),
    plain(
        "WORKER_STATE_DIR",
        None,
        "Folder of the job store; $XDG_STATE_HOME/mcp-codex-worker or ~/.local/state/mcp-codex-worker when not set.",
    ),
    plain(
        "WORKER_CACHE_DIR",
        None,
        "Folder of compiled plugins and the demo's clients; $XDG_CACHE_HOME/mcp-codex-worker or ~/.cache/mcp-codex-worker when not set.",
    ),
    plain(
        "WORKER_LOG",
        Some("warn"),
        "Log filter, such as info or mcp_codex_worker=debug; read from the environment only. When not set, the log file gets info.",
    ),
    plain(
        "WORKER_LOG_FILE",
        None,
        "File that every process appends its log to, 16 MB with the rotated ones (.1 to .3); logs/worker.log in the state folder when not set, off for none.",
    ),
    plain(
        "WORKER_LOG_FORMAT",
        Some("text"),
        "Format of the log file: text or json.",
    ),
];

/// The setting of that name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
