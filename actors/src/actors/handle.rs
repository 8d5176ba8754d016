//! The way in for `web`: starts the tree on a thread of its own and gives the server a handle to it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, AsyncContext, Context};
use tokio::sync::{oneshot, watch};
use troupe_sapi::Scope;

use super::boards::Boards;
use super::branch::{Above, Branch, Shutdown, Summoner};
use super::brood::{Brood, Ending, Offspring};
use super::census::Census;
use super::door::Door;
use super::guard;
use super::kin::{Birth, House, Link, Order, Said};
use super::pool;
use super::port::PoolPort;
use super::scope::SiteScope;
use super::spec::{PoolSpec, ServerSpec, SiteSpec};
use super::stats::TaskStats;
use super::steer::{Action, Steer, SteerError};
use super::tasks;
use super::thread::Spawn;
use crate::supervision::{ChildId, ChildSpec, Policy};
use crate::tree::{Kind, NodeId, Tree};

/// A supervisor's own grace: its children's count, and the shutdown's deadline.
const NO_GRACE_OF_ITS_OWN: Duration = Duration::from_secs(24 * 3600);

/// Why the tree did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two sites, or two pools of a site, have one name.
    #[error("two nodes would be called {0}; give one of them another name")]
    Duplicate(NodeId),
    /// The system refused a thread.
    #[error("cannot start the supervision thread: {0}")]
    Thread(std::io::Error),
    /// The supervision thread ended before it was up.
    #[error("the supervision thread ended before it was up")]
    Died,
}

/// Why there is no backtrace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BacktraceError {
    /// There is no such worker, or it has no thread.
    #[error("there is no PHP thread at {0}")]
    NoThread(NodeId),
    /// It runs nothing, or is in a blocking call.
    #[error("unavailable: no script runs there, or it does not answer")]
    Unavailable,
}

/// What was left at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell {
    /// PHP threads that could not be ended. With any left, leave the process without ending PHP.
    pub lost_threads: usize,
    /// Actors that were left; anything but zero is a bug.
    pub actors: usize,
}

/// The tree's handle; clones are handles to the same tree.
#[derive(Clone)]
pub struct Handle {
    root: Addr<Branch>,
    house: House,
    classic: PoolPort,
    sites: Arc<HashMap<String, Doors>>,
    ended: watch::Receiver<Option<Ending>>,
    /// Closed when the supervision thread has ended.
    finished: watch::Receiver<()>,
}

/// What `web` needs of a site.
struct Doors {
    http: HashMap<String, PoolPort>,
    scope: Arc<SiteScope>,
}

/// Starts the tree; returns when it is up, which is before any worker is ready.
pub fn start(spec: ServerSpec, threads: Arc<dyn Spawn>) -> Result<Handle, StartError> {
    check_names(&spec)?;
    let house = House {
        tree: Tree::default(),
        census: Census::default(),
        boards: Boards::default(),
        threads,
    };
    let classic = port_of(&spec.classic);
    let sites: HashMap<_, _> = spec
        .sites
        .iter()
        .map(|site| (site.name.clone(), doors_of(site)))
        .collect();
    let sites = Arc::new(sites);
    let (end, ended) = watch::channel(None);
    let (finish, finished) = watch::channel(());
    let (up, is_up) = std::sync::mpsc::channel();

    let inner = (house.clone(), classic.clone(), sites.clone(), ended.clone());
    let body = move || {
        let (house, classic, sites, mut ended) = inner;
        let census = house.census.clone();
        actix::System::new().block_on(async move {
            let root = plant(spec, &house, &classic, &sites, end);
            root.do_send(Order::Start);
            // The starter waits for nothing else.
            let _ = up.send(root);
            // The sender lives as long as the root.
            let _ = ended.wait_for(Option::is_some).await;
            while census.actors() > 0 {
                tokio::task::yield_now().await;
            }
        });
        drop(finish);
    };
    std::thread::Builder::new()
        .name("supervision".into())
        .spawn(body)
        .map_err(StartError::Thread)?;
    let root = is_up.recv().map_err(|_| StartError::Died)?;
    Ok(Handle {
        root,
        house,
        classic,
        sites,
        ended,
        finished,
    })
}

impl Handle {
    /// The door of the classic pool.
    pub fn classic(&self) -> &PoolPort {
        &self.classic
    }

    /// The door of a site's HTTP worker pool.
    pub fn http(&self, site: &str, pool: &str) -> Option<&PoolPort> {
        self.sites.get(site)?.http.get(pool)
    }

    /// The background workers that a site's scripts may use.
    pub fn scope(&self, site: &str) -> Option<Arc<dyn Scope>> {
        let scope: Arc<dyn Scope> = self.sites.get(site)?.scope.clone();
        Some(scope)
    }

    /// The tree, to read and to listen to.
    pub fn tree(&self) -> &Tree {
        &self.house.tree
    }

