//! The search for the literals that rules hang on.
//!
//! One pass, one table of three-byte hashes: starting up costs microseconds, where hundreds of regular expressions or an
//! automaton would cost more than all the text that a short job shows.

use std::borrow::Cow;

use crate::custom::Custom;
use crate::text::Text;
use crate::{Out, assign, cli, encoded, files, keys, tokens, url};

/// A rule judges the anchor at `at`, whose literal is `len` bytes long.
pub(crate) type Rule = fn(text: &Text<'_>, at: usize, len: usize, out: &mut Out);

/// How far a rule looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// Bytes before the anchor in which a hit may start.
    pub(crate) back: usize,
    /// Bytes from the start of the anchor.
    pub(crate) ahead: usize,
}

/// Looks at most this far back for context.
pub(crate) const BEHIND: usize = 512;

const NEAR: Reach = Reach {
    back: 0,
    ahead: 4 * 1024,
};
const AROUND: Reach = Reach {
    back: 256,
    ahead: 4 * 1024,
};
const KEY_BLOCK: Reach = Reach {
    back: 6 * 1024,
    ahead: 40 * 1024,
};
const KEY: Reach = Reach {
    back: 0,
    ahead: 40 * 1024,
};
const ENCODED: Reach = Reach {
    back: 1024,
    ahead: 4 * 1024,
};
const DOCUMENT: Reach = Reach {
    back: 0,
    ahead: 16 * 1024,
};

/// Who judges an anchor.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    Rule(Rule),
    /// The operator's rule of this index.
    Custom(usize),
}

/// A literal (lower case; the text may have either case) and its rule.
pub(crate) struct Anchor {
    pub(crate) literal: Cow<'static, [u8]>,
    pub(crate) judge: Judge,
    pub(crate) reach: Reach,
    /// Whether it counts in decoded text too.
    pub(crate) in_decoded: bool,
}

const BITS: u32 = 14;

/// All anchors, indexed by the hash of their first three bytes.
pub(crate) struct Anchors {
    all: Vec<Anchor>,
    present: [u64; 1 << (BITS - 6)],
    /// By hash: the first anchor, plus one; 0 for none.
    heads: Vec<u16>,
    /// By anchor: the next one with the same hash.
    next: Vec<u16>,
}

