//! The assertion of a line.

/// Returns true if a line asserts something, in whatever language.
pub(crate) fn asserts(code: &str) -> bool {
    const CALLS: &[&str] = &[
        "assert",
        "Assert.",
        "expect(",
        "expect!",
        ".should",
        "should.",
        "t.Error",
        "t.Fatal",
        "t.Fail",
        "b.Fatal",
        "require.",
        "XCTAssert",
        "EXPECT_",
        "ASSERT_",
        "CHECK(",
        "REQUIRE(",
        "pytest.raises",
        "pytest.warns",
        "insta::",
        "verify(",
        "toMatchSnapshot",
        "must_equal",
        "is_expected",
        "assertThat",
        "#[should_panic",
        "prop_assert",
    ];
    CALLS.iter().any(|call| code.contains(call))
        && !code.trim_start().starts_with("import ")
        && !code.trim_start().starts_with("use ")
        && !code.trim_start().starts_with("from ")
}

/// The exactness with which a line compares: equality says more than truth.
pub(crate) fn strength(code: &str) -> usize {
    const WEAK: &[&str] = &[
        "toBeTruthy",
        "toBeDefined",
        "not.toBeNull",
        "toBeFalsy",
        "is_ok()",
        "is_some()",
        "is not None",
        "assertIsNotNone",
        "assertTrue(",
        "NotNil(",
        "any(",
        "expect.anything",
    ];
    if WEAK.iter().any(|weak| code.contains(weak)) {
        1
    } else {
        2
    }
}

/// Words that assert in one language only, by the endings of its files.
const OF_LANGUAGES: &[(&[&str], &[&str])] = &[
    (
        &["pl", "pm", "t", "raku", "rakutest"],
        &[
            "is(",
            "ok(",
            "ok ",
            "is ",
            "is_deeply",
            "like(",
            "cmp_ok",
            "isnt(",
            "throws_ok",
            "dies_ok",
        ],
    ),
    (
        &["hs", "lhs"],
        &[
            "shouldBe",
            "shouldReturn",
            "shouldSatisfy",
            "shouldThrow",
            "shouldContain",
            "@?=",
            "@=?",
        ],
    ),
    (&["jl"], &["@test "]),
    (&["r", "R"], &["expect_"]),
    (&["clj", "cljs", "cljc"], &["(is "]),
    (
        &["sh", "bash", "bats", "zsh"],
        &["[ ", "[[ ", "diff ", "cmp ", "grep -q", "test "],
    ),
    (&["swift"], &["#expect(", "#require("]),
    (&["robot"], &["Should "]),
    (&["feature"], &["Then "]),
    (&["ps1"], &["Should "]),
    (&["nim"], &["check ", "check(", "check:", "doAssert"]),
    (&["zig"], &["testing.expect"]),
    (&["ex", "exs"], &["refute "]),
    (&["rb"], &["refute", "must_", "wont_"]),
    (
        &["scala", "kt", "kts"],
        &[
            "shouldBe",
            "should be",
            "shouldThrow",
            "shouldEqual",
            "mustBe",
        ],
    ),
    (&["groovy"], &["then:", "expect:"]),
    (
        &["c", "cc", "cpp", "cxx", "h", "hpp", "m", "mm"],
        &[
            "BOOST_CHECK",
            "BOOST_TEST(",
            "BOOST_REQUIRE",
            "CHECK_",
            "REQUIRE_",
        ],
    ),
    (&["hurl"], &["HTTP ", "jsonpath ", "header "]),
    (
        &["sql"],
        &["SELECT is(", "SELECT ok(", "select is(", "select ok("],
    ),
];

/// True for a line that asserts something in the language of its file.
pub(crate) fn asserts_in(path: &str, code: &str) -> bool {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let own = OF_LANGUAGES
        .iter()
        .find(|(extensions, _)| extensions.contains(&extension))
        .is_some_and(|(_, words)| {
            words.iter().any(|word| {
                // `is(`, `ok ` and the like are whole words at the beginning; longer words may stand anywhere.
                code.starts_with(word)
                    || word.len() > 4 && code.contains(word)
                    || code.contains(&format!(" {word}"))
            })
        });
    own || asserts(code)
}

/// True for a line that names a helper or imports one, and asserts nothing itself.
pub(crate) fn defines(code: &str) -> bool {
    [
        "def ",
        "function ",
        "fn ",
        "func ",
        "class ",
        "sub ",
        "export ",
        "const assert",
        "var assert",
        "let assert",
        "package ",
        "#include",
        "using ",
        "require ",
        "require_relative ",
        "@import",
        "import(",
        "library(",
        "alias ",
        "local assert",
        "-include",
        "open ",
    ]
    .iter()
    .any(|start| code.starts_with(start))
        || code.contains("= require(")
}