    /// Actors and PHP threads that live.
    pub fn census(&self) -> &Census {
        &self.house.census
    }

    /// Restarts a worker, or every worker of a pool, a site or the server, one at a time in each pool. Returns
    /// when all are ready again, or one has failed to be.
    pub async fn restart(&self, node: NodeId) -> Result<(), SteerError> {
        self.steer(node, Action::Restart).await
    }

    /// Lets a worker, a pool or a site finish what it does and keeps it down until it is restarted. Returns at
    /// once.
    pub async fn drain(&self, node: NodeId) -> Result<(), SteerError> {
        self.steer(node, Action::Drain).await
    }

    /// Ends the scripts that run at a node. Returns at once.
    pub async fn kill(&self, node: NodeId) -> Result<(), SteerError> {
        self.steer(node, Action::Kill).await
    }

    /// Ends a task: its sender and its worker are told that it was cancelled. Returns at once.
    pub async fn cancel(&self, node: NodeId) -> Result<(), SteerError> {
        self.steer(node, Action::Cancel).await
    }

    /// What is counted of the tasks of a site's background worker, once one was sent.
    pub fn task_stats(&self, site: &str, worker: &str) -> Option<Arc<TaskStats>> {
        self.sites.get(site)?.scope.desk().stats(worker)
    }

    async fn steer(&self, target: NodeId, action: Action) -> Result<(), SteerError> {
        let (reply, answer) = oneshot::channel();
        self.root.do_send(Steer {
            target,
            action,
            reply,
        });
        answer.await.unwrap_or(Err(SteerError::Gone))
    }

    /// The PHP stack of what a worker runs, one frame a line.
    pub async fn backtrace(&self, node: &NodeId) -> Result<String, BacktraceError> {
        let control = self
            .house
            .boards
            .get(node)
            .ok_or_else(|| BacktraceError::NoThread(node.clone()))?;
        let (sender, answer) = oneshot::channel();
        let asker = std::thread::Builder::new()
            .name("backtrace".into())
            .spawn(move || {
                // Whoever asked may no longer wait.
                let _ = sender.send(control.backtrace(Duration::from_millis(100)));
            });
        asker.map_err(|_| BacktraceError::Unavailable)?;
        answer
            .await
            .ok()
            .flatten()
            .ok_or(BacktraceError::Unavailable)
    }

    /// Waits until the tree has ended: by [`shutdown`](Self::shutdown), or because the root gave up, with the
    /// reason. Then the process is better started afresh.
    pub async fn ended(&self) -> Option<String> {
        let mut ended = self.ended.clone();
        match ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|ending| ending.clone())
        {
            Some(Ending::Escalated(detail)) => Some(detail.to_string()),
            Some(Ending::Stopped) => None,
            None => Some("the root vanished".into()),
        }
    }

    /// Ends everything in reverse order: requests that wait or run are finished within `grace`, then scripts
    /// are ended by force, then threads that do not end are given up.
    pub async fn shutdown(&self, grace: Duration) -> Farewell {
        // Nobody waits for a background worker any more, or the grace would be spent on that.
        self.sites.values().for_each(|doors| doors.scope.close());
        self.root.do_send(Shutdown { grace });
        let mut finished = self.finished.clone();
        // Never sends; it closes.
        let _ = finished.changed().await;
        self.classic.close();
        self.sites
            .values()
            .flat_map(|doors| doors.http.values())
            .for_each(PoolPort::close);
        Farewell {
            lost_threads: self.house.census.lost_threads(),
            actors: self.house.census.actors(),
        }
    }
}

fn check_names(spec: &ServerSpec) -> Result<(), StartError> {
    let mut ids = std::collections::HashSet::new();
    for site in &spec.sites {
        let id = NodeId::site(&site.name);
        let pools = site.http.iter().map(|pool| id.http_pool(&pool.name));
        let named = site.background.iter().filter_map(|spec| spec.name.as_ref());
        let background = named.map(|name| id.background_pool(name));
        for id in pools.chain(background).chain([id.clone()]) {
            if !ids.insert(id.clone()) {
                return Err(StartError::Duplicate(id));
            }
        }
    }
    Ok(())
}

fn port_of(spec: &PoolSpec) -> PoolPort {
    PoolPort::new(
        spec.queue_capacity,
        spec.scaling.max_threads > spec.scaling.threads,
    )
}

fn doors_of(site: &SiteSpec) -> Doors {
    let http = site.http.iter();
    Doors {
        http: http
            .map(|pool| (pool.name.clone(), port_of(pool)))
            .collect(),
        scope: SiteScope::new(&site.background),
    }
}

/// A supervisor below another: it comes back as often as it has to, and its grace is its children's.
fn supervisor_spec(stage: u32) -> ChildSpec {
    ChildSpec {
        stage,
        grace: NO_GRACE_OF_ITS_OWN,
        max_consecutive_failures: None,
        ..ChildSpec::default()
    }
}

