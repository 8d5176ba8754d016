//! A request that is being served: its body goes one way, its response comes the other.
//!
//! Both are moved by the connection's own task, so that with its end both ends are let go.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use troupe_sapi::{Outcome, Part, ResponseReader, Withdrawal};

use super::body::{BodyProblem, Pump};
use super::hub::{Bell, Hub};
use crate::server::{Facts, Timer};

/// See the module. Its drop tells the script that the client left.
pub struct Exchange {
    pump: Pump,
    /// Gone when the job was withdrawn.
    reader: Option<ResponseReader>,
    /// While no thread has begun, as far as is known here.
    patience: Option<Duration>,
    timer: Timer,
    /// Of the connection, which lends the timer.
    facts: Rc<Facts>,
    hub: Hub,
    bell: Option<Bell>,
}

/// What happened next.
#[derive(Debug)]
pub enum Step {
    Part(Part),
    End(Outcome),
    /// The rest of the body will never come, and the script has not answered yet; or the client has left.
    BadBody(BodyProblem),
    /// No thread had begun, and none will: it took too long, or the pool went down.
    NoThread,
}

impl Exchange {
    pub fn new(
        pump: Pump,
        reader: ResponseReader,
        patience: Option<Duration>,
        hub: Hub,
        facts: Rc<Facts>,
    ) -> Self {
        Self {
            pump,
            reader: Some(reader),
            patience,
            timer: facts.timer(),
            facts,
            hub,
            bell: None,
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(Step::NoThread);
        };
        let bell = Bell::of(&self.hub, cx, self.bell.take());
        let bell = self.bell.insert(bell);
        if let Poll::Ready(part) = reader.poll_part(&mut Context::from_waker(bell.waker())) {
            self.end_patience();
            return Poll::Ready(match part {
                Ok(part) => Step::Part(part),
                Err(Outcome::Aborted) if self.withdraw() => Step::NoThread,
                Err(outcome) => Step::End(outcome),
            });
        }
        // After the response, not before: what PHP says about a body that ended too early is not the answer,
        // and it can say so before this function returns.
        if let Err(problem) = self.pump.poll(cx) {
            return Poll::Ready(Step::BadBody(problem));
        }
        if let Some(patience) = self.patience
            && self.timer.poll(patience, cx).is_ready()
        {
            self.end_patience();
            // If it has begun, it is the script's deadline that counts from here on.
            if self.withdraw() {
                return Poll::Ready(Step::NoThread);
            }
        }
        Poll::Pending
    }

    fn end_patience(&mut self) {
        if self.patience.take().is_some() {
            self.facts.keep(std::mem::take(&mut self.timer));
        }
    }

    /// Gives the job up; false when a thread has begun it.
    fn withdraw(&mut self) -> bool {
        self.reader = self
            .reader
            .take()
            .and_then(|reader| match reader.withdraw() {
                Withdrawal::Withdrawn => None,
                Withdrawal::Begun(reader) => Some(reader),
            });
        self.reader.is_none()
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
        let facts = Rc::new(Facts::for_tests(None, None));
        let exchange = Exchange::new(Pump::idle(), reader, Some(PATIENCE), Hub::start(), facts);
        (writer, exchange)
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
    async fn a_job_that_is_dropped_was_served_by_nobody_unless_it_had_begun() {
        let (writer, mut dropped) = exchange();
        drop(writer);
        assert!(matches!(step(&mut dropped).await, Step::NoThread));
        let (mut writer, mut dropped) = exchange();
        assert!(writer.begin());
        drop(writer);
        let end = step(&mut dropped).await;
        assert!(matches!(end, Step::End(Outcome::Aborted)));
    }

    #[actix_web::test]
    async fn what_php_says_about_a_body_that_ended_too_early_is_not_the_answer() {
        let (mut writer, reader) = response_port();
        assert!(writer.begin());
        // PHP answers in the very moment in which the body's end is dropped.
        let pump = Pump::new(async move {
            writer.set_head(Head::new(500));
            writer.finish();
            Err(BodyProblem::TooSlow)
        });
        let facts = Rc::new(Facts::for_tests(None, None));
        let mut exchange = Exchange::new(pump, reader, None, Hub::start(), facts);
        let end = step(&mut exchange).await;
        assert!(matches!(end, Step::BadBody(BodyProblem::TooSlow)));
    }

    #[actix_web::test]
    async fn a_job_that_has_begun_is_waited_for() {
        let (mut writer, mut exchange) = exchange();
        assert!(writer.begin());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(exchange.poll(&mut cx).is_pending());
        tokio::time::sleep(3 * PATIENCE).await;
        assert!(exchange.poll(&mut cx).is_pending());
        writer.set_head(Head::new(200));
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