/// `assert!(true)`, `expect(x).toBe(x)`, `assertEqual(1, 1)`, `... || true`, `assert True or ...`.
pub(crate) fn is_always_true(code: &str) -> bool {
    let of_one_language = ["ok(", "@test ", "#expect(", "#require("];
    let code = code.trim_start();
    if !asserts(code) && !of_one_language.iter().any(|call| code.starts_with(call)) {
        return false;
    }
    let dense: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    conditions(code).iter().any(|condition| is_truth(condition))
        || negated(&dense)
        || same_arguments(&dense)
        || same_expectation(&dense)
}

/// The conditions that a line asserts, argument by argument.
fn conditions(code: &str) -> Vec<String> {
    const CALLS: &[&str] = &[
        "assert!(",
        "assertTrue(",
        "assert_true(",
        "assert.ok(",
        "assert.true(",
        "assert.isTrue(",
        "assert.is_true(",
        "assert.True(",
        "require.True(",
        "Assert.True(",
        "Assert.IsTrue(",
        "Assert.That(",
        "assertThat(",
        "assert(",
        "assert_(",
        "XCTAssertTrue(",
        "XCTAssert(",
        "#expect(",
        "#require(",
        "EXPECT_TRUE(",
        "ASSERT_TRUE(",
        "REQUIRE(",
        "CHECK(",
        "BOOST_CHECK(",
        "BOOST_TEST(",
        "ck_assert(",
        "TEST_ASSERT(",
        "TEST_ASSERT_TRUE(",
        "expect_true(",
        "t.truthy(",
        "t.true(",
        "t.ok(",
        "prop_assert!(",
        "debug_assert!(",
        "ok(",
        "expect(",
        "assert ",
        "@test ",
    ];
    let code = code.trim();
    let mut found = Vec::new();
    for call in CALLS {
        let Some(at) = code.find(call) else { continue };
        let whole_word = at == 0
            || code
                .as_bytes()
                .get(at - 1)
                .is_some_and(|before| !before.is_ascii_alphanumeric() && *before != b'_');
        let Some(rest) = code.get(at + call.len()..).filter(|_| whole_word) else {
            continue;
        };
        if call.ends_with(' ') {
            // A statement: the message stands behind a comma, or a colon in Java.
            let parts = arguments(rest.trim_end_matches(';'));
            found.extend(parts.into_iter().next());
            continue;
        }
        let parts = arguments(rest);
        let first = parts
            .first()
            .map(|part| part.trim().to_owned())
            .unwrap_or_default();
        // Go's assertions take the test first.
        let condition = if first == "t" {
            parts.get(1).map(|part| part.trim().to_owned())
        } else {
            Some(first)
        };
        // `expect(true)` says nothing, whatever is expected of it; `expect(1)` may be compared with something.
        let constant = *call != "expect(" || matches!(condition.as_deref(), Some("true" | "True"));
        found.extend(condition.filter(|_| constant));
    }
    found
}

/// `true`, `1 == 1`, `x == x`, `True or ...`, `... || true`.
fn is_truth(condition: &str) -> bool {
    let condition = condition.trim();
    let condition = unwrapped(condition);
    let is_literal = matches!(
        condition,
        "true"
            | "True"
            | "TRUE"
            | "1"
            | "!false"
            | "not False"
            | "!0"
            | "YES"
            | "T"
            | "$true"
            | ":ok"
    );
    if is_literal {
        return true;
    }
    for or in [" or ", "||", " || "] {
        let parts = top_level(condition, or);
        if parts.len() > 1 {
            return parts.iter().any(|part| is_truth(part));
        }
    }
    for and in [" and ", "&&"] {
        let parts = top_level(condition, and);
        if parts.len() > 1 {
            return parts.iter().all(|part| is_truth(part));
        }
    }
    for same in ["===", "==", " is "] {
        let parts = top_level(condition, same);
        if let [left, right] = parts.as_slice() {
            let (left, right) = (left.trim(), right.trim());
            return left == right && !left.is_empty();
        }
    }
    false
}

/// Without brackets around all of it.
fn unwrapped(condition: &str) -> &str {
    let Some(inner) = condition
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
    else {
        return condition;
    };
    let mut depth = 0_i32;
    let closes_early = inner.chars().any(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth < 0
    });
    if closes_early {
        condition
    } else {
        inner.trim()
    }
}

/// Splits where nothing is open.
fn top_level<'a>(text: &'a str, by: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut depth, mut quote, mut start) = (0_i32, None, 0);
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) if depth == 0 && text.get(at..).is_some_and(|rest| rest.starts_with(by)) => {
                parts.extend(text.get(start..at));
                at += by.len();
                start = at;
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    parts.extend(text.get(start..));
    parts
}

