//! The heap inside the sandbox: blocks of few sizes, and for each size a list of those given back. Reading takes
//! some hundred thousand small blocks a megabyte; finding the best place for each was an eighth of the work.

#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::Cell;
use std::ptr;

/// Up to here, sizes are multiples of [`STEP`]; beyond, powers of two.
const SMALL_BYTES_MAX: usize = 1 << SMALL_BITS;
const SMALL_BITS: u32 = 10;
/// What every block is aligned to.
const STEP: usize = 16;
const SIZES: usize = SMALL_BYTES_MAX / STEP + (usize::BITS - SMALL_BITS) as usize;
/// Pages of WebAssembly that are taken at once: each time costs a call of the system.
const PAGES_MIN: usize = 16;
const PAGE_BYTES: usize = 1 << 16;

/// Blocks are not joined and memory is not given back: it is as large as the peaks of all sizes together.
struct Heap {
    /// The block of each size that was given back last. It begins with the address of the one before.
    freed: [Cell<*mut u8>; SIZES],
    /// Memory that was never handed out begins here,
    fresh: Cell<usize>,
    /// and ends here.
    end: Cell<usize>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    freed: [const { Cell::new(ptr::null_mut()) }; SIZES],
    fresh: Cell::new(0),
    end: Cell::new(0),
};

/// Which of the sizes a block for so many bytes has, and how many bytes that is. None has none: a link must fit.
#[inline]
const fn size_of_block(bytes: usize) -> (usize, usize) {
    if bytes <= SMALL_BYTES_MAX {
        let steps = if bytes == 0 { 1 } else { bytes.div_ceil(STEP) };
        return (steps - 1, steps * STEP);
    }
    let bits = usize::BITS - (bytes - 1).leading_zeros();
    (SMALL_BYTES_MAX / STEP + (bits - SMALL_BITS - 1) as usize, 1 << bits)
}

impl Heap {
    #[inline]
    fn take(&self, bytes: usize) -> *mut u8 {
        let begin = self.fresh.get();
        if self.end.get() - begin < bytes {
            return self.grow(bytes);
        }
        self.fresh.set(begin + bytes);
        ptr::with_exposed_provenance_mut(begin)
    }

    #[cold]
    fn grow(&self, bytes: usize) -> *mut u8 {
        let pages = bytes.div_ceil(PAGE_BYTES).max(PAGES_MIN);
        let begin = memory_grow(0, pages).saturating_mul(PAGE_BYTES);
        if begin == usize::MAX {
            return ptr::null_mut();
        }
        // Nobody else grows the memory, but nothing would be lost but room.
        if begin != self.end.get() {
            self.fresh.set(begin);
        }
        self.end.set(begin.saturating_add(pages * PAGE_BYTES));
        self.take(bytes)
    }
}

// SAFETY: a block is either fresh or in one list, never both; its size is at least what was asked for, and both its
// beginning and its size are multiples of `STEP`. A layout that is aligned to more is refused.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, bytes) = size_of_block(layout.size());
        let Some(freed) = self.freed.get(size).filter(|_| layout.align() <= STEP) else {
            return ptr::null_mut();
        };
        let block = freed.get();
        if block.is_null() {
            return self.take(bytes);
        }
        // SAFETY: whoever gave it back left the link there.
        freed.set(unsafe { block.cast::<*mut u8>().read_unaligned() });
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (size, _) = size_of_block(layout.size());
        if let Some(freed) = self.freed.get(size) {
            // SAFETY: the caller does without the block, which has room for a link.
            unsafe { block.cast::<*mut u8>().write_unaligned(freed.get()) };
            freed.set(block);
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if size_of_block(layout.size()) == size_of_block(bytes) {
            return block;
        }
        // SAFETY: as the caller promises of the layout and the new size.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(bytes, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both are so long, and they are two.
            unsafe {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(bytes));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}
