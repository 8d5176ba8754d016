//! A request that is being served: its body goes one way, its response comes the other.
//!
//! Both are moved by the connection's own task, so that with its end both ends are let go.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use troupe_sapi::{Outcome, Part, ResponseReader, Withdrawal};

use super::body::{BodyProblem, Pump};

/// See the module. Its drop tells the script that the client left.
pub struct Exchange {
    pump: Pump,
    /// Gone when the job was withdrawn.
    reader: Option<ResponseReader>,
    /// Runs while no thread has begun, as far as is known here.
    patience: Option<Pin<Box<Sleep>>>,
}

/// What happened next.
#[derive(Debug)]
pub enum Step {
    Part(Part),
    End(Outcome),
    /// The rest of the body will never come, and the script has not answered yet.
    BadBody(BodyProblem),
    /// No thread had begun in time, and none will.
    NoThread,
}

impl Exchange {
    pub fn new(pump: Pump, reader: ResponseReader, patience: Option<Duration>) -> Self {
        Self {
            pump,
            reader: Some(reader),
            patience: patience.map(|patience| Box::pin(sleep(patience))),
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let body = self.pump.poll(cx);
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(Step::NoThread);
        };
        // An answer that is there says more than a body that is not.
        if let Poll::Ready(part) = reader.poll_part(cx) {
            self.patience = None;
            return Poll::Ready(part.map_or_else(Step::End, Step::Part));
        }
        if let Err(problem) = body {
            return Poll::Ready(Step::BadBody(problem));
        }
        let is_over = |patience: &mut Pin<Box<Sleep>>| patience.as_mut().poll(cx).is_ready();
        if self.patience.as_mut().is_some_and(is_over) {
            self.patience = None;
            self.reader = self
                .reader
                .take()
                .and_then(|reader| match reader.withdraw() {
                    Withdrawal::Withdrawn => None,
                    // From here on it is the script's deadline that counts.
                    Withdrawal::Begun(reader) => Some(reader),
                });
            if self.reader.is_none() {
                return Poll::Ready(Step::NoThread);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use troupe_sapi::{Head, ResponseWriter, response_port};

    const PATIENCE: Duration = Duration::from_millis(20);

    fn exchange() -> (ResponseWriter, Exchange) {
        let (writer, reader) = response_port();
        (writer, Exchange::new(Pump::idle(), reader, Some(PATIENCE)))
    }

    async fn step(exchange: &mut Exchange) -> Step {
        std::future::poll_fn(|cx| exchange.poll(cx)).await
    }

    #[actix_web::test]
    async fn a_job_that_no_thread_begins_in_time_is_withdrawn() {
        let (mut writer, mut exchange) = exchange();
        assert!(matches!(step(&mut exchange).await, Step::NoThread));
        assert!(!writer.begin(), "the job can't begin any more");
    }

    #[actix_web::test]
    async fn a_job_that_has_begun_is_waited_for() {
        let (mut writer, mut exchange) = exchange();
        assert!(writer.begin());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(exchange.poll(&mut cx).is_pending());
        tokio::time::sleep(3 * PATIENCE).await;
        assert!(exchange.poll(&mut cx).is_pending());
        let status = 200;
        writer.set_head(Head {
            status,
            headers: Vec::new(),
        });
        writer.finish();
        assert!(matches!(
            step(&mut exchange).await,
            Step::Part(Part::Head { .. })
        ));
        assert!(matches!(
            step(&mut exchange).await,
            Step::End(Outcome::Complete)
        ));
    }
}
