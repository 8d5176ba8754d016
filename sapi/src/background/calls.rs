//! The callbacks behind the functions of background workers and tasks. See `callbacks.rs` for the rules.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use php_sys::troupe_result::{self, TROUPE_ENDING, TROUPE_FAILED, TROUPE_NOTHING, TROUPE_OK};
use php_sys::troupe_signal::{
    self, TROUPE_SIGNAL_END, TROUPE_SIGNAL_NONE, TROUPE_SIGNAL_STOP, TROUPE_SIGNAL_TASK,
};
use php_sys::{troupe_answer, troupe_bytes, troupe_snapshot, troupe_value};

use super::pins::Pins;
use super::{
    BackgroundPort, Life, Place, Scope, Signal, TaskClosed, TaskOutcome, TaskQueue, TaskSender,
    TaskWorker, Unavailable, Value, task,
};
use crate::callbacks::{enter, slice, text};
use crate::thread::Local;
use crate::wait::{Heed, Interrupted, Wait};

/// What the running script may do with background workers.
#[derive(Default)]
pub(crate) struct Backstage {
    /// The workers of its site.
    pub(crate) scope: Option<Arc<dyn Scope>>,
    /// Its own port and life, when it is a background worker.
    pub(crate) own: Option<(Arc<BackgroundPort>, Life)>,
    /// Its place at its own port, from the moment it is ready.
    pub(crate) place: Option<Place<Value>>,
    /// The snapshots that PHP has been given.
    pins: Pins,
    /// Keeps the last answer's strings alive.
    message: String,
    cause: String,
}

impl Backstage {
    /// A new request begins in a worker script, or a run ends: what PHP was lent is no longer used.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn answer(&mut self, result: Result<troupe_result, Failure>) -> troupe_answer {
        let (result, message, cause) = match result {
            Ok(result) => (result, String::new(), String::new()),
            Err(Failure { message, cause }) => (TROUPE_FAILED, message, cause),
        };
        self.message = message;
        self.cause = cause;
        let bytes = |text: &str| troupe_bytes {
            ptr: text.as_ptr().cast(),
            len: text.len(),
        };
        troupe_answer {
            result,
            message: bytes(&self.message),
            cause: bytes(&self.cause),
        }
    }
}

/// What becomes a `RuntimeException`.
struct Failure {
    message: String,
    cause: String,
}

fn failure(message: impl Into<String>) -> Failure {
    Failure {
        message: message.into(),
        cause: String::new(),
    }
}

fn unavailable(name: &str, why: Unavailable) -> Failure {
    match why {
        Unavailable::CannotBoot(cause) => Failure {
            message: format!("background worker failed to boot: {name}: {cause}"),
            cause,
        },
        Unavailable::Ended(cause) => Failure {
            message: format!("background worker has ended: {name}: {cause}"),
            cause,
        },
        Unavailable::Stopped => failure(format!("background worker is stopped: {name}")),
        Unavailable::Stopping => failure("the server is shutting down"),
    }
}

const NO_ANSWER: troupe_answer = troupe_answer {
    result: TROUPE_ENDING,
    message: troupe_bytes {
        ptr: std::ptr::null(),
        len: 0,
    },
    cause: troupe_bytes {
        ptr: std::ptr::null(),
        len: 0,
    },
};

fn deadline(wait: i64) -> Option<Instant> {
    u64::try_from(wait)
        .ok()
        .map(|nanoseconds| Instant::now() + Duration::from_nanos(nanoseconds))
}

/// The end of a task that a PHP stream owns on the sender's side. Its drop cancels the task and frees its place
/// in the queue.
struct Sent {
    sender: ManuallyDrop<TaskSender<Value>>,
    queue: TaskQueue<Value>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        // SAFETY: dropped here only, once. First the sender, so that the queue finds its task cancelled.
        unsafe { ManuallyDrop::drop(&mut self.sender) };
        self.queue.forget_cancelled();
    }
}

/// # Safety
/// `task` came from this module as a `T` and has not been given back.
unsafe fn end_of<'a, T>(task: *mut c_void) -> &'a mut T {
    // SAFETY: the caller's promise; a PHP stream is used by one thread, and callbacks do not nest.
    unsafe { &mut *task.cast::<T>() }
}

pub(crate) extern "C" fn published(thread: *mut c_void) -> *const troupe_value {
    enter(thread, std::ptr::null(), |local| {
        // A sibling may replace it while PHP compares.
        let own = local.backstage.own.as_ref();
        let current = own.and_then(|(own, _)| own.vars.current());
        let pointer = current
            .as_ref()
            .map_or(std::ptr::null(), |current| current.as_ptr());
        local.backstage.pins.compared = current;
        pointer
    })
}