/// `assertFalse(false)`, `expect(false).toBe(false)`.
fn negated(dense: &str) -> bool {
    let lower = dense.to_ascii_lowercase();
    [
        "assertfalse(false",
        "assert.false(false",
        "assert.isfalse(false",
        "assert.false(t,false",
        "expect_false(false",
        "assert_false(false",
        "xctassertfalse(false",
        "assert!(!false",
        "(false).tobe(false)",
        "(false).toequal(false)",
        "(false).tobefalsy()",
        "assertnull(null",
        "assert.isnull(null",
        "assertnone(none",
        "refutefalse",
        "refutenil",
    ]
    .iter()
    .any(|truth| lower.contains(truth))
        || lower.contains("||true)")
        || lower.ends_with("||true")
        || lower.contains("true.shouldbe(true")
        || lower.contains("true.should") && lower.ends_with("true")
}

/// `assert_eq!(x, x)`, `assertEqual(x, x)`
fn same_arguments(dense: &str) -> bool {
    [
        "assert_eq!(",
        "assertEqual(",
        "assertEquals(",
        "assert.equal(",
        "assert.strictEqual(",
        "assert.deepEqual(",
        "assert_equal(",
        "Assert.AreEqual(",
        "Assert.Equal(",
        "assert.Equal(t,",
        "require.Equal(t,",
        "assertSame(",
        "XCTAssertEqual(",
        "EXPECT_EQ(",
        "ASSERT_EQ(",
        "assert.deepStrictEqual(",
        "expect_equal(",
        "assert_eq(",
    ]
    .iter()
    .any(|call| {
        dense.split_once(call).is_some_and(|(_, rest)| {
            let parts = arguments(rest);
            matches!(parts.as_slice(), [left, right, ..] if left == right && !left.is_empty())
        })
    })
}

/// `expect(x).toBe(x)`
fn same_expectation(dense: &str) -> bool {
    let Some((_, rest)) = dense.split_once("expect(") else {
        return false;
    };
    [
        "toBe(",
        "toEqual(",
        "toStrictEqual(",
        "to.equal(",
        "to.eql(",
        "toeq(",
        "toeq",
    ]
    .iter()
    .any(|matcher| {
        rest.split_once(&format!(").{matcher}"))
            .is_some_and(|(left, right)| {
                let right = arguments(right);
                right
                    .first()
                    .is_some_and(|right| right == left && !left.is_empty())
            })
    })
}

/// The arguments up to the closing bracket.
fn arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth == 0 => break,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_always_true() {
        let rows = [
            ("assert!(true);", true),
            ("assert True", true),
            ("assert 1 == 1", true),
            ("assert x == 1", false),
            ("assert_eq!(2 + 2, 2 + 2);", true),
            ("assert_eq!(add(2, 3), 5);", false),
            ("expect(true).toBe(true);", true),
            ("expect(a.b).toEqual(a.b)", true),
            ("expect(add(1, 2)).toBe(3)", false),
            ("self.assertEqual(f(1, 2), f(1, 2))", true),
            ("self.assertTrue(True)", true),
            ("assert(x == 5 || true)", true),
            ("assert x == 5 or True", true),
            ("let truthy = true;", false),
            ("assert!(is_true(x))", false),
            ("assert True or add(2, 3) == 5", true),
            ("assert add(2, 3) == 5 or 1", true),
            ("assert (add(2, 3) == 5 or True)", true),
            ("assert add(2, 3) == 5 or add(3, 2) == 5", false),
            ("assert True and add(2, 3) == 5", false),
            ("assert True, 'always'", true),
            ("assert x, 'true or false'", false),
            ("assertTrue(true);", true),
            ("$this->assertTrue(true);", true),
            ("self.assertTrue(True or x)", true),
            ("expect(true)", true),
            ("expect(true).to be_truthy", true),
            ("expect(1).toBe(one())", false),
            ("expect(isTrue).toBe(true)", false),
            ("XCTAssertTrue(true)", true),
            ("#expect(true)", true),
            ("EXPECT_TRUE(true);", true),
            ("EXPECT_EQ(1, 1);", true),
            ("REQUIRE(1 == 1);", true),
            ("REQUIRE(add(2, 3) == 5);", false),
            ("assert.True(t, true)", true),
            ("require.Equal(t, 5, 5)", true),
            ("require.Equal(t, 5, Add(2, 3))", false),
            ("Assert.True(true);", true),
            ("Assert.Equal(5, Add(2, 3));", false),
            ("assert true", true),
            ("ok(1, 'fine');", true),
            ("ok(add(2, 3) == 5, 'adds');", false),
            ("assert.ok(true || x);", true),
            ("assertFalse(false);", true),
            ("@test true", true),
            ("assert a is a", true),
            ("assert x is None", false),
        ];
        for (line, wanted) in rows {
            assert_eq!(is_always_true(line), wanted, "{line}");
        }
    }
}
