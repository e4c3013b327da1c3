//! The pairs of deleted and added files that are renames.

use std::collections::{BTreeMap, HashMap, HashSet};

use git2::Oid;

use crate::contents::Contents;
use crate::handles::Kind;
use crate::state::FileState;

/// Pairs deleted files with added ones: new path to old path. First by identical content, then, in small sets, by likeness
/// (git's measure: at least half of it is the same).
pub(crate) fn renames(
    raw: &BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    contents: &Contents,
) -> HashMap<Vec<u8>, Vec<u8>> {
    const MOST_PAIRS: usize = 2_500;
    const LONGEST: u64 = 512 << 10;
    let base_name = |path: &[u8]| {
        path.rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let mut gone: BTreeMap<&Vec<u8>, &FileState> = BTreeMap::new();
    let mut came: BTreeMap<&Vec<u8>, &FileState> = BTreeMap::new();
    for (path, sides) in raw {
        match sides {
            (Some(before), None) if before.size > 0 && before.id().is_some() => {
                gone.insert(path, before)
            }
            (None, Some(now)) if now.size > 0 && now.id().is_some() => came.insert(path, now),
            _ => None,
        };
    }
    let mut pairs = HashMap::new();
    let mut by_content: HashMap<(Oid, bool), Vec<&Vec<u8>>> = HashMap::new();
    for (path, state) in &gone {
        if let Some(id) = state.id() {
            by_content
                .entry((id, state.kind() == Kind::Symlink))
                .or_default()
                .push(path);
        }
    }
    for (path, state) in &came {
        let Some(id) = state.id() else { continue };
        let Some(sources) = by_content.get_mut(&(id, state.kind() == Kind::Symlink)) else {
            continue;
        };
        let at = sources
            .iter()
            .position(|source| base_name(source) == base_name(path))
            .unwrap_or(0);
        if at < sources.len() {
            let source = sources.remove(at);
            gone.remove(source);
            pairs.insert((*path).clone(), source.clone());
        }
    }
    came.retain(|path, _| !pairs.contains_key(*path));
    let small = |state: &FileState| state.size <= LONGEST && state.kind() == Kind::File;
    gone.retain(|_, state| small(state));
    came.retain(|_, state| small(state));
    if gone.is_empty() || came.is_empty() || gone.len() * came.len() > MOST_PAIRS {
        return pairs;
    }
    let load = |states: &BTreeMap<&Vec<u8>, &FileState>| -> Vec<(Vec<u8>, HashMap<u64, u64>, u64)> {
        states
            .iter()
            .filter_map(|(path, state)| {
                let bytes = contents.read(state.id()?).ok()?;
                let length = bytes.len() as u64;
                Some(((*path).clone(), line_weights(&bytes), length))
            })
            .collect()
    };
    let (gone, came) = (load(&gone), load(&came));
    let mut likely = Vec::new();
    for (to, (_, new_lines, new_length)) in came.iter().enumerate() {
        for (from, (_, old_lines, old_length)) in gone.iter().enumerate() {
            let shared: u64 = new_lines
                .iter()
                .map(|(line, weight)| (*weight).min(old_lines.get(line).copied().unwrap_or(0)))
                .sum();
            let longest = (*new_length).max(*old_length);
            if shared * 2 >= longest {
                likely.push((shared * 1000 / longest.max(1), to, from));
            }
        }
    }
    likely.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut used_to, mut used_from) = (HashSet::new(), HashSet::new());
    for (_, to, from) in likely {
        if !used_to.contains(&to) && !used_from.contains(&from) {
            used_to.insert(to);
            used_from.insert(from);
            if let (Some((to, ..)), Some((from, ..))) = (came.get(to), gone.get(from)) {
                pairs.insert(to.clone(), from.clone());
            }
        }
    }
    pairs
}

/// The bytes of each distinct line.
fn line_weights(bytes: &[u8]) -> HashMap<u64, u64> {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut weights = HashMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        *weights.entry(hasher.hash_one(line)).or_insert(0) += line.len() as u64;
    }
    weights
}
