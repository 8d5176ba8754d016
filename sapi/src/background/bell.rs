//! A descriptor that is readable while something is true.
//!
//! PHP's `stream_select` and event loops watch descriptors; most tasks are never watched. So the descriptor is
//! made when somebody first asks for it, and until then ringing costs nothing. A bell is part of a port's state
//! and is only touched under that port's lock; its owner's end of the port drops it there.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::low_fd;

#[derive(Default)]
pub(crate) struct Bell {
    descriptor: Option<OwnedFd>,
    ringing: bool,
}

impl Bell {
    /// Makes the descriptor readable, or not.
    pub(crate) fn set(&mut self, ringing: bool) {
        if self.ringing == ringing {
            return;
        }
        self.ringing = ringing;
        if let Some(descriptor) = &self.descriptor {
            sound(descriptor, ringing);
        }
    }

    /// The descriptor, made if need be. It belongs to the bell: watch it, never read, write or close it.
    pub(crate) fn descriptor(&mut self) -> io::Result<RawFd> {
        if let Some(descriptor) = &self.descriptor {
            return Ok(descriptor.as_raw_fd());
        }
        // SAFETY: eventfd has no memory to get wrong; a negative result is an error and is not wrapped.
        let descriptor = unsafe {
            let raw = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        let descriptor = low_fd::lower(descriptor);
        if self.ringing {
            sound(&descriptor, true);
        }
        let raw = descriptor.as_raw_fd();
        self.descriptor = Some(descriptor);
        Ok(raw)
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(descriptor) = self.descriptor.take() {
            low_fd::give_back(descriptor);
        }
    }
}

fn sound(descriptor: &OwnedFd, ringing: bool) {
    let mut count = 1u64.to_ne_bytes();
    // SAFETY: an eventfd reads and writes 8 bytes, and `count` has 8. It is non-blocking; a failure can only
    // mean that the level is already what it shall be, since every change is made here, under one lock.
    unsafe {
        if ringing {
            libc::write(descriptor.as_raw_fd(), count.as_ptr().cast(), count.len());
        } else {
            libc::read(
                descriptor.as_raw_fd(),
                count.as_mut_ptr().cast(),
                count.len(),
            );
        }
    }
}

/// True when whoever watches the descriptor would wake.
#[cfg(all(test, not(loom)))]
pub(crate) fn readable(descriptor: RawFd) -> bool {
    let mut poll = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 }
}
