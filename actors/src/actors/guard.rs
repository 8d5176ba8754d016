//! Runs an actor so that its panic is an exit and not the end of its supervisor, its arbiter or the process.
//!
//! actix polls an actor's context once more when it is dropped. Dropped while a panic unwinds, a second panic
//! there would abort the process; so the panic is caught around the poll, and the drop that follows is caught
//! by itself. Whoever is to know is told in either case, after the actor and all it owned are gone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::{Actor, Addr, Context};

use super::census::{Census, Counted};

/// Starts an actor on the current arbiter. `on_end` is called once, with the panic's message if there was one.
pub fn spawn<A>(
    census: &Census,
    make: impl FnOnce(&mut Context<A>) -> A,
    on_end: impl FnOnce(Option<String>) + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    spawn_in(Context::new(), census, make, on_end)
}

/// The same for a context whose mailbox is in use already.
pub fn spawn_in<A>(
    mut context: Context<A>,
    census: &Census,
    make: impl FnOnce(&mut Context<A>) -> A,
    on_end: impl FnOnce(Option<String>) + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let actor = make(&mut context);
    let future = context.into_future(actor);
    let address = future.address();
    actix::spawn(Guarded {
        inner: Some(Box::pin(future)),
        end: Some(End {
            name: std::any::type_name::<A>(),
            tell: Box::new(on_end),
            _counted: census.actor(),
        }),
    });
    address
}

struct End {
    name: &'static str,
    tell: Box<dyn FnOnce(Option<String>)>,
    _counted: Counted,
}

struct Guarded {
    inner: Option<Pin<Box<dyn Future<Output = ()>>>>,
    end: Option<End>,
}

impl Guarded {
    fn finish(&mut self, panic: Option<Box<dyn Any + Send>>) {
        let inner = self.inner.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(inner)));
        let panic = panic.or(dropped.err());
        let Some(End {
            name,
            tell,
            _counted,
        }) = self.end.take()
        else {
            return;
        };
        let message = panic.map(|payload| message(&*payload));
        if let Some(message) = &message {
            tracing::error!(
                actor = name,
                panic = message,
                "an actor panicked; its supervisor decides what follows"
            );
        }
        tell(message);
    }
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(());
        };
        match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                self.finish(None);
                Poll::Ready(())
            }
            Err(panic) => {
                self.finish(Some(panic));
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Guarded {
    /// The arbiter ends with the actor still alive.
    fn drop(&mut self) {
        self.finish(None);
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message};
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Blow;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Leave;

    /// Panics in its handler, and where asked again in the hook that actix calls from the context's drop.
    struct Bomb {
        twice: bool,
    }

    impl Actor for Bomb {
        type Context = Context<Self>;

        fn stopped(&mut self, _: &mut Context<Self>) {
            assert!(!self.twice, "second");
        }
    }

    impl Handler<Blow> for Bomb {
        type Result = ();

        fn handle(&mut self, _: Blow, _: &mut Context<Self>) {
            panic!("first");
        }
    }

    impl Handler<Leave> for Bomb {
        type Result = ();

        fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
            use actix::ActorContext;
            ctx.stop();
        }
    }

    async fn end_of(twice: bool, blow: bool) -> (Option<String>, usize) {
        let census = Census::default();
        let (sender, ended) = oneshot::channel();
        let address = spawn(
            &census,
            |_| Bomb { twice },
            |panic| sender.send(panic).unwrap(),
        );
        assert_eq!(census.actors(), 1);
        if blow {
            assert!(
                address.send(Blow).await.is_err(),
                "a message to an actor that panics is answered by an error"
            );
        } else {
            address.send(Leave).await.unwrap();
        }
        let panic = ended.await.unwrap();
        (panic, census.actors())
    }

    #[actix::test]
    async fn a_panic_is_told_and_ends_nobody_else() {
        assert_eq!(end_of(false, true).await, (Some("first".into()), 0));
    }

    #[actix::test]
    async fn a_second_panic_while_the_actor_is_dropped_does_not_abort_the_process() {
        assert_eq!(end_of(true, true).await, (Some("first".into()), 0));
    }

    #[actix::test]
    async fn a_panic_in_the_last_hook_of_a_normal_stop_is_told_too() {
        assert_eq!(end_of(true, false).await, (Some("second".into()), 0));
    }

    #[actix::test]
    async fn a_normal_stop_is_told_as_one() {
        assert_eq!(end_of(false, false).await, (None, 0));
    }
}
