//! Tokens of Discord bots.

use crate::boundary::starts_here;
use crate::class::Class;
use crate::rule::{Family, NEAR, Out};
use crate::text::Text;

/// Beginnings of tokens.
pub(crate) const RULES: &[Family] = &[Family::new(&BEGINNINGS, rule, NEAR)];

/// The number of a bot in base64: its possible first three characters, in lower case.
static NUMBERS: [[u8; 3]; 120] = {
    let mut numbers = [[0; 3]; 120];
    let mut i = 0;
    while i < 120 {
        numbers[i] = [b"mno"[i / 40], b"dtjz"[i / 10 % 4], b"aeimquycgk"[i % 10]];
        i += 1;
    }
    numbers
};

/// The same as literals.
static BEGINNINGS: [&str; 120] = {
    let mut beginnings = [""; 120];
    let mut i = 0;
    while i < 120 {
        beginnings[i] = match str::from_utf8(&NUMBERS[i]) {
            Ok(beginning) => beginning,
            Err(_) => panic!("letters"),
        };
        i += 1;
    }
    beginnings
};

/// The bot's number, six characters of time, the signature.
fn rule(text: &Text<'_>, at: usize, _len: usize, out: &mut Out) {
    let number = text.run_of(at, 31, Class::Word);
    if !(20..=30).contains(&(number - at)) || text.at(number) != b'.' || !starts_here(text, at) {
        return;
    }
    let time = text.run_of(number + 1, 8, Class::Url);
    let end = text.run_of(time + 1, 64, Class::Url);
    if time - number == 7 && text.at(time) == b'.' && (27..=48).contains(&(end - time - 1)) {
        out.hit(at, end, "discord-token");
    }
}
