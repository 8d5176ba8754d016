//! `troupe bench-handler`: what an answer costs without PHP, for tests/bench to compare with.
//!
//! The same listeners, connections and actix settings as the server's own; behind them a handler that
//! answers as the comparison's script does.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::run::StartError;
use crate::server::{self, Facts, Listener, Settings};

/// Serves until SIGTERM.
pub fn run(config: &Config) -> Result<ExitCode, StartError> {
    let listeners = Listener::bind_all(&config.server)?;
    let settings = Settings::new(&config.server);
    actix_web::rt::System::new().block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let (http, serving) =
            server::start(&settings, listeners, None, || server::application(answer))?;
        actix_web::rt::spawn(serving);
        terminate.recv().await;
        http.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn answer(request: HttpRequest) -> HttpResponse<BoxBody> {
    // The connection counts its requests; one that is none looks like a client that is slow to ask.
    let facts = request.conn_data::<Rc<Facts>>();
    let _in_flight = facts.map(|facts| facts.enter());
    let body = match request.query_string() {
        "work=hello" => format!("Hello {}", request.uri()),
        "work=body" => "0123456789".repeat(10240),
        "work=sleep" => {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
            "slept".to_owned()
        }
        _ => return HttpResponse::NotFound().finish(),
    };
    HttpResponse::Ok()
        .content_type("text/html; charset=UTF-8")
        .body(body)
}
