// Included by each crate whose targets read a stream.

/// Cuts bytes into reads, whose sizes the first bytes say; gives the cut bytes too.
pub(super) fn reads(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (sizes, rest) = data.split_at(data.len().min(4));
    let mut cuts = Vec::new();
    let mut left = rest;
    for size in sizes.iter().cycle() {
        if left.is_empty() || cuts.len() > 4_096 {
            break;
        }
        let (read, more) = left.split_at((usize::from(*size) + 1).min(left.len()));
        cuts.push(read);
        left = more;
    }
    cuts.push(left);
    (cuts, rest)
}
