//! From the configuration to what the layers below want: PHP's settings, the tree's specification, and
//! the state of the application.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use troupe_actors::supervision::{
    BackoffPolicy, BootLimit, ChildSpec, Intensity, Policy, RecyclePolicy, Restart, ScalingPolicy,
    Strategy,
};
use troupe_actors::tree::NodeId;
use troupe_actors::{BackgroundSpec, Handle, PoolSpec, ServerSpec, SiteSpec, Work};
use troupe_sapi::EngineConfig;

use crate::app::{self, State};
use crate::config::value::Table;
use crate::config::{self, Background, Config, RestartPolicy, Worker};
use crate::logging::Logs;
use crate::php::{BodyLimits, Limits, Pool};
use crate::route::{Hosts, Router};
use crate::watch;

/// The classic pool's name, in the tree and in metrics.
const CLASSIC: &str = "classic";

/// PHP's settings.
pub fn engine(config: &Config) -> EngineConfig {
    let php = &config.php;
    let entries = |table: &Table| {
        let entries = table.iter();
        entries
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut ini: Vec<(String, String)> = entries(&php.ini);
    let says = |name: &str| php.ini.contains_key(name) || php.admin_ini.contains_key(name);
    if watch::wants_any(config) && !says(REVALIDATE) {
        // A worker that is restarted by a change must not get the old script from OPcache, which looks at
        // files every two seconds by default.
        ini.push((REVALIDATE.into(), "0".into()));
    }
    EngineConfig {
        php_ini: php.php_ini.clone(),
        // What went wrong is for the log; PHP's own defaults show it to the client.
        defaults: [("display_errors", "0"), ("log_errors", "1")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ini,
        locked: entries(&php.admin_ini),
    }
}

const REVALIDATE: &str = "opcache.revalidate_freq";

/// The supervision tree's specification.
pub fn tree(config: &Config) -> ServerSpec {
    let queue_capacity = config.server.queue_length;
    let mut classic = PoolSpec::new(CLASSIC, Work::Classic, 1);
    classic.scaling = scaling(config.php.threads, config.php.max_threads);
    classic.queue_capacity = queue_capacity;
    classic.slow_after = config.php.slow_log;
    let sites = config.sites.iter().map(|site| SiteSpec {
        name: site.name.clone(),
        http: site
            .workers
            .iter()
            .map(|worker| http_pool(site, worker, queue_capacity))
            .collect(),
        background: site
            .background
            .iter()
            .map(|worker| background(site, worker))
            .collect(),
    });
    ServerSpec {
        classic,
        sites: sites.collect(),
    }
}

/// The script of each HTTP worker's pool.
pub fn scripts(config: &Config) -> HashMap<NodeId, String> {
    let sites = config.sites.iter();
    let workers = sites.flat_map(|site| site.workers.iter().map(move |worker| (site, worker)));
    workers
        .map(|(site, worker)| {
            let pool = NodeId::site(&site.name).http_pool(&worker.name);
            (pool, worker.script.display().to_string())
        })
        .collect()
}

fn http_pool(site: &config::Site, worker: &Worker, queue_capacity: usize) -> PoolSpec {
    let script = troupe_actors::Script {
        name: c_text(worker.name.as_bytes()),
        path: c_path(&worker.script),
        env: merged(&site.env, &worker.env),
    };
    let mut pool = PoolSpec::new(&worker.name, Work::Http(script), 1);
    pool.scaling = scaling(worker.num, worker.max_threads);
    pool.queue_capacity = queue_capacity;
    pool.worker = child(&worker.restart);
    pool.policy = policy(&worker.restart);
    pool.recycle = RecyclePolicy {
        max_requests: worker.max_requests.map(|max| max as u64),
        ttl: worker.ttl,
        max_memory: worker.max_memory.map(|size| size.0),
    };
    pool.slow_after = worker.slow_log;
    pool
}

fn background(site: &config::Site, worker: &Background) -> BackgroundSpec {
    BackgroundSpec {
        name: worker.name.clone(),
        path: c_path(&worker.script),
        env: merged(&site.env, &worker.env),
        scaling: scaling(worker.num.max(1), worker.max_threads),
        at_boot: worker.name.is_some() && worker.num > 0,
        max_queue: worker.max_queue,
        max_names: worker.max_names,
        task_deadline: worker.task_deadline,
        worker: child(&worker.restart),
        policy: policy(&worker.restart),
    }
}

fn merged(site: &Table, worker: &Table) -> Vec<(String, String)> {
    let env = site.iter().chain(worker);
    env.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn policy(restart: &RestartPolicy) -> Policy {
    Policy {
        strategy: Strategy::OneForOne,
        intensity: Some(Intensity {
            limit: count(restart.intensity),
            period: restart.period,
        }),
    }
}

fn scaling(threads: usize, max_threads: usize) -> ScalingPolicy {
    ScalingPolicy::between(count(threads), count(max_threads))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn child(policy: &RestartPolicy) -> ChildSpec {
    ChildSpec {
        restart: match policy.restart {
            config::Restart::Permanent => Restart::Permanent,
            config::Restart::Transient => Restart::Transient,
            config::Restart::Temporary => Restart::Temporary,
        },
        boot: policy
            .boot_timeout
            .map_or(ChildSpec::default().boot, BootLimit::Forced),
        grace: policy.grace,
        backoff: BackoffPolicy {
            base: policy.backoff,
            cap: policy.backoff_max,
            ..BackoffPolicy::default()
        },
        max_consecutive_failures: Some(count(policy.max_consecutive_failures)),
        ..ChildSpec::default()
    }
}

/// The state of the application, with the doors of the pools that the tree has opened.
pub fn state(config: &Config, tree: &Handle, logs: &Logs) -> io::Result<State> {
    let server = &config.server;
    let classic = Pool {
        port: tree.classic().clone(),
        env: Table::new(),
        deadline: config.php.deadline,
    };
    Ok(State {
        hosts: Hosts::new(config.sites.iter().map(|site| site.hosts.as_slice())),
        sites: config
            .sites
            .iter()
            .map(|site| app_site(site, tree))
            .collect::<io::Result<_>>()?,
        classic,
        limits: Limits {
            body: BodyLimits {
                size: server.body_size.0,
                idle: server.body_idle_timeout,
            },
            write_idle: server.write_idle_timeout,
            wait: server.max_wait_time,
        },
        header_size: server.header_size.0,
        compress: server.compress.clone(),
        access: logs.access().cloned(),
    })
}

fn app_site(site: &config::Site, tree: &Handle) -> io::Result<app::Site> {
    let pool = |worker: &Worker| {
        let port = tree
            .http(&site.name, &worker.name)
            .ok_or_else(|| io::Error::other(format!("the worker {} has no pool", worker.name)))?;
        Ok(Pool {
            port: port.clone(),
            env: worker.env.clone(),
            deadline: worker.deadline,
        })
    };
    Ok(app::Site {
        router: Router::new(site)?,
        env: site.env.clone(),
        scope: tree.scope(&site.name),
        workers: site.workers.iter().map(pool).collect::<io::Result<_>>()?,
    })
}

fn c_path(path: &Path) -> CString {
    c_text(path.as_os_str().as_bytes())
}

/// The validation has refused names with a NUL, and no path has one.
fn c_text(text: &[u8]) -> CString {
    CString::new(text).unwrap_or_default()
}
