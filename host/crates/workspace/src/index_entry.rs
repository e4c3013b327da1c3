//! Entries for an index that the host writes: `index` reads those of the user.

use git2::{IndexEntry, IndexTime, Oid};

use crate::handles::Stamp;

/// Takes the stamp of the file that an index entry is about.
pub(crate) fn stamped(entry: &mut IndexEntry, stamp: &Stamp) {
    let time = |time: i64| {
        IndexTime::new(
            time.div_euclid(1_000_000_000) as i32,
            time.rem_euclid(1_000_000_000) as u32,
        )
    };
    entry.mtime = time(stamp.mtime);
    entry.ctime = time(stamp.ctime);
    entry.ino = stamp.inode as u32;
    entry.file_size = stamp.size as u32;
}

/// Makes an entry without a stamp.
pub(crate) fn entry(path: &[u8], mode: u32, id: Oid) -> IndexEntry {
    let mode = match mode & 0o170_000 {
        0o120_000 => 0o120_000,
        _ if mode & 0o100 != 0 => 0o100_755,
        _ => 0o100_644,
    };
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}
