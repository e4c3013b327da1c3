//! Redaction through the bundled component: the samples, the streams, the values that the host holds, and what happens when
//! a scanner fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use plugins::{Engine, PluginSet, PluginSettings};
use proptest::prelude::*;
use redact::{
    Hit, KnownValues, Prefilter, Redactor, ScanError, ScanNeeds, Scanner, ScannerSource, Verdicts,
    Window,
};
use serde::Deserialize;
use serde_json::json;

#[path = "../host/benches/corpus/mod.rs"]
#[allow(dead_code, reason = "the benches use the rest")]
mod corpus;

/// The redactor as jobs have it, with the component `secrets`.
fn redactor() -> &'static Redactor {
    static SHARED: OnceLock<Redactor> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redaction-cache");
        let engine = Engine::shared(&cache).expect("an engine");
        let set = PluginSet::load(&engine, &PluginSettings::default());
        Redactor::new(KnownValues::new(), set.redactors())
    })
}

fn with_known(values: &[String]) -> Redactor {
    let mut known = KnownValues::new();
    for value in values {
        known.add("known-value", value);
    }
    redactor().and_known(&known)
}

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    chunks_b64: Vec<String>,
    #[serde(default)]
    known: Vec<String>,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    live: bool,
}

impl Row {
    fn chunks(&self) -> Vec<Vec<u8>> {
        let decode = |chunk: &String| {
            base64::engine::general_purpose::STANDARD
                .decode(chunk)
                .unwrap()
        };
        self.chunks_b64.iter().map(decode).collect()
    }

    /// The part of the secrets that is still in `cut`: a whole one, or a long piece of one.
    fn leak(&self, cut: &str) -> Option<String> {
        self.secrets.iter().find_map(|secret| {
            let characters: Vec<char> = secret.chars().collect();
            let length = characters.len();
            let piece = if length <= 12 {
                length
            } else {
                (length * 2 / 5).max(10)
            };
            let pieces = characters
                .windows(piece)
                .map(|window| window.iter().collect::<String>());
            pieces
                .into_iter()
                .find(|piece| cut.contains(piece.as_str()))
        })
    }

    /// A line without a secret that did not come through.
    fn lost_line<'a>(&'a self, cut: &str) -> Option<&'a str> {
        self.text.split('\n').find(|line| {
            let secret = self.secrets.iter().flat_map(|secret| secret.split('\n'));
            let touched = secret
                .into_iter()
                .any(|part| line.contains(part) || part.contains(line));
            !touched && !cut.split('\n').any(|other| other == *line)
        })
    }
}

fn rows(file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/redaction")
        .join(file);
    let text = std::fs::read_to_string(&path).expect(file);
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn in_chunks<'a>(redactor: &Redactor, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut stream = redactor.stream();
    let mut outs: Vec<String> = chunks
        .into_iter()
        .map(|chunk| stream.push(chunk).into_string())
        .collect();
    outs.push(stream.finish().into_string());
    outs
}

