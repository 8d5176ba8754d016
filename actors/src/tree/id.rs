//! The address of a node, made of its ancestors' kinds and names.
//!
//! `root`, `classic:2`, `site:shop:http:api:1`, `site:shop:background:mailer:2`, `site:shop:tasks:17`. An id is one segment of a
//! URL path as it stands: every byte of a name that is not a letter, a digit, `.`, `_` or `-` is written as `~`
//! and two hexadecimal digits, so that no name can hold a slash, a colon or a character that clients escape.

use std::fmt::{self, Write};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The address of a node; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The root of the tree.
    pub fn root() -> Self {
        Self("root".into())
    }

    /// The pool that serves scripts which are nobody's worker.
    pub fn classic() -> Self {
        Self("classic".into())
    }

    /// A site.
    pub fn site(name: &str) -> Self {
        Self(format!("site:{}", escape(name)).into())
    }

    /// A site's pool of HTTP workers.
    pub fn http_pool(&self, name: &str) -> Self {
        self.below("http:", name)
    }

    /// A site's pool of background workers.
    pub fn background_pool(&self, name: &str) -> Self {
        self.below("background:", name)
    }

    /// A pool's worker, numbered from 1.
    pub fn worker(&self, number: u32) -> Self {
        self.below("", &number.to_string())
    }

    /// What a site's tasks are below.
    pub fn tasks(&self) -> Self {
        Self(format!("{}:tasks", self.0).into())
    }

    /// A task, by its number.
    pub fn task(&self, number: u64) -> Self {
        Self(format!("{}:{number}", self.0).into())
    }

    fn below(&self, kind: &str, name: &str) -> Self {
        Self(format!("{}:{kind}{}", self.0, escape(name)).into())
    }

    /// An id somebody typed. Whether there is such a node is another question.
    pub fn parse(text: &str) -> Self {
        Self(text.into())
    }

    /// True when `other` is an ancestor.
    pub fn is_below(&self, other: &NodeId) -> bool {
        let root = Self::root();
        (*other == root && *self != root)
            || self
                .0
                .strip_prefix(&*other.0)
                .is_some_and(|rest| rest.starts_with(':'))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "~{byte:02x}");
        }
    }
    escaped
}

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_from_the_outside_in() {
        let pool = NodeId::site("shop").background_pool("mailer");
        assert_eq!(pool.worker(1).as_str(), "site:shop:background:mailer:1");
        let tasks = NodeId::site("shop").tasks();
        assert_eq!(tasks.task(17).as_str(), "site:shop:tasks:17");
        assert_eq!(NodeId::classic().worker(2).as_str(), "classic:2");
    }

    #[test]
    fn no_name_can_break_out_of_its_segment() {
        let id = NodeId::site("../a b%2F:c").http_pool("ä~/?#");
        assert_eq!(
            id.as_str(),
            "site:..~2fa~20b~252F~3ac:http:~c3~a4~7e~2f~3f~23"
        );
    }

    #[test]
    fn ancestors_are_known_by_whole_segments() {
        let site = NodeId::site("shop");
        assert!(site.http_pool("api").worker(1).is_below(&site));
        assert!(!NodeId::site("shop2").is_below(&site));
        assert!(!site.is_below(&site));
        assert!(site.is_below(&NodeId::root()) && !NodeId::root().is_below(&NodeId::root()));
    }

    #[test]
    fn different_names_have_different_ids() {
        assert_ne!(NodeId::site("a:http:b"), NodeId::site("a").http_pool("b"));
        assert_ne!(NodeId::site("~2f"), NodeId::site("/"));
    }
}
