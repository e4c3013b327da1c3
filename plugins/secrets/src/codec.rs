//! base64 and hexadecimal back to bytes.

pub(crate) fn fit_to_print(b: u8) -> bool {
    (0x20..0x7f).contains(&b) || b.is_ascii_whitespace() || b >= 0xc2
}

pub(crate) fn printable(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes.iter().filter(|b| fit_to_print(**b)).count() * 20 >= bytes.len() * 19
}

pub(crate) fn unhex(digits: &[u8]) -> Vec<u8> {
    let value = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
    digits
        .chunks_exact(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

/// Decodes base64 or base64url leniently: as far as the alphabet goes.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len() * 3 / 4);
    let mut bits = 0u32;
    let mut count = 0;
    for &b in bytes {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            plain.push((bits >> count) as u8);
        }
    }
    plain
}
