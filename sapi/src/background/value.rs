//! A PHP value in nobody's memory: immutable, freed by whoever lets go last.

use std::ptr::NonNull;

use php_sys::troupe_value;

/// See `shim/values.c`.
pub struct Value(NonNull<troupe_value>);

// SAFETY: the tree is never written after it was made, holds no pointer into a thread's memory, and is freed by
// a function that may run on any thread.
unsafe impl Send for Value {}
// SAFETY: the same: it is only read.
unsafe impl Sync for Value {}

impl Value {
    /// Takes over a value that the shim made.
    ///
    /// # Safety
    /// `value` came from `troupe_value_copy` and is given away.
    pub(crate) unsafe fn from_raw(value: *mut troupe_value) -> Option<Self> {
        NonNull::new(value).map(Self)
    }

    /// Gives the value away, to `troupe_value_free` in the end.
    pub(crate) fn into_raw(self) -> *mut troupe_value {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }

    pub(crate) fn as_ptr(&self) -> *const troupe_value {
        self.0.as_ptr()
    }

    /// Memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        // SAFETY: the pointer is valid while `self` lives.
        unsafe { php_sys::troupe_value_bytes(self.0.as_ptr()) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: this was the only owner, and nobody reads what nobody owns.
        unsafe { php_sys::troupe_value_free(self.0.as_ptr()) }
    }
}