#[test]
fn secrets_go_lines_without_one_stay_and_a_second_pass_changes_nothing() {
    let mut faults = Vec::new();
    for file in ["positives.jsonl", "own-positives.jsonl"] {
        for row in rows(file) {
            let cut = redactor().text(&row.text);
            if let Some(piece) = row.leak(&cut) {
                faults.push(format!("{} {}: leaks {piece}", row.id, row.rule));
            } else if let Some(line) = row.lost_line(&cut) {
                faults.push(format!("{} {}: changes {line:?}", row.id, row.rule));
            } else if redactor().text(&cut) != cut {
                faults.push(format!(
                    "{} {}: a second pass changes {cut:?}",
                    row.id, row.rule
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn ordinary_text_comes_through_byte_for_byte() {
    for file in ["negatives.jsonl", "own-negatives.jsonl"] {
        for row in rows(file) {
            assert_eq!(redactor().text(&row.text), row.text.as_str(), "{}", row.id);
        }
    }
}

#[test]
fn streams_hide_secrets_however_they_are_cut_and_hold_little_back() {
    for row in rows("stream.jsonl") {
        let chunks = row.chunks();
        let outs = in_chunks(redactor(), chunks.iter().map(Vec::as_slice));
        let joined = outs.concat();
        assert_eq!(row.leak(&joined), None, "{} {}", row.id, row.rule);
        if row.exact {
            assert_eq!(joined, row.text, "{}", row.id);
        }
        assert_eq!(
            joined,
            redactor().bytes(&chunks.concat()).as_str(),
            "{}: any cut gives the same",
            row.id
        );
        if row.live {
            let (mut fed, mut shown) = (0, 0);
            for (chunk, out) in chunks.iter().zip(&outs) {
                fed += chunk.len();
                shown += out.len();
                assert!(
                    fed <= shown + 64 * 1024,
                    "{}: {} bytes held back",
                    row.id,
                    fed - shown
                );
            }
        }
    }
}

#[test]
fn values_that_the_host_holds_go_in_every_encoding() {
    for row in rows("known.jsonl") {
        let cut = with_known(&row.known).text(&row.text);
        assert_eq!(row.leak(&cut), None, "{} {}: {cut}", row.id, row.rule);
        assert!(cut.contains("next line stays"), "{}", row.id);
        let alone = Redactor::new(KnownValues::new(), Vec::new()).and_known(&{
            let mut known = KnownValues::new();
            row.known
                .iter()
                .for_each(|value| known.add("known-value", value));
            known
        });
        assert_eq!(
            row.leak(&alone.text(&row.text)),
            None,
            "{}: also without any plugin",
            row.id
        );
    }
}

#[test]
fn a_known_value_of_several_lines_goes_line_by_line() {
    let value =
        "-----BEGIN X-----\nfirst line of it\nsecond-line-of-it\n-----END X-----".to_owned();
    let cut = with_known(&[value]).text("saw second-line-of-it here\nand first line of it\n");
    assert_eq!(
        cut,
        "saw [redacted:known-value] here\nand [redacted:known-value]\n"
    );
}

#[test]
fn colour_codes_and_invisible_characters_hide_nothing() {
    let value = [
        "ghp_6YXfIHZhAB".to_owned(),
        "wTzJ4587BSthrd0tjD1pfymfmi".to_owned(),
    ];
    for between in [
        "\u{1b}[31m",
        "\u{200b}",
        "\\u001b[1m",
        "\\x1b[0m",
        "\u{1b}[0m\u{1b}[1;32m",
        "\u{9b}31m",
        "\u{ad}",
        "\u{34f}",
        "\u{115f}",
        "\u{180e}",
        "\u{2062}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{feff}",
        "\u{fff9}",
        "\u{e0041}",
        "\u{ad}\u{e0041}\u{fe0f}",
    ] {
        let text = format!(
            "x {}{between}{} \u{1b}[32mgreen\u{1b}[0m \u{200b}y",
            value[0], value[1]
        );
        let cut = redactor().text(&text);
        assert_eq!(
            cut, "x [redacted:github-token] \u{1b}[32mgreen\u{1b}[0m \u{200b}y",
            "{between:?}"
        );
    }
}

/// For a scanner a control character ends a token, as NUL does in an environment and BEL after a title; a value that the
/// host knows has no end to look for.
#[test]
fn control_characters_hide_no_known_value_and_end_a_token() {
    let key = "gateway-key-0123456789";
    let redactor = with_known(&[key.to_owned()]);
    let token = "ghp_6YXfIHZhABwTzJ4587BSthrd0tjD1pfymfmi";
    for control in [
        "\0", "\u{7}", "\r", "\u{e}", "\u{1f}", "\u{7f}", "\u{85}", "\u{ad}\0",
    ] {
        let torn: Vec<_> = key.split("").filter(|c| !c.is_empty()).collect();
        let text = format!("A={token}{control}B=1{control}{}\n", torn.join(control));
        let cut = redactor.text(&text);
        assert_eq!(
            cut,
            format!("A=[redacted:github-token]{control}B=1{control}[redacted:known-value]\n")
                .as_str(),
            "{control:?}"
        );
        let in_json = redactor.json(json!({ "log": text })).into_value();
        assert_eq!(in_json["log"], cut.as_str());
        for size in [1, 7] {
            let pieces = text.as_bytes().chunks(size);
            assert_eq!(in_chunks(&redactor, pieces).concat(), cut.as_str());
        }
    }
}

#[test]
fn json_is_redacted_by_name_and_by_value_and_stays_json() {
    let token = "ghp_6YXfIHZhABwTzJ4587BSthrd0tjD1pfymfmi";
    let value = json!({
        "password": "Xk9-\"quoted\"\\w0rd",
        "log": format!("line\n\"{token}\"\tend"),
        token: [1, true, null, "plain"],
        "tokens": 4184,
        "api_key": "k8s7dhf6g5s4a3q2w1e9r8t7",
    });
    let cut = redactor().json(value).into_value();
    assert_eq!(cut["log"], "line\n\"[redacted:github-token]\"\tend");
    assert_eq!(cut["password"], "[redacted:password]");
    assert_eq!(cut["api_key"], "[redacted:api-key]");
    assert_eq!(cut["tokens"], 4184);
    assert_eq!(cut["[redacted:github-token]"][3], "plain");
}

/// Rows long enough to cross windows, with secrets of several kinds.
fn mixed_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z ]{0,200}",
        Just("\n".to_owned()),
        Just("key=ghp_6YXfIHZhABwTzJ4587BSthrd0tjD1pfymfmi ".to_owned()),
        Just("DB_PASSWORD=8ZiK6R^72bg7jL\n".to_owned()),
        Just("postgres://svc:8ZiK6R72bg7jL@db:5432/app\n".to_owned()),
        Just("{\"password\": \"W4dLbw*BH38Ej6\", \"n\": 1}\n".to_owned()),
        Just(format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}-----END RSA PRIVATE KEY-----\n",
            "6HAxlo0TFnbnFL7Qu6zDBPilJlXHs74vaL1RVYVU2sMPMKUqjkRv7kDazEtcvflS\n".repeat(9)
        )),
        Just(format!(
            "{}-----END PRIVATE KEY-----\n",
            "6HAxlo0TFnbnFL7Qu6zDBPilJlXHs74vaL1RVYVU2sMPMKUqjkRv7kDazEtcvflS\n".repeat(5)
        )),
        Just("- name: API_TOKEN\n  value: kJ8sd7Hs6Gt5Fr4De3\n".to_owned()),
        Just("сервер іске қосылды ✅ \u{1b}[31mred\u{1b}[0m\n".to_owned()),
        Just("id,name,password\n1,ci,Tp28CPuHyuv4\n2,x,none\n\n".to_owned()),
        Just("token".to_owned()),
        Just("known-V4lue-of-the-host".to_owned()),
        "[A-Za-z0-9+/]{60,70}\n",
        Just("lorem ipsum dolor ".repeat(700)),
    ];
    prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_batch_result(text in mixed_text(), sizes in prop::collection::vec(1usize..3000, 1..40)) {
        let redactor = with_known(&["known-V4lue-of-the-host".to_owned()]);
        let bytes = text.as_bytes();
        let mut chunks = Vec::new();
        let mut at = 0;
        for size in sizes.iter().cycle() {
            if at >= bytes.len() { break; }
            let end = (at + size).min(bytes.len());
            chunks.push(&bytes[at..end]);
            at = end;
        }
        let streamed = in_chunks(&redactor, chunks).concat();
        let (batch, again) = (redactor.bytes(bytes), redactor.text(&streamed));
        prop_assert_eq!(&streamed, batch.as_str());
        prop_assert_eq!(again.as_str(), &streamed, "a second pass");
    }

    #[test]
    fn arbitrary_bytes_are_cut_the_same_in_any_chunks(bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..50) {
        let streamed = in_chunks(redactor(), bytes.chunks(size)).concat();
        let batch = redactor().bytes(&bytes);
        prop_assert_eq!(&streamed, batch.as_str());
    }

    #[test]
    fn the_native_prefilter_changes_nothing(text in mixed_text()) {
        // Beyond the size from which the prefilter is used, whatever the pieces were.
        let text = format!("{text}{}", "ordinary words without any trigger, for a while\n".repeat(300));
        let full = Redactor::new(KnownValues::new(), redactor_sources(false));
        let (with, without) = (redactor().text(&text), full.text(&text));
        prop_assert_eq!(with.as_str(), without.as_str());
    }
}

/// The bundled scanners; without their prefilter, if so wished.
fn redactor_sources(prefilter: bool) -> Vec<Arc<dyn ScannerSource>> {
    struct Plain(Arc<dyn ScannerSource>);
    struct Whole(Box<dyn Scanner>, ScanNeeds);
    impl ScannerSource for Plain {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
            let scanner = self.0.start()?;
            let needs = ScanNeeds {
                prefilter: Vec::new(),
                ..scanner.needs().clone()
            };
            Ok(Box::new(Whole(scanner, needs)))
        }
    }
    impl Scanner for Whole {
        fn needs(&self) -> &ScanNeeds {
            &self.1
        }
        fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError> {
            self.0.scan(window)
        }
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redaction-cache");
    let engine = Engine::shared(&cache).expect("an engine");
    let sources = PluginSet::load(&engine, &PluginSettings::default()).redactors();
    if prefilter {
        sources
    } else {
        sources
            .into_iter()
            .map(|source| Arc::new(Plain(source)) as Arc<dyn ScannerSource>)
            .collect()
    }
}

/// A scanner of a test: marks `bad`, and fails as it is told to.
#[derive(Clone)]
struct Marks {
    starts: bool,
    fails_on: &'static [u8],
    needs: ScanNeeds,
}

impl Marks {
    fn new(fails_on: &'static [u8]) -> Self {
        Self {
            starts: true,
            fails_on,
            needs: ScanNeeds {
                lookahead: 3,
                ..ScanNeeds::default()
            },
        }
    }
}

impl ScannerSource for Marks {
    fn name(&self) -> &str {
        "marks"
    }
    fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
        if self.starts {
            Ok(Box::new(self.clone()))
        } else {
            Err(ScanError {
                scanner: "marks".into(),
                reason: "is missing".into(),
            })
        }
    }
}

