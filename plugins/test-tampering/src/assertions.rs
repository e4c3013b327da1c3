//! What a line asserts.

/// Whether a line asserts something, in whatever language.
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

/// How exactly a line compares: equality says more than truth.
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

/// `assert!(true)`, `expect(x).toBe(x)`, `assertEqual(1, 1)`, `... || true`.
pub(crate) fn is_always_true(code: &str) -> bool {
    if !asserts(code) {
        return false;
    }
    let dense: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let lower = dense.to_ascii_lowercase();
    const TRUTHS: &[&str] = &[
        "assert!(true",
        "(true).tobe(true)",
        "(true).toequal(true)",
        "(true).tobetruthy()",
        "asserttrue(true",
        "assert.ok(true",
        "assert(true",
        "assert.true(t,true",
        "assert.istrue(true",
    ];
    let is_python = lower == "asserttrue" || lower.starts_with("asserttrue,") || lower == "assert1";
    if is_python
        || TRUTHS.iter().any(|truth| lower.contains(truth))
        || lower.contains("||true)")
        || lower.ends_with("ortrue")
    {
        return true;
    }
    same_arguments(&dense) || same_expectation(&dense) || same_sides(code)
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

/// `assert 1 == 1`
fn same_sides(code: &str) -> bool {
    let Some(condition) = code.trim().strip_prefix("assert ") else {
        return false;
    };
    let condition = condition.split(", \"").next().unwrap_or(condition);
    condition
        .split_once("==")
        .is_some_and(|(left, right)| left.trim() == right.trim() && !left.trim().is_empty())
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
        ];
        for (line, wanted) in rows {
            assert_eq!(is_always_true(line), wanted, "{line}");
        }
    }
}