pub(crate) extern "C" fn confirm_vars(thread: *mut c_void) {
    enter(thread, (), |local| {
        if let (Some((own, life)), Some(compared)) =
            (&local.backstage.own, local.backstage.pins.compared.take())
        {
            own.vars.adopt(*life, &compared);
        }
    });
}

pub(crate) extern "C" fn set_vars(thread: *mut c_void, value: *mut troupe_value) -> troupe_answer {
    // SAFETY: the shim gives the value away.
    let value = unsafe { Value::from_raw(value) };
    enter(thread, NO_ANSWER, |local| {
        local.backstage.pins.compared = None;
        if let (Some((own, life)), Some(value)) = (&local.backstage.own, value) {
            own.vars.publish(*life, value);
        }
        local.backstage.answer(Ok(TROUPE_OK))
    })
}

fn find(scope: Option<&Arc<dyn Scope>>, name: &str) -> Result<Arc<BackgroundPort>, Failure> {
    let scope = scope.ok_or_else(|| failure("no background worker configured"))?;
    scope
        .worker(name)
        .map_err(|error| failure(error.to_string()))
}

fn timed_out(name: &str) -> Failure {
    failure(format!("timeout waiting for background worker: {name}"))
}

pub(crate) extern "C" fn get_vars(
    thread: *mut c_void,
    names: *const troupe_bytes,
    count: usize,
    wait: i64,
    nested: bool,
    values: *mut troupe_snapshot,
) -> troupe_answer {
    enter(thread, NO_ANSWER, |local| {
        if !nested {
            local.backstage.pins.outdated.clear();
        }
        // SAFETY: the shim passes `count` names and as many places for the answers.
        let (names, values) = unsafe {
            (
                std::slice::from_raw_parts(names, count),
                std::slice::from_raw_parts_mut(values, count),
            )
        };
        // SAFETY: the names live during the call.
        let names: Vec<String> = names
            .iter()
            .map(|name| text(unsafe { slice(*name) }))
            .collect();
        let result = read_vars(local, &names, deadline(wait), values);
        local.backstage.answer(result)
    })
}

fn read_vars(
    local: &mut Local,
    names: &[String],
    deadline: Option<Instant>,
    values: &mut [troupe_snapshot],
) -> Result<troupe_result, Failure> {
    let Local {
        wait,
        backstage,
        script,
        ..
    } = local;
    let in_place = script.is_none();
    let ports: Vec<_> = names
        .iter()
        .map(|name| find(backstage.scope.as_ref(), name))
        .collect::<Result<_, _>>()?;
    for ((name, port), place) in names.iter().zip(ports).zip(values) {
        let snapshot = match wait.until(Heed::Kill, deadline, |cx| port.vars.poll_current(cx)) {
            Ok(snapshot) => snapshot.map_err(|why| unavailable(name, why))?,
            Err(Interrupted::Deadline) => return Err(timed_out(name)),
            Err(_) => return Ok(TROUPE_ENDING),
        };
        *place = backstage.pins.pin(name, snapshot, in_place);
    }
    Ok(TROUPE_OK)
}

pub(crate) extern "C" fn send_task(
    thread: *mut c_void,
    worker: troupe_bytes,
    payload: *mut troupe_value,
    wait: i64,
    until_taken: bool,
    end: *mut *mut c_void,
) -> troupe_answer {
    // SAFETY: the shim gives the payload away; the name lives during the call.
    let (payload, name) = unsafe { (Value::from_raw(payload), text(slice(worker))) };
    enter(thread, NO_ANSWER, |local| {
        let Some(payload) = payload else {
            return NO_ANSWER;
        };
        let result =
            send(local, &name, payload, deadline(wait), until_taken).map(|sent| match sent {
                None => TROUPE_ENDING,
                Some(sent) => {
                    // SAFETY: the shim passes a valid place for the answer.
                    unsafe { end.write(Box::into_raw(Box::new(sent)).cast()) };
                    TROUPE_OK
                }
            });
        local.backstage.answer(result)
    })
}