impl Scanner for Marks {
    fn needs(&self) -> &ScanNeeds {
        &self.needs
    }
    fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError> {
        if !self.fails_on.is_empty()
            && window
                .bytes
                .windows(self.fails_on.len())
                .any(|part| part == self.fails_on)
        {
            return Err(ScanError {
                scanner: "marks".into(),
                reason: "trapped".into(),
            });
        }
        let settled = if window.last {
            window.bytes.len()
        } else {
            window.bytes.len().saturating_sub(2).max(window.decided)
        };
        let hits = (window.decided..settled)
            .filter(|&at| window.bytes[at..].starts_with(b"bad"))
            .map(|at| Hit {
                start: at,
                end: at + 3,
                label: "Bad One".into(),
            })
            .collect();
        Ok(Verdicts { hits, settled })
    }
}

#[test]
fn labels_are_made_harmless_and_overlapping_hits_are_one() {
    let scanners: Vec<Arc<dyn ScannerSource>> =
        vec![Arc::new(Marks::new(b"")), Arc::new(Marks::new(b""))];
    let mut known = KnownValues::new();
    known.add("KEY", "abad");
    let cut = Redactor::new(known, scanners).text("a bad abad badbad");
    assert_eq!(
        cut,
        "a [redacted:bad-one] [redacted:key] [redacted:bad-one][redacted:bad-one]"
    );
}

