//! `GET /metrics` in Prometheus' text format: FrankenPHP's metrics by their names, and ours.
//!
//! Everything is read when it is asked for, from the tree and the pools' counters: nothing is kept here, so
//! the two can't disagree.

mod process;
mod text;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use troupe_actors::tree::{Kind, Node, State};
use troupe_actors::{Counts, PoolPort, TaskEnds, TaskStats};

use self::text::Text;
use super::Admin;

pub fn answer(admin: &Admin) -> HttpResponse<BoxBody> {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(render(admin))
}

fn render(admin: &Admin) -> String {
    let root = admin.tree.tree().root();
    let pools = root
        .as_ref()
        .map(|root| pools(admin, root))
        .unwrap_or_default();
    let mut text = Text::default();
    text.gauge("troupe_info", "Which versions run; always 1.")
        .sample(
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("php", &admin.php_version),
            ],
            1.0,
        );
    frankenphp(&mut text, &pools);
    own(&mut text, &pools, admin);
    process::write(&mut text);
    text.finish()
}

/// A pool of the tree, with the door whose counters belong to it.
struct Pool<'a> {
    node: &'a Node,
    site: &'a str,
    port: Option<&'a PoolPort>,
    tasks: Option<Arc<TaskStats>>,
}

fn pools<'a>(admin: &'a Admin, root: &'a Node) -> Vec<Pool<'a>> {
    let mut pools = Vec::new();
    for child in &root.children {
        match child.kind {
            Kind::Site => pools.extend(
                child
                    .children
                    .iter()
                    .filter(|node| node.kind != Kind::Tasks)
                    .map(|node| Pool {
                        node,
                        site: &child.name,
                        port: match node.kind {
                            Kind::HttpPool => admin.tree.http(&child.name, &node.name),
                            _ => None,
                        },
                        tasks: match node.kind {
                            Kind::BackgroundPool => admin.tree.task_stats(&child.name, &node.name),
                            _ => None,
                        },
                    }),
            ),
            _ => pools.push(Pool {
                node: child,
                site: "",
                port: Some(admin.tree.classic()),
                tasks: None,
            }),
        }
    }
    pools
}

impl Pool<'_> {
    /// A site may have two pools of one name, if they are of different kinds.
    fn kind(&self) -> &'static str {
        match self.node.kind {
            Kind::HttpPool => "http",
            Kind::BackgroundPool => "background",
            _ => "classic",
        }
    }

    fn labels(&self) -> [(&str, &str); 3] {
        [
            ("site", self.site),
            ("pool", &self.node.name),
            ("kind", self.kind()),
        ]
    }

    fn is_classic(&self) -> bool {
        self.node.kind == Kind::ClassicPool
    }

    /// As FrankenPHP's metrics name it.
    fn frankenphp_labels(&self) -> [(&str, &str); 3] {
        [
            ("worker", &self.node.name),
            ("server", self.site),
            ("kind", self.kind()),
        ]
    }

    fn workers(&self, counts: impl Fn(&Node) -> bool) -> f64 {
        let workers = self.node.children.iter();
        workers.filter(|worker| counts(worker)).count() as f64
    }

    fn exits(&self, counts: impl Fn(&str) -> bool) -> f64 {
        let exits = self.node.exits.iter();
        exits
            .filter(|(reason, _)| counts(reason))
            .map(|(_, count)| *count)
            .sum::<u64>() as f64
    }

    fn queue_depth(&self) -> f64 {
        self.port.map_or_else(
            || self.node.queue.map_or(0.0, |queue| queue.depth as f64),
            |port| port.waiting() as f64,
        )
    }

    fn service(&self) -> Option<Counts> {
        self.port.map(|port| port.stats().service.read())
    }
}

fn is_there(worker: &Node) -> bool {
    matches!(
        worker.state,
        State::Starting | State::Ready | State::Draining
    )
}

fn is_busy(worker: &Node) -> bool {
    worker.current.is_some()
}

