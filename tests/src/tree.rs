//! The supervision tree of a running server, as its admin endpoint tells it.

use serde_json::Value;

use crate::eventually;
use crate::request::Request;
use crate::server::Server;

/// A node as JSON; `children` are nodes again.
pub type Node = Value;

/// A node and all below it, depth first.
pub fn nodes(node: &Node) -> Vec<&Node> {
    let children = node["children"].as_array().into_iter().flatten();
    let mut all = vec![node];
    all.extend(children.flat_map(nodes));
    all
}

impl Server {
    #[track_caller]
    pub fn tree(&self) -> Node {
        self.admin(&Request::get("/tree")).expect(200).json()
    }

    #[track_caller]
    pub fn node(&self, id: &str) -> Node {
        self.admin(&Request::get(&format!("/nodes/{id}")))
            .expect(200)
            .json()
    }

    /// All nodes of a kind, such as `http_worker`.
    #[track_caller]
    pub fn nodes_of(&self, kind: &str) -> Vec<Node> {
        let tree = self.tree();
        let nodes = nodes(&tree).into_iter();
        nodes.filter(|node| node["kind"] == kind).cloned().collect()
    }

    /// The node, once it is as `is_it` wants it; `what` says what is waited for.
    #[track_caller]
    pub fn node_once(&self, id: &str, what: &str, is_it: impl Fn(&Node) -> bool) -> Node {
        eventually(what, || {
            let answer = self.admin(&Request::get(&format!("/nodes/{id}")));
            (answer.status == 200)
                .then(|| answer.json())
                .filter(|node| is_it(node))
        })
    }

    /// The worker that is busy with a request whose target holds `target`, once there is one.
    #[track_caller]
    pub fn busy_with(&self, target: &str) -> Node {
        eventually("a worker is busy with it", || {
            let tree = self.tree();
            let is_it = |node: &&&Node| {
                let what = node["current"]["what"].as_str();
                what.is_some_and(|what| what.contains(target))
            };
            nodes(&tree).iter().find(is_it).map(|node| (*node).clone())
        })
    }

    /// The PHP stack of a node's script, once its innermost line holds `innermost`.
    #[track_caller]
    pub fn stack_once(&self, id: &str, innermost: &str) -> String {
        let target = format!("/nodes/{id}/backtrace");
        eventually("the script is there", || {
            let answer = self.admin(&Request::get(&target)).expect(200);
            let is_there = answer.text().lines().next()?.contains(innermost);
            is_there.then(|| answer.text().to_owned())
        })
    }

    /// `POST /nodes/{id}/{action}`, which must work.
    #[track_caller]
    pub fn steer(&self, id: &str, action: &str) {
        let request = Request::new("POST", &format!("/nodes/{id}/{action}"));
        self.admin(&request).expect(200);
    }

    /// The value of a sample of `/metrics`, by its name and labels as they are written there.
    #[track_caller]
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.admin(&Request::get("/metrics")).expect(200);
        let lines = page.text().lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {sample} in\n{}", page.text()));
        value.parse().expect("a number")
    }
}

/// The number of exits by a reason, as a node tells it.
pub fn exits(node: &Node, reason: &str) -> u64 {
    node["exits"][reason].as_u64().unwrap_or_default()
}
