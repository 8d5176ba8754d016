//! Which site serves a host name: an exact name, else the longest wildcard, else the default site.

use std::collections::HashMap;

/// One entry of a site's `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `example.org`
    Exact(String),
    /// `*.example.org`, kept as `.example.org`: every name below it, at any depth, but not itself.
    Below(String),
}

impl HostPattern {
    /// Reads an entry; lower case is the caller's affair.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let is_label = |label: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !label.is_empty() && label.chars().all(plain)
        };
        let is_v6 = name.starts_with('[') && name.ends_with(']');
        if !is_v6 && !name.split('.').all(is_label) {
            return None;
        }
        Some(match wildcard {
            true => Self::Below(format!(".{name}")),
            false => Self::Exact(name.to_owned()),
        })
    }
}

/// The host names of all sites, by index.
#[derive(Debug, Default)]
pub struct Hosts {
    exact: HashMap<String, usize>,
    /// Longest first.
    below: Vec<(String, usize)>,
    default: Option<usize>,
}

impl Hosts {
    /// `sites` are the `hosts` of each site; a site without any becomes the default. A valid
    /// configuration names no host twice.
    pub fn new<'a>(sites: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut hosts = Self::default();
        for (site, names) in sites.into_iter().enumerate() {
            if names.is_empty() {
                hosts.default = Some(site);
            }
            for pattern in names.iter().filter_map(|name| HostPattern::parse(name)) {
                match pattern {
                    HostPattern::Exact(name) => {
                        hosts.exact.insert(name, site);
                    }
                    HostPattern::Below(suffix) => hosts.below.push((suffix, site)),
                }
            }
        }
        hosts
            .below
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        hosts
    }

    /// The site for the value of a `Host` header (or `:authority`, or TLS server name).
    pub fn find(&self, host: &str) -> Option<usize> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.default;
        }
        let name = without_port(host)
            .trim_end_matches('.')
            .to_ascii_lowercase();
        if let Some(site) = self.exact.get(&name) {
            return Some(*site);
        }
        self.below
            .iter()
            .find(|(suffix, _)| name.len() > suffix.len() && name.ends_with(suffix.as_str()))
            .map(|(_, site)| *site)
            .or(self.default)
    }
}

/// `example.org:80` and `[::1]:80` without their port.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_beats_the_longest_wildcard_beats_the_default() {
        let sites: [&[String]; 4] = [
            &["example.org".into(), "[::1]".into()],
            &["*.example.org".into()],
            &["*.api.example.org".into()],
            &[],
        ];
        let hosts = Hosts::new(sites);
        for (host, site) in [
            ("example.org", 0),
            ("EXAMPLE.org.:8080", 0),
            ("[::1]:8080", 0),
            ("[::1]", 0),
            ("www.example.org", 1),
            ("a.b.example.org", 1),
            ("v1.api.example.org", 2),
            ("api.example.org", 1),
            ("badexample.org", 3),
            (".example.org", 3),
            ("", 3),
        ] {
            assert_eq!(hosts.find(host), Some(site), "{host}");
        }
    }

    #[test]
    fn without_a_default_site_an_unknown_host_has_none() {
        let sites: [&[String]; 1] = [&["example.org".into()]];
        assert_eq!(Hosts::new(sites).find("other.org"), None);
    }

    #[test]
    fn host_entries_are_bare_names() {
        for wrong in ["", "*", "http://a.org", "a.org:80", "a..org", "*.", "a b"] {
            assert_eq!(HostPattern::parse(wrong), None, "{wrong}");
        }
    }
}
