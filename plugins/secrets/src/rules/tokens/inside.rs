//! Tokens whose telling part stands inside or at the end.

use crate::boundary::starts_here;
use crate::class::{Class, alnum, base64, base64url, hex};
use crate::rule::{AROUND, Family, Out};
use crate::text::Text;
use crate::value::random;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[Family::new(SUFFIXED, suffix_rule, AROUND)];

/// Anchors inside or at the end of a token.
pub(crate) const SUFFIXED: &[&str] = &[
    "_mmk",
    ".acc-",
    ".acc_",
    "access_token$",
    "yca",
    "ycb",
    "ycc",
    "ycd",
    "yce",
    "ycf",
    "ycg",
    "ych",
    "yci",
    "ycj",
    "yck",
    "ycl",
    "ycm",
    "ycn",
    "yco",
    "ycp",
    "ycq",
    "ycr",
    "ycs",
    "yct",
    "ycu",
    "ycv",
    "ycw",
    "ycx",
    "ycy",
    "ycz",
    "yc0",
    "yc1",
    "yc2",
    "yc3",
    "yc4",
    "yc5",
    "yc6",
    "yc7",
    "yc8",
    "yc9",
    "yc-",
    "yc_",
    ":aaa",
    ":aab",
    ":aac",
    ":aad",
    ":aae",
    ":aaf",
    ":aag",
    ":aah",
    "-us1",
    "-us2",
    "-us3",
    "-us4",
    "-us5",
    "-us6",
    "-us7",
    "-us8",
    "-us9",
    "0q~",
    "1q~",
    "2q~",
    "3q~",
    "4q~",
    "5q~",
    "6q~",
    "7q~",
    "8q~",
    "9q~",
    "azdo",
    "jqqj99",
    "+ast",
    "azfu",
    "acdb",
    "aiot",
    "azse",
    "aapi",
    "_1_",
    "_wma",
    ".e1.",
    "akamai",
    "nral",
    "jsn",
    "::server:",
    "::node:",
];

/// Tokens whose telling part stands inside or at the end.
pub(crate) fn suffix_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let literal = text.slice(at, at + len);
    match literal {
        b"_mmk" => {
            let start = text.run_back(at, 64, base64url);
            if at - start >= 30 && !text.at(at + 4).is_ascii_alphanumeric() {
                out.hit(start, at + 4, "maxmind-license");
            }
        }
        // Yandex S3: YC and 38 more.
        [b'Y', b'C', _] if starts_here(text, at) => {
            let end = text.run_of(at, 41, Class::Url);
            if end - at == 40 && random(text.slice(at, end)) {
                out.hit(at, end, "yandex-secret-key");
            }
        }
        b".acc-" | b".acc_" => {
            let start = text.run_back(at, 64, |b| base64url(b) || b == b'.');
            let end = text.run_of(at + 5, usize::MAX, Class::Dotted64);
            if at - start >= 9 && end - at >= 40 && random(text.slice(at + 5, end)) {
                out.hit(start, end, "authress-key");
            }
        }
        // PayPal and Braintree: two parts behind the environment.
        b"access_token$" => {
            let end = text.run(at + len, |b| alnum(b) || b == b'$');
            if end - at >= 50 {
                out.hit(at, end, "paypal-token");
            }
        }
        // New Relic: the licence ends in its maker's letters.
        b"NRAL" => {
            let start = text.run_back(at, 48, |b| {
                hex(b) || b == b'F' || b == b'x' || b == b'u' || b == b'e'
            });
            if at - start >= 32 && !text.at(at + 4).is_ascii_alphanumeric() {
                out.hit(start, at + 4, "new-relic-license");
            }
        }
        // RapidAPI: 50 characters with `msh`, `p1` and `jsn` at their places.
        b"jsn" => {
            let start = text.run_back(at, 60, alnum);
            let end = text.run_of(at, 51, Class::Word);
            if end - start == 50 && text.starts(start + 10, b"msh") {
                out.hit(start, end, "rapidapi-key");
            }
        }
        // k3s: K10, the hash of the authority, the user, the password.
        b"::server:" | b"::node:" => {
            let start = text.run_back(at, 80, alnum);
            let end = text.run_of(at + len, usize::MAX, Class::Hex);
            if at - start == 67 && text.starts(start, b"K10") && end - at - len >= 16 {
                out.hit(start, end, "k3s-token");
            }
        }
        // Telegram: the bot's number, a colon, 35 characters that begin with AA.
        [b':', b'A', b'A', _] => {
            let start = text.run_back(at, 12, |b| b.is_ascii_digit());
            let end = text.run_of(at + 1, 41, Class::Url);
            if at - start >= 7 && (33..=40).contains(&(end - at - 1)) {
                out.hit(start, end, "telegram-token");
            }
        }
        // Mailchimp: 32 hexadecimal digits and the data centre.
        [b'-', b'u', b's', _] => {
            let start = text.run_back(at, 40, hex);
            let end = text.run_of(at + 3, usize::MAX, Class::Digits);
            if at - start == 32 && !text.at(end).is_ascii_alphanumeric() {
                out.hit(start, end, "mailchimp-key");
            }
        }
        // Azure AD client secrets.
        [digit, b'Q', b'~'] if digit.is_ascii_digit() => {
            let start = text.run_back(at, 3, |b| Class::Tilde.takes(b));
            let end = text.run_of(at + 3, usize::MAX, Class::Tilde);
            if at - start == 3 && end - at >= 30 {
                out.hit(start, end, "azure-client-secret");
            }
        }
        b"AZDO" | b"JQQJ99" | b"+ASt" | b"AzFu" | b"ACDb" | b"AIoT" | b"AzSe" | b"AAPI" => {
            let start = text.run_back(at, 96, base64);
            let end = text.run_of(at, usize::MAX, Class::Base64);
            let start = if text.at(start) == b'=' {
                start + 1
            } else {
                start
            };
            if end - start >= 50 && random(text.slice(start, end)) {
                out.hit(start, end, "azure-key");
            }
        }
        _ => {}
    }
}
