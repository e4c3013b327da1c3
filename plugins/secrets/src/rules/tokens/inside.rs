//! Tokens whose telling part is inside or at the end.

use crate::boundary::starts_here;
use crate::class::Class;
use crate::rule::{AROUND, Family, Out, families};
use crate::text::Text;
use crate::value::random;

/// A run of characters beside the telling part.
#[derive(Clone, Copy)]
struct Side {
    class: Class,
    /// The most characters that are looked at.
    seen: usize,
    /// The fewest and the most that a token has of them.
    fewest: usize,
    most: usize,
}

/// The part of a token that must look random.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Random {
    Nothing,
    Behind,
    All,
}

/// A kind of token.
#[derive(Clone, Copy)]
struct Kind {
    /// The telling part as issued; a `?` is any character, of which `literals` has all.
    part: &'static str,
    literals: &'static [&'static str],
    before: Side,
    behind: Side,
    /// The fewest and the most characters of the whole token.
    length: (usize, usize),
    /// Characters at a place in the token.
    holds: (usize, &'static str),
    random: Random,
    /// A word must be able to begin with the token.
    bounded: bool,
    /// No letter or digit follows.
    ends: bool,
    label: &'static str,
}

/// No upper limit.
const MANY: usize = usize::MAX;

const fn side(class: Class, seen: usize, fewest: usize, most: usize) -> Side {
    Side {
        class,
        seen,
        fewest,
        most,
    }
}

const NONE: Side = side(Class::Word, 0, 0, 0);

const KIND: Kind = Kind {
    part: "",
    literals: &[],
    before: NONE,
    behind: NONE,
    length: (0, MANY),
    holds: (0, ""),
    random: Random::Nothing,
    bounded: false,
    ends: false,
    label: "",
};