fn send(
    local: &mut Local,
    name: &str,
    payload: Value,
    deadline: Option<Instant>,
    until_taken: bool,
) -> Result<Option<Sent>, Failure> {
    let port = find(local.backstage.scope.as_ref(), name)?;
    if local
        .backstage
        .own
        .as_ref()
        .is_some_and(|(own, _)| Arc::ptr_eq(own, &port))
        && port.threads == 1
    {
        return Err(failure(format!(
            "background worker {name} has one thread and would wait for itself: it cannot send itself a task"
        )));
    }
    let Some(scope) = &local.backstage.scope else {
        return Err(failure("no background worker configured"));
    };
    let (scope, who) = (scope.clone(), local.who());
    let (sender, offer) = task(payload, |task| {
        if let Some(request) = &mut local.request {
            request.tie(task.clone());
        }
        scope.observe(&port.name, &who, task)
    });
    let mut sent = Sent {
        sender: ManuallyDrop::new(sender),
        queue: port.tasks.clone(),
    };
    let mut offer = Some(offer);
    let mut line = port.tasks.line();
    let waited = local.wait.until(Heed::Kill, deadline, |cx| {
        if offer.is_some() {
            if let Err(why) = ready!(line.poll_send(&mut offer, cx)) {
                return Poll::Ready(Err(why));
            }
            sent.sender.accepted();
        }
        if until_taken {
            sent.sender.poll_taken(cx).map(Ok)
        } else {
            Poll::Ready(Ok(()))
        }
    });
    match waited {
        Ok(Ok(())) => Ok(Some(sent)),
        Ok(Err(why)) => Err(unavailable(name, why)),
        Err(Interrupted::Deadline) => {
            sent.sender.give_up();
            Err(timed_out(name))
        }
        Err(_) => Ok(None),
    }
}

/// How a read ends that found a task's end.
fn over(outcome: TaskOutcome) -> Result<troupe_result, Failure> {
    match outcome {
        TaskOutcome::Completed => Ok(TROUPE_NOTHING),
        TaskOutcome::Refused(why) => Err(Failure {
            message: format!("background worker exited without completing the task: {why}"),
            cause: why,
        }),
        TaskOutcome::Revoked => Err(failure("the task was cancelled by the operator")),
        TaskOutcome::Deserted => Err(failure(
            "the client has gone away: its tasks were cancelled",
        )),
        TaskOutcome::Overdue(limit) => Err(failure(overdue(limit))),
        TaskOutcome::Cancelled | TaskOutcome::NotAccepted | TaskOutcome::Aborted => Err(failure(
            "background worker exited without completing the task",
        )),
    }
}

fn overdue(limit: Duration) -> String {
    format!("the task ran for longer than its deadline of {limit:?}")
}

pub(crate) extern "C" fn read_task(
    thread: *mut c_void,
    task: *mut c_void,
    wait: i64,
    update: *mut *mut troupe_value,
) -> troupe_answer {
    enter(thread, NO_ANSWER, |local| {
        // SAFETY: a sent task's stream passes its own end.
        let sent = unsafe { end_of::<Sent>(task) };
        let waited = local
            .wait
            .until(Heed::Kill, deadline(wait), |cx| sent.sender.poll_update(cx));
        let result = match waited {
            Ok(Ok(value)) => {
                // SAFETY: the shim passes a valid place, and takes the value over.
                unsafe { update.write(value.into_raw()) };
                Ok(TROUPE_OK)
            }
            Ok(Err(outcome)) => over(outcome),
            Err(Interrupted::Deadline) if wait == 0 => Err(failure("no update yet")),
            Err(Interrupted::Deadline) => Err(failure("timeout waiting for an update of the task")),
            Err(_) => Ok(TROUPE_ENDING),
        };
        local.backstage.answer(result)
    })
}

fn readiness<T>(waited: Result<T, Interrupted>) -> troupe_result {
    match waited {
        Ok(_) => TROUPE_OK,
        Err(Interrupted::Deadline) => TROUPE_NOTHING,
        Err(_) => TROUPE_ENDING,
    }
}

pub(crate) extern "C" fn await_update(
    thread: *mut c_void,
    task: *mut c_void,
    wait: i64,
) -> troupe_result {
    enter(thread, TROUPE_ENDING, |local| {
        // SAFETY: a sent task's stream passes its own end.
        let sent = unsafe { end_of::<Sent>(task) };
        readiness(local.wait.until(Heed::Kill, deadline(wait), |cx| {
            sent.sender.poll_readable(cx)
        }))
    })
}

pub(crate) extern "C" fn ignore_abort(thread: *mut c_void, ignores: bool) {
    enter(thread, (), |local| {
        if let Some(request) = &mut local.request {
            request.ignore_abort(ignores);
        }
    });
}

pub(crate) extern "C" fn sent_task_is_over(task: *mut c_void) -> bool {
    // SAFETY: a sent task's stream passes its own end.
    unsafe { end_of::<Sent>(task) }.sender.is_exhausted()
}

pub(crate) extern "C" fn sent_task_descriptor(task: *mut c_void) -> c_int {
    // SAFETY: a sent task's stream passes its own end.
    unsafe { end_of::<Sent>(task) }
        .sender
        .descriptor()
        .unwrap_or(-1)
}

pub(crate) extern "C" fn end_sent_task(task: *mut c_void) {
    // SAFETY: the stream gives its end back, once, when it is closed.
    drop(unsafe { Box::from_raw(task.cast::<Sent>()) });
}