#[test]
fn a_scanner_that_fails_withholds_its_window_and_no_more() {
    let redactor = Redactor::new(KnownValues::new(), vec![Arc::new(Marks::new(b"trap"))]);
    let mut stream = redactor.stream();
    let mut out = stream.push(b"fine bad line\n").into_string();
    out.push_str(&stream.push(b"this is a trap\n"));
    out.push_str(&stream.push(b"and on bad goes\n"));
    out.push_str(&stream.finish());
    assert_eq!(
        out,
        "fine [redacted:bad-one] lin[redacted:withheld]and on [redacted:bad-one] goes\n"
    );
}

#[test]
fn a_scanner_that_does_not_start_withholds_everything() {
    let redactor = Redactor::new(
        KnownValues::new(),
        vec![Arc::new(Marks {
            starts: false,
            ..Marks::new(b"")
        })],
    );
    assert_eq!(redactor.text("all of it\n"), "[redacted:withheld]");
}

#[test]
fn a_scanner_that_lies_about_its_progress_is_not_believed() {
    #[derive(Clone)]
    struct Liar(ScanNeeds);
    impl ScannerSource for Liar {
        fn name(&self) -> &str {
            "liar"
        }
        fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
            Ok(Box::new(self.clone()))
        }
    }
    impl Scanner for Liar {
        fn needs(&self) -> &ScanNeeds {
            &self.0
        }
        fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError> {
            Ok(Verdicts {
                hits: vec![Hit {
                    start: 0,
                    end: window.bytes.len() + 9,
                    label: "x".into(),
                }],
                settled: window.bytes.len(),
            })
        }
    }
    let prefilter = vec![Prefilter {
        literals: vec!["q".into()],
        ignore_case: false,
        before: 0,
        after: 1,
    }];
    let redactor = Redactor::new(
        KnownValues::new(),
        vec![Arc::new(Liar(ScanNeeds {
            prefilter,
            ..ScanNeeds::default()
        }))],
    );
    assert_eq!(redactor.text("text"), "[redacted:withheld]");
}