fn plant(
    spec: ServerSpec,
    house: &House,
    classic: &PoolPort,
    sites: &HashMap<String, Doors>,
    end: watch::Sender<Option<Ending>>,
) -> Addr<Branch> {
    let mut children = Vec::new();
    for (number, site) in (1..).zip(spec.sites) {
        let Some(doors) = sites.get(&site.name) else {
            continue;
        };
        let (ports, scope) = (doors.http.clone(), doors.scope.clone());
        let name = site.name.clone();
        children.push(Offspring {
            number: ChildId(number),
            spec: supervisor_spec(0),
            id: NodeId::site(&name),
            kind: Kind::Site,
            name,
            grow: Rc::new(move |birth| grow_site(&site, &ports, &scope, birth)),
        });
    }
    // Scripts of the classic pool may use what the sites offer: it starts after them and stops before them.
    children.push(pool_below(
        ChildId(0),
        1,
        NodeId::classic(),
        Kind::ClassicPool,
        spec.classic,
        Door::Requests {
            port: classic.clone(),
            scope: None,
        },
    ));

    let entry = Arc::new(house.tree.enter(NodeId::root(), Kind::Root, "root", None));
    let house = house.clone();
    let census = house.census.clone();
    let on_end = end.clone();
    let make = move |ctx: &mut Context<Branch>| {
        let brood = Brood::new(house, entry, Policy::root(), ctx.address().recipient());
        Branch::new(brood, Above::Nobody(end), children, None)
    };
    guard::spawn(&census, make, move |panic| {
        if let Some(message) = panic {
            let detail = crate::supervision::Detail::message("panicked", message);
            on_end.send_replace(Some(Ending::Escalated(detail)));
        }
    })
}

fn grow_site(
    site: &SiteSpec,
    ports: &HashMap<String, PoolPort>,
    scope: &Arc<SiteScope>,
    birth: Birth,
) -> Link {
    let Birth {
        house,
        entry,
        words,
    } = birth;
    let mut children = Vec::new();
    for (number, spec) in (1..).zip(&site.http) {
        let Some(port) = ports.get(&spec.name) else {
            continue;
        };
        let id = entry.id().http_pool(&spec.name);
        children.push(pool_below(
            ChildId(number),
            2,
            id,
            Kind::HttpPool,
            spec.clone(),
            Door::Requests {
                port: port.clone(),
                scope: Some(scope.clone()),
            },
        ));
    }
    // Tasks need it before their senders and workers run, and until they have ended.
    if !scope.is_empty() {
        let desk = scope.desk().clone();
        children.push(Offspring {
            number: ChildId(0),
            spec: supervisor_spec(0),
            id: entry.id().tasks(),
            kind: Kind::Tasks,
            name: "tasks".to_owned(),
            grow: Rc::new(move |birth| tasks::grow(&desk, birth)),
        });
    }
    let census = house.census.clone();
    let on_end = words.clone();
    let (site_id, scope) = (entry.id().clone(), scope.clone());
    let make = move |ctx: &mut Context<Branch>| {
        let brood = Brood::new(house, entry, Policy::site(), ctx.address().recipient());
        let names = scope.attach(ctx.address().recipient());
        let summoner: Summoner =
            Box::new(move |name, number| background_pool(&site_id, &scope, name, number));
        // Those that run from the start, and after a panic of this actor those that were running.
        for name in names {
            let number = ChildId(u32::try_from(children.len() + 1).unwrap_or(u32::MAX));
            children.extend(summoner(&name, number));
        }
        Branch::new(brood, Above::Parent(words), children, Some(summoner))
    };
    let address = guard::spawn(&census, make, move |panic| on_end.say(Said::Gone(panic)));
    Link::new(address.clone().recipient(), address.recipient())
}

/// Background workers start before the HTTP workers that may need them, and stop after them.
fn background_pool(
    site: &NodeId,
    scope: &Arc<SiteScope>,
    name: &str,
    number: ChildId,
) -> Option<Offspring> {
    let (spec, port) = scope.pool(name)?;
    let door = Door::Tasks {
        port,
        scope: scope.clone(),
        stats: scope.desk().open_stats(name),
    };
    let id = site.background_pool(name);
    Some(pool_below(number, 1, id, Kind::BackgroundPool, spec, door))
}

fn pool_below(
    number: ChildId,
    stage: u32,
    id: NodeId,
    kind: Kind,
    spec: PoolSpec,
    door: Door,
) -> Offspring {
    let name = spec.name.clone();
    let spec = Arc::new(spec);
    let grow = Rc::new(move |birth: Birth| pool::grow(&spec, &door, birth));
    Offspring {
        number,
        spec: supervisor_spec(stage),
        id,
        kind,
        name,
        grow,
    }
}
