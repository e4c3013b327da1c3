//! The plugin's allocator: std's, behind a first piece of memory that the component brings along.
//!
//! std's asks for more memory at the very first allocation. Growing costs the host a system call, and taking the memory
//! back for the next instance another: together two fifths of what a fresh instance costs. Most calls need a few kilobytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// One page: enough for most calls, and the unit in which memory is counted.
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: Arena<{ 64 << 10 }> = Arena::new();

/// Hands out its own bytes one behind the other, begins anew when all of them are back, and passes on what has no room.
struct Arena<const SIZE: usize> {
    bytes: UnsafeCell<Bytes<SIZE>>,
    /// The bytes up to here are or were handed out.
    used: Cell<usize>,
    /// So many allocations are not back yet.
    live: Cell<usize>,
}

#[repr(align(16))]
struct Bytes<const SIZE: usize>([u8; SIZE]);

// SAFETY: a component has one thread.
unsafe impl<const SIZE: usize> Sync for Arena<SIZE> {}

impl<const SIZE: usize> Arena<SIZE> {
    const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new(Bytes([0; SIZE])),
            used: Cell::new(0),
            live: Cell::new(0),
        }
    }

    fn base(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// The offset of this allocation in the arena, if it is one of its own.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        let offset = (pointer as usize).checked_sub(self.base() as usize)?;
        (offset < SIZE).then_some(offset)
    }

    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let base = self.base() as usize;
        let free = base.checked_add(self.used.get())?;
        let start = free.checked_next_multiple_of(layout.align())? - base;
        let end = start.checked_add(layout.size())?;
        if end > SIZE {
            return None;
        }
        self.used.set(end);
        self.live.set(self.live.get() + 1);
        // SAFETY: `start` lies within the bytes.
        Some(unsafe { self.base().add(start) })
    }
}

// SAFETY: what is handed out is aligned, long enough, and overlaps with nothing that is live: `used` only falls behind the
// last allocation when that one is given back, and to 0 when all are.
unsafe impl<const SIZE: usize> GlobalAlloc for Arena<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout)
            // SAFETY: the caller's promises are passed on.
            .unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(pointer) = self.take(layout) else {
            // SAFETY: the caller's promises are passed on.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: so many bytes were just taken.
        unsafe { pointer.write_bytes(0, layout.size()) };
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(offset) = self.offset(pointer) else {
            // SAFETY: it is not of the arena, so it came from there.
            return unsafe { System.dealloc(pointer, layout) };
        };
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.used.set(0);
        } else if offset + layout.size() == self.used.get() {
            self.used.set(offset);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = self.offset(pointer) else {
            // SAFETY: it is not of the arena, so it came from there.
            return unsafe { System.realloc(pointer, layout, new_size) };
        };
        if offset + layout.size() == self.used.get() && new_size <= SIZE - offset {
            self.used.set(offset + new_size);
            return pointer;
        }
        if new_size <= layout.size() {
            return pointer;
        }
        // SAFETY: the caller promises that `new_size` makes a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: `new` is not empty, since it is longer than the old one.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both are live, of these lengths, and apart from each other.
            unsafe {
                moved.copy_from_nonoverlapping(pointer, layout.size());
                self.dealloc(pointer, layout);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Piece {
        pointer: *mut u8,
        layout: Layout,
        filled_with: u8,
    }

    impl Piece {
        fn is_whole(&self) -> bool {
            // SAFETY: it is live and has these bytes.
            let bytes = unsafe { std::slice::from_raw_parts(self.pointer, self.layout.size()) };
            bytes.iter().all(|byte| *byte == self.filled_with)
        }
    }

    /// Any course of allocations: none overlaps another, inside the arena or beyond it.
    #[test]
    fn what_is_handed_out_is_aligned_and_nobody_elses() {
        let arena: Arena<16_384> = Arena::new();
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut seed, mut inside, mut beyond) = (7_u64, 0, 0);
        let mut next = |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % most
        };
        for round in 0..60_000_u64 {
            let mark = (round % 251) as u8;
            // Now and then everything goes back.
            let clears = round % 400 > 300;
            match if clears { 3 } else { next(4) } {
                0 | 1 => {
                    let align = 1 << next(5);
                    let layout = Layout::from_size_align(1 + next(300) as usize, align).unwrap();
                    let zeroed = next(2) == 0;
                    // SAFETY: the layout is not empty.
                    let pointer = unsafe {
                        if zeroed {
                            arena.alloc_zeroed(layout)
                        } else {
                            arena.alloc(layout)
                        }
                    };
                    assert!(!pointer.is_null() && (pointer as usize).is_multiple_of(align));
                    let piece = Piece {
                        pointer,
                        layout,
                        filled_with: 0,
                    };
                    assert!(!zeroed || piece.is_whole(), "zeroed");
                    match arena.offset(pointer) {
                        Some(_) => inside += 1,
                        None => beyond += 1,
                    }
                    // SAFETY: so many bytes were just handed out.
                    unsafe { pointer.write_bytes(mark, layout.size()) };
                    pieces.push(Piece {
                        filled_with: mark,
                        ..piece
                    });
                }
                2 if !pieces.is_empty() => {
                    let at = next(pieces.len() as u64) as usize;
                    let piece = &mut pieces[at];
                    let size = 1 + next(400) as usize;
                    let kept = piece.layout.size().min(size);
                    let layout = Layout::from_size_align(size, piece.layout.align()).unwrap();
                    // SAFETY: the piece is live and the size not 0.
                    piece.pointer = unsafe { arena.realloc(piece.pointer, piece.layout, size) };
                    piece.layout = Layout::from_size_align(kept, layout.align()).unwrap();
                    assert!(piece.is_whole(), "what was there is kept");
                    piece.layout = layout;
                    // SAFETY: it has so many bytes now.
                    unsafe { piece.pointer.write_bytes(piece.filled_with, size) };
                }
                _ if !pieces.is_empty() => {
                    let at = next(pieces.len() as u64) as usize;
                    let piece = pieces.swap_remove(at);
                    assert!(piece.is_whole());
                    // SAFETY: it is live, and gone from the list.
                    unsafe { arena.dealloc(piece.pointer, piece.layout) };
                }
                _ => {}
            }
            assert!(round % 64 != 0 || pieces.iter().all(Piece::is_whole));
        }
        assert!(inside > 1_000 && beyond > 1_000, "{inside} {beyond}");
        for piece in pieces {
            // SAFETY: it is live, and gone from the list.
            unsafe { arena.dealloc(piece.pointer, piece.layout) };
        }
        assert_eq!((arena.used.get(), arena.live.get()), (0, 0));
    }
}
