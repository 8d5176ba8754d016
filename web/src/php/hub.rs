//! Where PHP threads leave the news that a response goes on.
//!
//! Waking a task of another thread costs a system call each time, whether or not that thread is awake. So
//! each I/O thread has a hub: PHP threads put the tasks to be woken on its list, and only the one that finds
//! the hub asleep wakes it. The hub's own task then wakes the others from within their thread, which costs
//! next to nothing. Under load hardly a response needs a system call for its news.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The hub of one I/O thread; clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    tasks: Vec<Waker>,
    hub: Option<Waker>,
    /// The hub has been woken and has not looked at the list since.
    is_awake: bool,
}

impl Hub {
    /// Starts the hub of this thread.
    pub fn start() -> Self {
        let hub = Self::default();
        let task = hub.clone();
        actix_web::rt::spawn(poll_fn(move |cx| task.run(cx)));
        hub
    }

    fn run(&self, cx: &mut Context<'_>) -> Poll<()> {
        let tasks = {
            let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.is_awake = false;
            match &list.hub {
                Some(hub) if hub.will_wake(cx.waker()) => {}
                _ => list.hub = Some(cx.waker().clone()),
            }
            std::mem::take(&mut list.tasks)
        };
        for task in tasks {
            task.wake();
        }
        Poll::Pending
    }

    fn wake(&self, task: Waker) {
        let hub = {
            let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.tasks.push(task);
            match list.is_awake {
                true => return,
                false => {
                    list.is_awake = true;
                    list.hub.clone()
                }
            }
        };
        if let Some(hub) = hub {
            hub.wake();
        }
    }
}

/// Wakes one task through its thread's hub.
#[derive(Debug)]
pub struct Bell {
    task: Waker,
    rings: Waker,
}

impl Bell {
    /// A bell for the task of `cx`; `old` if it is one.
    pub fn of(hub: &Hub, cx: &Context<'_>, old: Option<Self>) -> Self {
        match old {
            Some(old) if old.task.will_wake(cx.waker()) => old,
            _ => Self {
                task: cx.waker().clone(),
                rings: Arc::new(Rings {
                    hub: hub.clone(),
                    task: cx.waker().clone(),
                })
                .into(),
            },
        }
    }

    /// To be given to a PHP thread.
    pub fn waker(&self) -> &Waker {
        &self.rings
    }
}

struct Rings {
    hub: Hub,
    task: Waker,
}

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.hub.wake(self.task.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn however_many_tasks_are_to_be_woken_the_hub_is_woken_once() {
        let hub = Hub::default();
        let (hub_woken, hub_waker) = counted();
        let (tasks_woken, task) = counted();
        assert!(hub.run(&mut Context::from_waker(&hub_waker)).is_pending());
        let bell = Bell::of(&hub, &Context::from_waker(&task), None);
        for _ in 0..3 {
            bell.waker().wake_by_ref();
        }
        assert_eq!(hub_woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(tasks_woken.0.load(Ordering::SeqCst), 0);
        assert!(hub.run(&mut Context::from_waker(&hub_waker)).is_pending());
        assert_eq!(tasks_woken.0.load(Ordering::SeqCst), 3);
        bell.waker().wake_by_ref();
        assert_eq!(hub_woken.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_rings_before_the_hub_has_begun_is_not_lost() {
        let hub = Hub::default();
        let (woken, task) = counted();
        Bell::of(&hub, &Context::from_waker(&task), None)
            .waker()
            .wake_by_ref();
        let (_, hub_waker) = counted();
        assert!(hub.run(&mut Context::from_waker(&hub_waker)).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    #[actix_web::test]
    async fn another_threads_news_arrive() {
        let hub = Hub::start();
        let mut bell = None;
        let mut rung = false;
        poll_fn(move |cx| {
            if rung {
                return Poll::Ready(());
            }
            rung = true;
            let waker = bell.insert(Bell::of(&hub, cx, None)).waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        })
        .await;
    }
}
