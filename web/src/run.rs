//! A server's life: configuration → build → serve → drain.
//!
//! The stop goes from the outside in: HTTP first (no new connections, running requests end), then the
//! tree with its PHP threads, then PHP itself. A second signal stops at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use troupe_actors::Handle;
use troupe_actors::tree::NodeId;
use troupe_sapi::{Engine, EngineError};

use crate::admin::{self, Admin, Offer};
use crate::app;
use crate::assembly;
use crate::config::Config;
use crate::config::Listen;
use crate::logging::Logs;
use crate::server::{self, BindError, Certificates, Listener, Running, Settings, TlsError};
use crate::watch::{Watch, WatchError};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot write the log: {0}")]
    Log(std::io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(
        "{0} (the admin endpoint; `--admin ADDR` or [admin] `listen` moves it, \"off\" goes without)"
    )]
    BindAdmin(BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Php(#[from] EngineError),
    #[error(transparent)]
    Tree(#[from] troupe_actors::StartError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Serves until a signal says stop.
pub fn run(config: &Config) -> Result<ExitCode, StartError> {
    let started = Instant::now();
    let logs = Logs::start(&config.server).map_err(StartError::Log)?;
    raise_descriptor_limit();
    let listeners = Listener::bind_all(&config.server)?;
    let admin_listeners = admin_listeners(config)?;
    let has_tls = listeners.iter().any(|l| matches!(l, Listener::Tls(_)));
    let certificates = has_tls.then(|| Certificates::load(config)).transpose()?;
    let watch = Watch::begin(config)?;
    let urls: Vec<_> = listeners.iter().map(Listener::url).collect();

    let engine = Arc::new(Engine::start(&assembly::engine(config))?);
    let tree = troupe_actors::start(assembly::tree(config), engine.clone())?;
    let state = Arc::new(assembly::state(config, &tree, &logs)?);
    let settings = Settings::new(&config.server);
    let (was_asked, farewell) = actix_web::rt::System::new().block_on(async {
        let mut signals = Signals::listen()?;
        let (http, serving) =
            server::start(&settings, listeners, certificates.as_ref(), move || {
                app::app(state.clone())
            })?;
        actix_web::rt::spawn(serving);
        let versions = engine.versions();
        let admin = Arc::new(Admin {
            tree: tree.clone(),
            token: config.admin.token.clone(),
            scripts: assembly::scripts(config),
            is_stopping: AtomicBool::new(false),
            php_version: versions.php.clone(),
        });
        let mut admin_servers = Vec::new();
        for (listener, offer) in admin_listeners {
            let admin = admin.clone();
            let app = move || {
                let admin = admin.clone();
                server::application(move |request| admin::respond(admin.clone(), request, offer))
            };
            let settings = Settings {
                threads: 1,
                ..settings.clone()
            };
            let (running, serving) = server::start(&settings, vec![listener], None, app)?;
            actix_web::rt::spawn(serving);
            admin_servers.push(running);
        }
        if let Some(watch) = watch {
            let tree = tree.clone();
            actix_web::rt::spawn(async move { watch.run(&tree).await });
        }
        let took = started.elapsed();
        tracing::info!(listen = ?urls, php = versions.php, ?took, "serving");
        let parts = Parts {
            logs: &logs,
            certificates: certificates.as_ref(),
            http: &http,
            tree: &tree,
        };
        let was_asked = parts.serve(&mut signals).await;
        admin.is_stopping.store(true, Ordering::SeqCst);
        tracing::info!(grace = ?settings.grace, "stopping: running requests may end");
        tokio::select! {
            farewell = parts.drain(settings.grace) => {
                Ok::<_, std::io::Error>((was_asked, Some(farewell)))
            }
            () = signals.stop() => Ok((was_asked, None)),
        }
        // The admin endpoint shows the stop to its end: it goes with the process.
    })?;
    remove_sockets(config);
    let lost_threads = match farewell {
        Some(farewell) => {
            if farewell.actors > 0 {
                tracing::error!(actors = farewell.actors, "actors were left behind: a bug");
            }
            farewell.lost_threads
        }
        None => {
            tracing::warn!("stopped at once, by a second signal");
            logs.flush();
            troupe_sapi::leave_process(1);
        }
    };
    if lost_threads > 0 {
        // PHP can't be ended while one of its threads still runs.
        tracing::error!(
            lost_threads,
            "stopped; PHP threads that did not end are left behind"
        );
        logs.flush();
        troupe_sapi::leave_process(i32::from(!was_asked));
    }
    drop(tree);
    if let Some(engine) = Arc::into_inner(engine) {
        engine.stop();
    }
    tracing::info!("stopped");
    logs.flush();
    Ok(match was_asked {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Allows this process as many descriptors as the system lets it have: each connection takes one, and what a
/// login shell is given, often 1,024, is meant for programs that do not serve.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(?limit, "cannot raise the limit of open files: {error}");
    }
}

fn remove_sockets(config: &Config) {
    let others = [&config.admin.listen, &config.health.listen];
    let listen = config.server.listen.iter();
    for listen in listen.chain(others.into_iter().flatten()) {
        if let Listen::Unix(path) = listen {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn admin_listeners(config: &Config) -> Result<Vec<(Listener, Offer)>, StartError> {
    let mut listeners = Vec::new();
    if let Some(listen) = &config.admin.listen {
        let listener = Listener::bind(listen, false).map_err(StartError::BindAdmin)?;
        listeners.push((listener, Offer::Everything));
    }
    if let Some(listen) = &config.health.listen {
        listeners.push((Listener::bind(listen, false)?, Offer::Health));
    }
    Ok(listeners)
}

/// What signals act on.
struct Parts<'a> {
    logs: &'a Logs,
    certificates: Option<&'a Certificates>,
    http: &'a Running,
    tree: &'a Handle,
}

impl Parts<'_> {
    /// Heeds signals until one says stop. False when the tree has given up: then the process is to be
    /// started afresh by whoever runs it.
    async fn serve(&self, signals: &mut Signals) -> bool {
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => return true,
                    Wish::Reload => self.reload(),
                    Wish::Restart => self.restart(),
                    Wish::ReopenLogs => self.logs.reopen(),
                },
                reason = self.tree.ended() => {
                    let reason = reason.unwrap_or_default();
                    tracing::error!(reason, "the supervision tree has ended: stopping");
                    return false;
                }
            }
        }
    }

    /// SIGHUP: certificates, log files and worker scripts are taken anew; no request is lost.
    fn reload(&self) {
        self.logs.reopen();
        if let Some(certificates) = self.certificates
            && let Err(error) = certificates.reload()
        {
            tracing::error!("the certificates stay as they were: {error}");
        }
        self.restart();
    }

    /// SIGUSR2, and a part of SIGHUP: every worker script anew, one thread after the other.
    fn restart(&self) {
        let tree = self.tree.clone();
        actix_web::rt::spawn(async move {
            match tree.restart(NodeId::root()).await {
                Ok(()) => tracing::info!("every worker was restarted"),
                Err(error) => tracing::warn!("not every worker was restarted: {error}"),
            }
        });
    }

    async fn drain(&self, grace: std::time::Duration) -> troupe_actors::Farewell {
        let begun = Instant::now();
        self.http.stop().await;
        self.tree
            .shutdown(grace.saturating_sub(begun.elapsed()))
            .await
    }
}

/// The signals that a server heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    reopen: Signal,
    restart: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            restart: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.reload.recv() => Wish::Reload,
            _ = self.reopen.recv() => Wish::ReopenLogs,
            _ = self.restart.recv() => Wish::Restart,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    ReopenLogs,
    /// SIGUSR2.
    Restart,
}