/// Exits that are part of the plan; all others are crashes to FrankenPHP.
fn is_deliberate(reason: &str) -> bool {
    matches!(
        reason,
        "max_requests" | "ttl" | "max_memory" | "stopped" | "returned" | "exited" | "watch"
    )
}

/// FrankenPHP's metrics, with two more labels: names of workers are unique in their site and kind only.
fn frankenphp(text: &mut Text, pools: &[Pool<'_>]) {
    let classic = || pools.iter().filter(|pool| pool.is_classic());
    let workers = || pools.iter().filter(|pool| !pool.is_classic());

    let total = pools.iter().map(|pool| pool.workers(is_there)).sum();
    text.gauge("frankenphp_total_threads", "Total number of PHP threads.")
        .sample(&[], total);
    // A worker script occupies its thread for as long as it runs.
    let busy = classic().map(|pool| pool.workers(is_busy)).sum::<f64>()
        + workers().map(|pool| pool.workers(is_there)).sum::<f64>();
    text.gauge("frankenphp_busy_threads", "Number of busy PHP threads.")
        .sample(&[], busy);
    let queued = classic().map(Pool::queue_depth).sum();
    text.gauge(
        "frankenphp_queue_depth",
        "Number of regular queued requests.",
    )
    .sample(&[], queued);

    type Read = fn(&Pool<'_>) -> f64;
    let gauges: [(&str, &str, Read); 4] = [
        (
            "frankenphp_total_workers",
            "Total number of PHP workers of this worker.",
            |pool| pool.workers(is_there),
        ),
        (
            "frankenphp_busy_workers",
            "Number of workers that process a request or task.",
            |pool| pool.workers(is_busy),
        ),
        (
            "frankenphp_ready_workers",
            "Number of workers that have become ready.",
            |pool| pool.workers(|worker| worker.state == State::Ready),
        ),
        (
            "frankenphp_worker_queue_depth",
            "Number of queued requests or tasks.",
            |pool| pool.queue_depth(),
        ),
    ];
    let counters: [(&str, &str, Read); 4] = [
        (
            "frankenphp_worker_crashes",
            "Number of unexpected ends of this worker.",
            |pool| pool.exits(|reason| !is_deliberate(reason)),
        ),
        (
            "frankenphp_worker_restarts",
            "Number of deliberate restarts of this worker.",
            |pool| pool.exits(is_deliberate),
        ),
        (
            "frankenphp_worker_request_time",
            "Seconds spent on requests by this worker.",
            |pool| pool.service().map_or(0.0, |service| service.sum),
        ),
        (
            "frankenphp_worker_request_count",
            "Number of requests processed by this worker.",
            |pool| pool.service().map_or(0.0, |service| total_of(&service)),
        ),
    ];
    for (name, help, read) in gauges {
        let mut family = text.gauge(name, help);
        for pool in workers() {
            family.sample(&pool.frankenphp_labels(), read(pool));
        }
    }
    for (name, help, read) in counters {
        let mut family = text.counter(name, help);
        for pool in workers() {
            family.sample(&pool.frankenphp_labels(), read(pool));
        }
    }
}

fn total_of(counts: &Counts) -> f64 {
    counts.cumulative.last().copied().unwrap_or_default() as f64
}

/// Ours: by site and pool; the classic pool belongs to no site.
fn own(text: &mut Text, pools: &[Pool<'_>], admin: &Admin) {
    let mut workers = text.gauge("troupe_workers", "Workers by the state they are in.");
    for pool in pools {
        let [site, name, kind] = pool.labels();
        for state in [
            State::Starting,
            State::Ready,
            State::Draining,
            State::Waiting,
            State::Stopped,
        ] {
            let count = pool.workers(|worker| worker.state == state);
            workers.sample(&[site, name, kind, ("state", state.label())], count);
        }
    }
    let mut exits = text.counter("troupe_worker_exits_total", "Ends of workers by reason.");
    for pool in pools {
        let [site, name, kind] = pool.labels();
        for (reason, count) in &pool.node.exits {
            exits.sample(&[site, name, kind, ("reason", reason)], *count as f64);
        }
    }
    let mut depth = text.gauge(
        "troupe_queue_depth",
        "Requests or tasks that wait for a worker.",
    );
    for pool in pools {
        depth.sample(&pool.labels(), pool.queue_depth());
    }
    let mut memory = text.gauge(
        "troupe_worker_memory_bytes",
        "Memory that PHP used after a worker's last request.",
    );
    for pool in pools {
        for worker in &pool.node.children {
            if let Some(bytes) = worker.memory {
                let [site, name, kind] = pool.labels();
                let labels = [site, name, kind, ("worker", worker.name.as_str())];
                memory.sample(&labels, bytes as f64);
            }
        }
    }
    type Read = fn(&PoolPort) -> Counts;
    let histograms: [(&str, &str, Read); 2] = [
        (
            "troupe_request_wait_seconds",
            "How long requests waited for a worker.",
            |port| port.stats().wait.read(),
        ),
        (
            "troupe_request_service_seconds",
            "How long workers took to answer.",
            |port| port.stats().service.read(),
        ),
    ];
    for (name, help, read) in histograms {
        let mut family = text.histogram(name, help);
        for pool in pools {
            if let Some(port) = pool.port {
                family.histogram(&pool.labels(), &read(port));
            }
        }
    }
    tasks(text, pools);
    let census = admin.tree.census();
    text.counter(
        "troupe_lost_threads_total",
        "PHP threads that could not be ended and were replaced.",
    )
    .sample(&[], census.lost_threads_ever() as f64);
    text.gauge("troupe_actors", "Actors that live.")
        .sample(&[], census.actors() as f64);
    text.gauge(
        "troupe_mailbox_depth",
        "Reports of PHP threads that no actor has read yet.",
    )
    .sample(&[], census.unread_reports() as f64);
}

/// The tasks of background workers.
fn tasks(text: &mut Text, pools: &[Pool<'_>]) {
    let counted = || {
        let pools = pools.iter();
        pools.filter_map(|pool| Some((pool, pool.tasks.as_deref()?)))
    };
    let mut sent = text.counter(
        "troupe_tasks_sent_total",
        "Tasks sent to background workers.",
    );
    for (pool, stats) in counted() {
        let labels = [("site", pool.site), ("pool", pool.node.name.as_str())];
        sent.sample(&labels, stats.total() as f64);
    }
    let mut running = text.gauge("troupe_tasks_running", "Tasks that workers have in hand.");
    for (pool, stats) in counted() {
        let labels = [("site", pool.site), ("pool", pool.node.name.as_str())];
        running.sample(&labels, stats.running() as f64);
    }
    let mut ends = text.counter("troupe_tasks_ended_total", "Ends of tasks by outcome.");
    for (pool, stats) in counted() {
        let TaskEnds {
            completed,
            cancelled,
            aborted,
            timed_out,
        } = stats.ends();
        for (outcome, count) in [
            ("completed", completed),
            ("cancelled", cancelled),
            ("aborted", aborted),
            ("timed_out", timed_out),
        ] {
            let labels = [
                ("site", pool.site),
                ("pool", pool.node.name.as_str()),
                ("outcome", outcome),
            ];
            ends.sample(&labels, count as f64);
        }
    }
    type Read = fn(&TaskStats) -> Counts;
    let histograms: [(&str, &str, Read); 2] = [
        (
            "troupe_task_wait_seconds",
            "How long tasks waited until a worker took them.",
            |stats| stats.wait.read(),
        ),
        (
            "troupe_task_run_seconds",
            "How long workers had tasks in hand.",
            |stats| stats.run.read(),
        ),
    ];
    for (name, help, read) in histograms {
        let mut family = text.histogram(name, help);
        for (pool, stats) in counted() {
            let labels = [("site", pool.site), ("pool", pool.node.name.as_str())];
            family.histogram(&labels, &read(stats));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_planned_exits_are_deliberate() {
        assert!(is_deliberate("max_requests"));
        assert!(!is_deliberate("fatal_error"));
    }
}
