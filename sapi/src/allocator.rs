//! The process's memory, but for PHP's own.
//!
//! Requests and responses are made on one thread and dropped on another, which is what mimalloc is for.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// mimalloc. What needs no more than a word's alignment, as nearly everything does, has it there anyway, and is
/// spared the search for a block that happens to lie right.
pub struct Allocator;

const fn is_plain(layout: Layout) -> bool {
    layout.align() <= align_of::<usize>()
}

// SAFETY: mimalloc's blocks are words or multiples of words and begin at a word; its functions for alignments take
// any power of two. Each gives a block of at least the size asked for, or none, and any of them may be freed or
// moved by any thread.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: these take any size; the alignment is a power of two.
        unsafe {
            match is_plain(layout) {
                true => mi_malloc(layout.size()).cast(),
                false => mi_malloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            match is_plain(layout) {
                true => mi_zalloc(layout.size()).cast(),
                false => mi_zalloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a block of this allocator.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller passes a block of this allocator, and its alignment.
        unsafe {
            match is_plain(layout) {
                true => mi_realloc(block.cast(), size).cast(),
                false => mi_realloc_aligned(block.cast(), size, layout.align()).cast(),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_as_they_were_asked_for_and_keep_their_content() {
        for align in [1, 2, 4, 8, 16, 64, 4096] {
            for size in (1..200).chain([1000, 3000, 70_000, 5_000_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layouts are not empty, and are passed as they are.
                unsafe {
                    let block = Allocator.alloc_zeroed(layout);
                    assert_eq!(block.addr() % align, 0, "{layout:?}");
                    assert_eq!(*block.add(size - 1), 0);
                    *block = 7;
                    let grown = Allocator.realloc(block, layout, 2 * size);
                    assert_eq!(grown.addr() % align, 0, "{layout:?}");
                    assert_eq!(*grown, 7);
                    let layout = Layout::from_size_align(2 * size, align).unwrap();
                    Allocator.dealloc(grown, layout);
                    let block = Allocator.alloc(layout);
                    assert_eq!(block.addr() % align, 0, "{layout:?}");
                    Allocator.dealloc(block, layout);
                }
            }
        }
    }
}