/// Lines that a slow rule would choke on.
#[test]
fn hostile_lines_come_through_in_bounded_work() {
    let size = 256 * 1024;
    for unit in [
        "a",
        "token=",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ.",
        "\\\"",
        "password\\\\\\\"",
        "&sig=",
        "mysql -p",
        "Z2hwX",
        "AAAA",
        "\"d\":\"",
        "insert into t (",
        ",password",
        "kind: Secret ",
        "secret: [\"",
        "MII",
        "=,",
        "curl -u ",
        "<D>",
        "\u{1b}[",
        "authorization: ",
    ] {
        let line = unit.repeat(size / unit.len());
        let cut = redactor().text(&line);
        assert!(cut.len() <= line.len() * 4);
    }
}

/// The program as a filter: one process for all rows.
fn filter(arguments: &[&str], input: Vec<u8>) -> std::process::Output {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"))
        .arg("redact")
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env(
            "WORKER_CACHE_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("redaction-cache"),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // Whoever stops reading is told about below.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn the_filter_answers_texts_streams_and_known_values_line_by_line() {
    let mut input = Vec::new();
    let mut rows_asked = Vec::new();
    for file in [
        "positives.jsonl",
        "negatives.jsonl",
        "stream.jsonl",
        "known.jsonl",
    ] {
        for row in rows(file) {
            let question = if !row.chunks_b64.is_empty() {
                json!({"id": row.id, "chunks_b64": row.chunks_b64})
            } else if !row.known.is_empty() {
                json!({"id": row.id, "text": row.text, "known": row.known})
            } else {
                json!({"id": row.id, "text": row.text})
            };
            input.extend_from_slice(question.to_string().as_bytes());
            input.push(b'\n');
            rows_asked.push(row);
        }
    }
    // The last line without its end.
    input.pop();
    let output = filter(&["--jsonl"], input);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers: Vec<serde_json::Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(answers.len(), rows_asked.len());
    for (row, answer) in rows_asked.iter().zip(&answers) {
        assert_eq!(answer["id"], row.id.as_str());
        let text = if row.chunks_b64.is_empty() {
            assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
            answer["text"].as_str().unwrap().to_owned()
        } else {
            let outs = answer["outs"].as_array().unwrap();
            assert_eq!(outs.len(), row.chunks_b64.len() + 1, "{}", row.id);
            outs.iter().map(|out| out.as_str().unwrap()).collect()
        };
        assert_eq!(row.leak(&text), None, "{} {}", row.id, row.rule);
        if row.exact || row.secrets.is_empty() && !row.text.is_empty() && row.chunks_b64.is_empty()
        {
            assert_eq!(text, row.text, "{}", row.id);
        }
    }
}

#[test]
fn the_filter_takes_any_bytes_and_says_what_it_cannot_read() {
    let mut input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    input.extend_from_slice(b"\ntoken ghp_6YXfIHZhABwTzJ4587BSthrd0tjD1pfymfmi end");
    let output = filter(&[], input);
    assert!(output.status.success());
    assert!(
        output
            .stdout
            .ends_with(b"\ntoken [redacted:github-token] end")
    );

    let bad = b"{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"ghp_6YXfIHZhABwTzJ4587BSthrd0tjD1pfymfmi\"\n".to_vec();
    let output = filter(&["--jsonl"], bad);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"{\"id\":1,\"text\":\"a\"}\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2") && !said.contains("ghp_"), "{said}");
}