pub(crate) extern "C" fn receive_task(
    thread: *mut c_void,
    payload: *mut *mut troupe_value,
    end: *mut *mut c_void,
) -> troupe_answer {
    enter(thread, NO_ANSWER, |local| {
        let received = local.backstage.place.as_mut().and_then(Place::receive);
        let result = match received {
            None => TROUPE_NOTHING,
            Some((value, worker)) => {
                // SAFETY: the shim passes valid places, and takes both over.
                unsafe {
                    payload.write(value.into_raw());
                    end.write(Box::into_raw(Box::new(worker)).cast());
                }
                TROUPE_OK
            }
        };
        local.backstage.answer(Ok(result))
    })
}

type Received = TaskWorker<Value>;

pub(crate) extern "C" fn update_task(
    thread: *mut c_void,
    task: *mut c_void,
    update: *mut troupe_value,
) -> troupe_answer {
    // SAFETY: the shim gives the value away.
    let update = unsafe { Value::from_raw(update) };
    enter(thread, NO_ANSWER, |local| {
        let Some(update) = update else {
            return NO_ANSWER;
        };
        // SAFETY: a received task's stream passes its own end.
        let worker = unsafe { end_of::<Received>(task) };
        let result = match send_update(&local.wait, worker, update) {
            Ok(Ok(())) => Ok(TROUPE_OK),
            Ok(Err(TaskClosed)) => Err(failure(match worker.outcome() {
                Some(TaskOutcome::Revoked) => "the task was cancelled by the operator".to_owned(),
                Some(TaskOutcome::Overdue(limit)) => overdue(limit),
                _ => "the sender has closed the task".to_owned(),
            })),
            Err(_) => Ok(TROUPE_ENDING),
        };
        local.backstage.answer(result)
    })
}

fn send_update(
    wait: &Wait,
    worker: &mut Received,
    update: Value,
) -> Result<Result<(), TaskClosed>, Interrupted> {
    let room = wait.until(Heed::Kill, None, |cx| worker.poll_room(cx))?;
    Ok(room.and_then(|()| worker.update(update)))
}

pub(crate) extern "C" fn await_cancel(
    thread: *mut c_void,
    task: *mut c_void,
    wait: i64,
) -> troupe_result {
    enter(thread, TROUPE_ENDING, |local| {
        // SAFETY: a received task's stream passes its own end.
        let worker = unsafe { end_of::<Received>(task) };
        readiness(
            local
                .wait
                .until(Heed::Kill, deadline(wait), |cx| worker.poll_closed(cx)),
        )
    })
}

pub(crate) extern "C" fn received_task_descriptor(task: *mut c_void) -> c_int {
    // SAFETY: a received task's stream passes its own end.
    unsafe { end_of::<Received>(task) }
        .descriptor()
        .unwrap_or(-1)
}

pub(crate) extern "C" fn end_received_task(task: *mut c_void, complete: bool) {
    // SAFETY: the stream gives its end back, once, when it is closed.
    let worker = *unsafe { Box::from_raw(task.cast::<Received>()) };
    if complete {
        worker.complete();
    }
}

pub(crate) extern "C" fn signal(thread: *mut c_void, wait: i64) -> troupe_signal {
    enter(thread, TROUPE_SIGNAL_END, |local| {
        let Some(place) = &mut local.backstage.place else {
            return TROUPE_SIGNAL_END;
        };
        match local
            .wait
            .until(Heed::Kill, deadline(wait), |cx| place.poll_signal(cx))
        {
            Ok(Signal::Task) => TROUPE_SIGNAL_TASK,
            Ok(Signal::Stop) => TROUPE_SIGNAL_STOP,
            Ok(Signal::End) => TROUPE_SIGNAL_END,
            Err(_) => TROUPE_SIGNAL_NONE,
        }
    })
}

pub(crate) extern "C" fn await_stop(thread: *mut c_void, wait: i64) -> troupe_result {
    enter(thread, TROUPE_ENDING, |local| {
        let Some(place) = &mut local.backstage.place else {
            return TROUPE_OK;
        };
        readiness(
            local
                .wait
                .until(Heed::Kill, deadline(wait), |cx| place.poll_stop(cx)),
        )
    })
}

pub(crate) extern "C" fn stop_descriptor(thread: *mut c_void) -> c_int {
    enter(thread, -1, |local| {
        let place = local.backstage.place.as_mut();
        place
            .and_then(|place| place.stop_descriptor().ok())
            .unwrap_or(-1)
    })
}

pub(crate) extern "C" fn signal_descriptor(thread: *mut c_void, keeps: bool) -> c_int {
    enter(thread, -1, |local| {
        local
            .backstage
            .place
            .as_mut()
            .and_then(|place| place.descriptor(keeps).ok())
            .unwrap_or(-1)
    })
}
