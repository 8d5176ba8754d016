//! Descriptor numbers below 1,024 for what PHP code may hand to `select(2)`.
//!
//! Extensions and libraries in PHP still use `select`, which fails on larger numbers; a server with thousands
//! of connections soon has no small ones left. So a stock of them is set aside at start-up and lent to the
//! bells. When the stock is used up a bell gets whatever number there is: our own `stream_select` polls.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Numbers set aside. They leave most of the range to the connections PHP opens itself.
const STOCK: usize = 256;
const SELECT_LIMIT: i32 = 1024;

static IDLE: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Sets the stock aside. Called once, before connections are accepted.
pub(crate) fn reserve() -> std::io::Result<()> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    while idle.len() < STOCK {
        idle.push(OwnedFd::from(File::open("/dev/null")?));
    }
    Ok(())
}

/// Moves a descriptor to a small number, if one is in stock and it needs one.
pub(crate) fn lower(descriptor: OwnedFd) -> OwnedFd {
    if descriptor.as_raw_fd() < SELECT_LIMIT {
        return descriptor;
    }
    let Some(place) = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop() else {
        return descriptor;
    };
    let number = place.as_raw_fd();
    // SAFETY: `place` owns its number and nobody watches it, so putting another file there is invisible to
    // others. dup3 either does that or changes nothing.
    let moved = unsafe { libc::dup3(descriptor.as_raw_fd(), number, libc::O_CLOEXEC) };
    if moved == number { place } else { descriptor }
}

/// Takes back what [`lower`] lent, when it did: the number stays taken, by nothing.
pub(crate) fn give_back(descriptor: OwnedFd) {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if descriptor.as_raw_fd() >= SELECT_LIMIT || idle.len() >= STOCK {
        return;
    }
    let Ok(null) = File::open("/dev/null") else {
        return;
    };
    let number = descriptor.into_raw_fd();
    // SAFETY: `number` was owned by `descriptor` and nobody else's. dup3 replaces the file behind it at once;
    // if it fails, the old file stays, and either way the number is owned by what is made of it here.
    unsafe {
        libc::dup3(null.as_raw_fd(), number, libc::O_CLOEXEC);
        idle.push(OwnedFd::from_raw_fd(number));
    }
}