#[inline]
fn hash(three: u32) -> usize {
    ((three & 0x00ff_ffff).wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

impl Anchors {
    pub(crate) fn builtin() -> Self {
        let mut all: Vec<Anchor> = Vec::with_capacity(1024);
        let mut add = |literals: &[&'static str], rule: Rule, reach: Reach| {
            for literal in literals {
                all.push(Anchor {
                    literal: Cow::Borrowed(literal.as_bytes()),
                    judge: Judge::Rule(rule),
                    reach,
                    in_decoded: true,
                });
            }
        };
        add(assign::NAMES, assign::rule, NEAR);
        add(assign::QUERY_NAMES, assign::query_rule, NEAR);
        add(&["authorization"], assign::authorization_rule, NEAR);
        add(&["bearer "], assign::bearer_rule, NEAR);
        add(&["basic "], assign::basic_rule, NEAR);
        add(
            &[
                "cookie:",
                "cookie\":",
                "cookie\\\":",
                "cookie = \"",
                "cookie='",
                "cookies={",
            ],
            assign::cookie_rule,
            NEAR,
        );
        add(&["://", ":\\/\\/", "%3a%2f%2f"], url::rule, NEAR);
        add(
            &["@tcp(", "@unix(", "@udp(", "@/"],
            url::go_dsn_rule,
            AROUND,
        );
        add(url::WEBHOOKS, url::webhook_rule, NEAR);
        add(cli::COMMANDS, cli::rule, NEAR);
        add(
            &[
                "identified by",
                "identified with",
                " password '",
                " password \"",
                "encrypted password",
                "set password for",
            ],
            files::sql_rule,
            NEAR,
        );
        add(&["insert into", "csv header"], files::insert_rule, DOCUMENT);
        add(files::COLUMNS, files::table_rule, DOCUMENT);
        add(files::HASHES, files::hash_rule, NEAR);
        add(files::DUMPS, files::dump_rule, AROUND);
        add(files::NOTATIONS, files::notation_rule, NEAR);
        add(files::PRINTERS, files::printed_rule, NEAR);
        add(
            &[":543", ":6432:", ":*:", ":25060:", ":26257:"],
            files::pgpass_rule,
            NEAR,
        );
        add(
            &["private key", "private%20key", "private+key"],
            keys::pem_rule,
            KEY_BLOCK,
        );
        add(&["openvpn static key"], keys::static_key_rule, NEAR);
        add(&["private-lines:"], keys::ppk_rule, KEY);
        add(&["private-mac:"], keys::ppk_mac_rule, NEAR);
        add(
            &[
                "mii",
                "mhcca",
                "migka",
                "migha",
                "mc4ca",
                "b3blbnnzac1rzxktdj",
            ],
            keys::bare_key_rule,
            KEY,
        );
        add(&["eyj"], keys::jwt_rule, NEAR);
        add(keys::JWK_MEMBERS, keys::jwk_rule, NEAR);
        add(
            &["<d>", "<p>", "<q>", "<dp>", "<dq>", "<inverseq>"],
            keys::xml_key_rule,
            NEAR,
        );
        add(
            &[
                "kind: secret",
                "\"kind\":\"secret\"",
                "\"kind\": \"secret\"",
            ],
            files::kube_secret_rule,
            DOCUMENT,
        );
        add(&["apiversion: v1"], files::kube_document_rule, DOCUMENT);
        add(
            &[
                "\"data\":",
                "\"stringdata\":",
                "\"data\\\":",
                "\"stringdata\\\":",
            ],
            files::kube_json_rule,
            DOCUMENT,
        );
        for token in tokens::TOKENS {
            add(&[token.prefix], tokens::rule, NEAR);
        }
        add(tokens::SUFFIXED, tokens::suffix_rule, AROUND);
        let mut add = |literals: &[&'static str], rule: Rule, reach: Reach| {
            all.extend(literals.iter().map(|literal| Anchor {
                literal: Cow::Borrowed(literal.as_bytes()),
                judge: Judge::Rule(rule),
                reach,
                in_decoded: false,
            }));
        };
        add(encoded::PREFIXES, encoded::rule, ENCODED);
        let mut encoded: Vec<Vec<u8>> = tokens::TOKENS
            .iter()
            .map(|token| token.exact.as_bytes())
            .chain(encoded::SCHEMES.iter().map(|scheme| scheme.as_bytes()))
            .flat_map(encoded::forms)
            .filter(|form| {
                encoded::PREFIXES
                    .iter()
                    .all(|known| known.as_bytes() != form)
            })
            .collect();
        encoded.sort_unstable();
        encoded.dedup();
        all.extend(encoded.into_iter().map(|literal| Anchor {
            literal: Cow::Owned(literal),
            judge: Judge::Rule(encoded::rule),
            reach: ENCODED,
            in_decoded: false,
        }));
        all.extend(tokens::discord_beginnings().map(|literal| Anchor {
            literal: Cow::Owned(literal),
            judge: Judge::Rule(tokens::discord_rule),
            reach: NEAR,
            in_decoded: true,
        }));
        Self::index(all)
    }

    /// The anchors of the operator's rules.
    pub(crate) fn custom(rules: &[Custom]) -> Self {
        let anchor = |(index, rule): (usize, &Custom)| Anchor {
            literal: Cow::Owned(rule.prefix.to_ascii_lowercase()),
            judge: Judge::Custom(index),
            reach: NEAR,
            in_decoded: false,
        };
        Self::index(rules.iter().enumerate().map(anchor).collect())
    }

    fn index(all: Vec<Anchor>) -> Self {
        let mut anchors = Self {
            present: [0; 1 << (BITS - 6)],
            heads: vec![0; 1 << BITS],
            next: vec![0; all.len()],
            all,
        };
        for (i, anchor) in anchors.all.iter().enumerate().rev() {
            let [a, b, c, ..] = anchor.literal.as_ref() else {
                continue;
            };
            let slot = hash(fold(*a) << 16 | fold(*b) << 8 | fold(*c));
            anchors.present[slot >> 6] |= 1 << (slot & 63);
            anchors.next[i] = anchors.heads[slot];
            anchors.heads[slot] = i as u16 + 1;
        }
        anchors
    }

    pub(crate) fn all(&self) -> &[Anchor] {
        &self.all
    }

    /// Calls `found` for each anchor that starts at or after `from`, in order. A literal that the text cuts off is not found.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], from: usize, mut found: impl FnMut(usize, &Anchor)) {
        let Some(tail) = bytes.get(from..) else {
            return;
        };
        if tail.len() < 3 {
            return;
        }
        let mut three = fold(tail[0]) << 8 | fold(tail[1]);
        for (i, &b) in tail.iter().enumerate().skip(2) {
            three = three << 8 | fold(b);
            let slot = hash(three);
            if self.present[slot >> 6] >> (slot & 63) & 1 != 0 {
                self.candidates(bytes, from + i - 2, slot, &mut found);
            }
        }
    }

    #[inline(never)]
    fn candidates(
        &self,
        bytes: &[u8],
        at: usize,
        slot: usize,
        found: &mut impl FnMut(usize, &Anchor),
    ) {
        let mut i = self.heads[slot];
        while i != 0 {
            let anchor = &self.all[usize::from(i) - 1];
            if bytes
                .get(at..at + anchor.literal.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(&anchor.literal))
            {
                found(at, anchor);
            }
            i = self.next[usize::from(i) - 1];
        }
    }
}

#[inline]
fn fold(b: u8) -> u32 {
    u32::from(b | 0x20)
}