/// An Azure key: base64 with its service's letters inside.
const fn azure(part: &'static str, literals: &'static [&'static str]) -> Kind {
    Kind {
        part,
        literals,
        before: side(Class::Base64, 96, 0, 96),
        behind: side(Class::Base64, MANY, 0, MANY),
        length: (50, MANY),
        random: Random::All,
        label: "azure-key",
        ..KIND
    }
}

/// A node's or a server's token of k3s: K10, the hash of the authority, the user, the password.
const fn k3s(part: &'static str, literals: &'static [&'static str]) -> Kind {
    Kind {
        part,
        literals,
        before: side(Class::Word, 80, 67, 67),
        behind: side(Class::Hex, MANY, 16, MANY),
        holds: (0, "K10"),
        label: "k3s-token",
        ..KIND
    }
}

const KINDS: &[Kind] = &[
    Kind {
        part: "_mmk",
        literals: &["_mmk"],
        before: side(Class::Url, 64, 30, 64),
        ends: true,
        label: "maxmind-license",
        ..KIND
    },
    // Yandex S3: YC and 38 more.
    Kind {
        part: "YC?",
        literals: &[
            "yca", "ycb", "ycc", "ycd", "yce", "ycf", "ycg", "ych", "yci", "ycj", "yck", "ycl",
            "ycm", "ycn", "yco", "ycp", "ycq", "ycr", "ycs", "yct", "ycu", "ycv", "ycw", "ycx",
            "ycy", "ycz", "yc0", "yc1", "yc2", "yc3", "yc4", "yc5", "yc6", "yc7", "yc8", "yc9",
            "yc-", "yc_",
        ],
        behind: side(Class::Url, 38, 37, 37),
        random: Random::All,
        bounded: true,
        label: "yandex-secret-key",
        ..KIND
    },
    Kind {
        part: ".acc?",
        literals: &[".acc-", ".acc_"],
        before: side(Class::Dotted, 64, 9, 64),
        behind: side(Class::Dotted64, MANY, 35, MANY),
        random: Random::Behind,
        label: "authress-key",
        ..KIND
    },
    // PayPal and Braintree: two parts behind the environment.
    Kind {
        part: "access_token$",
        literals: &["access_token$"],
        behind: side(Class::Dollar, MANY, 37, MANY),
        label: "paypal-token",
        ..KIND
    },
    // New Relic: the licence ends in its maker's letters.
    Kind {
        part: "NRAL",
        literals: &["nral"],
        before: side(Class::Licence, 48, 32, 48),
        ends: true,
        label: "new-relic-license",
        ..KIND
    },
    // RapidAPI: 50 characters with `msh`, `p1` and `jsn` at their places.
    Kind {
        part: "jsn",
        literals: &["jsn"],
        before: side(Class::Word, 60, 0, 60),
        behind: side(Class::Word, 48, 0, 48),
        length: (50, 50),
        holds: (10, "msh"),
        label: "rapidapi-key",
        ..KIND
    },
    k3s("::server:", &["::server:"]),
    k3s("::node:", &["::node:"]),
    // Telegram: the bot's number, a colon, 35 characters that begin with AA.
    Kind {
        part: ":AA?",
        literals: &[
            ":aaa", ":aab", ":aac", ":aad", ":aae", ":aaf", ":aag", ":aah",
        ],
        before: side(Class::Digits, 12, 7, 12),
        behind: side(Class::Url, 38, 30, 37),
        label: "telegram-token",
        ..KIND
    },
    // Mailchimp: 32 hexadecimal digits and the data centre.
    Kind {
        part: "-us?",
        literals: &[
            "-us1", "-us2", "-us3", "-us4", "-us5", "-us6", "-us7", "-us8", "-us9",
        ],
        before: side(Class::Hex, 40, 32, 32),
        behind: side(Class::Digits, MANY, 0, MANY),
        ends: true,
        label: "mailchimp-key",
        ..KIND
    },
    // Azure AD client secrets.
    Kind {
        part: "?Q~",
        literals: &[
            "0q~", "1q~", "2q~", "3q~", "4q~", "5q~", "6q~", "7q~", "8q~", "9q~",
        ],
        before: side(Class::Tilde, 3, 3, 3),
        behind: side(Class::Tilde, MANY, 27, MANY),
        label: "azure-client-secret",
        ..KIND
    },
    azure("AZDO", &["azdo"]),
    azure("JQQJ99", &["jqqj99"]),
    azure("+ASt", &["+ast"]),
    azure("AzFu", &["azfu"]),
    azure("ACDb", &["acdb"]),
    azure("AIoT", &["aiot"]),
    azure("AzSe", &["azse"]),
    azure("AAPI", &["aapi"]),
];

/// The table, a family a kind.
pub(crate) const RULES: &[Family] = families!(KINDS, |row| KINDS[row].literals, rule, AROUND);

/// The telling part of the kind `row`.
fn rule(text: &Text<'_>, at: usize, len: usize, row: usize, out: &mut Out) {
    let kind = &KINDS[row];
    let mut part = text.slice(at, at + len).iter().zip(kind.part.bytes());
    if !part.all(|(&b, issued)| issued == b'?' || issued == b)
        || kind.bounded && !starts_here(text, at)
    {
        return;
    }
    let within = |side: Side, count: usize| (side.fewest..=side.most).contains(&count);
    let start = text.run_back(at, kind.before.seen, |b| kind.before.class.takes(b));
    if !within(kind.before, at - start) {
        return;
    }
    let behind = at + len;
    let end = text.run_of(behind, kind.behind.seen, kind.behind.class);
    if !within(kind.behind, end - behind) || kind.ends && text.at(end).is_ascii_alphanumeric() {
        return;
    }
    // Padding before a key ends a name or another key.
    let start = start + usize::from(text.at(start) == b'=');
    let (place, piece) = kind.holds;
    let looks_random = || match kind.random {
        Random::Nothing => true,
        Random::Behind => random(text.slice(behind, end)),
        Random::All => random(text.slice(start, end)),
    };
    if (kind.length.0..=kind.length.1).contains(&(end - start))
        && text.starts(start + place, piece.as_bytes())
        && looks_random()
    {
        out.hit(start, end, kind.label);
    }
}
