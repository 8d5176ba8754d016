//! Real applications, as Debian packages them, each on a server of its own: what their users do with a
//! browser must work, and must give sixteen of them at once the same as one.
//!
//! Debian's packages keep their files in `/usr/share`; a test makes a private copy of them, with a
//! configuration and a database of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod crowd;
mod html;
mod mediawiki;
mod symfony;
mod url;
mod wordpress;