/// A line made to hurt costs what it is long, not that times how far the rules look; and its pieces cost little more than
/// the whole. Counted in instructions of the component, which are the same on any machine; `cargo bench --bench redaction
/// hostile` has the seconds.
#[test]
fn no_line_costs_more_than_its_length_however_it_is_made_and_cut() {
    const SIZE: usize = 12 << 10;
    /// Half as much again as the worst line takes.
    const MOST_A_BYTE: u64 = 90_000;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redaction-measured-cache");
    let engine = Engine::measuring(&cache).expect("an engine");
    let plugin = PluginSet::load(&engine, &PluginSettings::default())
        .redactor("secrets")
        .unwrap();
    let redactor = Redactor::new(
        KnownValues::new(),
        vec![Arc::clone(&plugin) as Arc<dyn ScannerSource>],
    );
    let cost = |text: &str, piece: usize| {
        let before = plugin.cost();
        let cut = in_chunks(&redactor, text.as_bytes().chunks(piece)).concat();
        assert!(!cut.contains("[redacted:withheld]"));
        plugin.cost().since(&before).fuel
    };
    cost("the first instance tells what it needs to see", SIZE);
    let mut faults = Vec::new();
    let mut most = (0, "");
    for (short, long) in corpus::hostile(SIZE).iter().zip(corpus::hostile(SIZE * 2)) {
        let name = short.name;
        let once = cost(&short.text, usize::MAX);
        let twice = cost(&long.text, usize::MAX);
        let pieces = cost(&long.text, 1 << 10);
        let a_byte = twice.max(pieces) / (SIZE as u64 * 2);
        most = most.max((a_byte, name));
        // The end of a text is seen twice, so that the longer one may even be cheaper a byte.
        if twice > once * 5 / 2 + 1_000_000 {
            faults.push(format!(
                "{name}: {once} instructions, {twice} for twice the text"
            ));
        }
        if pieces > twice * 8 + 20_000_000 {
            faults.push(format!("{name}: {twice} instructions, {pieces} in pieces"));
        }
        if a_byte > MOST_A_BYTE {
            faults.push(format!("{name}: {a_byte} instructions a byte"));
        }
    }
    assert!(
        faults.is_empty(),
        "{}\nmost: {} instructions a byte, {}",
        faults.join("\n"),
        most.0,
        most.1
    );
}

#[test]
fn a_flood_of_escape_sequences_is_held_back_no_more_than_other_text() {
    let mut stream = redactor().stream();
    let (mut pushed, mut out) = (0, 0);
    for flood in [
        &b"\x1b[m"[..],
        b"\x1b[m\x1b[m\x1b[mx",
        b"\xe2\x80\x8b",
        b"\\u001b[0m",
    ] {
        let piece = flood.repeat(1_000);
        for _ in 0..200 {
            pushed += piece.len();
            out += stream.push(&piece).as_str().len();
            let held = pushed - out;
            assert!(held <= 2 * redact::MAX_HELD_BACK, "{held}");
        }
    }
    assert_eq!(out + stream.finish().as_str().len(), pushed);
}
