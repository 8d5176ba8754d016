//! What C calls: one function per entry of `troupe_callbacks`, each through the same trampoline.
//!
//! A panic never crosses into C: [`enter`] catches it, reports it and returns the callback's failure status.
//! None of these functions enters PHP, so no jump passes through them.

use std::ffi::{OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;
use std::time::{Duration, Instant};

use bytes::Buf;
use php_sys::troupe_exit_kind::{
    TROUPE_EXIT_CALLED, TROUPE_EXIT_FAILED, TROUPE_EXIT_NOT_BEGUN, TROUPE_EXIT_RETURNED,
};
use php_sys::troupe_io::{self, TROUPE_IO_GONE, TROUPE_IO_KILLED, TROUPE_IO_OK};
use php_sys::troupe_run_kind::{
    TROUPE_RUN_BACKGROUND_WORKER, TROUPE_RUN_HTTP_WORKER, TROUPE_RUN_REQUEST,
};
use php_sys::{
    troupe_bytes, troupe_callbacks, troupe_header, troupe_request, troupe_run, troupe_run_end,
    troupe_slot, troupe_vars,
};
use tracing::{debug, error, info, warn};

use crate::background::calls;
use crate::control::Doing;
use crate::driver::{Failure, RequestEnd, ScriptEnd, ScriptExit, WorkerKind};
use crate::head::Head;
use crate::request::RequestBody;
use crate::server_vars::{Entry, ServerVars, Text};
use crate::thread::{Current, Local};
use crate::wait::{Heed, Interrupted, KillReason};

pub(crate) static CALLBACKS: troupe_callbacks = troupe_callbacks {
    thread_started: Some(thread_started),
    thread_ends: Some(thread_ends),
    next_run: Some(next_run),
    run_ended: Some(run_ended),
    next_request: Some(next_request),
    request_ended: Some(request_ended),
    script_ready: Some(script_ready),
    read_body: Some(read_body),
    write: Some(write),
    flush: Some(flush),
    set_head: Some(set_head),
    inform: Some(inform),
    finish_request: Some(finish_request),
    log: Some(log),
    script_log: Some(script_log),
    stray_output: Some(stray_output),
    published: Some(calls::published),
    confirm_vars: Some(calls::confirm_vars),
    set_vars: Some(calls::set_vars),
    get_vars: Some(calls::get_vars),
    send_task: Some(calls::send_task),
    read_task: Some(calls::read_task),
    await_update: Some(calls::await_update),
    sent_task_is_over: Some(calls::sent_task_is_over),
    sent_task_descriptor: Some(calls::sent_task_descriptor),
    ignore_abort: Some(calls::ignore_abort),
    end_sent_task: Some(calls::end_sent_task),
    receive_task: Some(calls::receive_task),
    update_task: Some(calls::update_task),
    await_cancel: Some(calls::await_cancel),
    received_task_descriptor: Some(calls::received_task_descriptor),
    end_received_task: Some(calls::end_received_task),
    signal: Some(calls::signal),
    signal_descriptor: Some(calls::signal_descriptor),
    await_stop: Some(calls::await_stop),
    stop_descriptor: Some(calls::stop_descriptor),
    limit: Some(limit),
    asked: Some(asked),
    backtrace: Some(backtrace),
    opcache_was_reset: Some(opcache_was_reset),
};

/// The trampoline. A panic is reported and becomes `fallback`.
///
/// `thread` is what `troupe_thread_main` was given, or null where the header says so; then the result is
/// `fallback` too.
pub(crate) fn enter<R>(thread: *mut c_void, fallback: R, work: impl FnOnce(&mut Local) -> R) -> R {
    // SAFETY: the shim passes the pointer that `thread::spawn` gave it, on the thread that owns it. Callbacks
    // do not nest, since none of them enters PHP, so this is the only reference.
    let Some(local) = (unsafe { thread.cast::<Local>().as_mut() }) else {
        return fallback;
    };
    catch_unwind(AssertUnwindSafe(|| work(local))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        error!(panic = text, "a callback from PHP panicked");
        fallback
    })
}

/// # Safety
/// `bytes` points to what C may read during this call.
pub(crate) unsafe fn slice<'a>(bytes: troupe_bytes) -> &'a [u8] {
    if bytes.ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(bytes.ptr.cast(), bytes.len) }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

extern "C" fn thread_started(thread: *mut c_void, slot: troupe_slot) {
    enter(thread, (), |local| local.shared.attach(slot));
}

extern "C" fn thread_ends(thread: *mut c_void) {
    enter(thread, (), |local| local.shared.detach());
}

fn native_vars(vars: &ServerVars) -> troupe_vars {
    const { assert!(size_of::<Entry>() == size_of::<php_sys::troupe_entry>()) };
    troupe_vars {
        bytes: vars.bytes().as_ptr().cast::<c_char>(),
        entries: vars.entries().as_ptr().cast(),
        count: vars.entries().len(),
        environment: vars.environment(),
    }
}

fn native_request(current: &Current) -> troupe_request {
    let held = &current.held;
    let text = |text| held.vars.c_text(text);
    let optional = |text: Option<Text>| text.map_or(ptr::null(), |text| held.vars.c_text(text));
    troupe_request {
        method: text(held.method),
        uri: text(held.uri),
        query: text(held.query),
        script: text(held.script),
        content_type: optional(held.content_type),
        cookie: optional(held.cookie),
        authorization: optional(held.authorization),
        content_length: held.content_length,
        protocol: held.protocol,
        vars: native_vars(&held.vars),
    }
}

extern "C" fn next_run(thread: *mut c_void, run: *mut troupe_run) -> bool {
    enter(thread, false, |local| {
        if !local.next_run() {
            return false;
        }
        // SAFETY: the shim passes a zeroed struct, which is a valid one, for the answer.
        let run = unsafe { &mut *run };
        match (&local.request, &local.script) {
            (Some(current), _) => {
                run.kind = TROUPE_RUN_REQUEST;
                run.request = native_request(current);
            }
            (None, Some(script)) => {
                run.kind = match script.kind {
                    WorkerKind::Http => TROUPE_RUN_HTTP_WORKER,
                    WorkerKind::Background => TROUPE_RUN_BACKGROUND_WORKER,
                };
                run.script = script.script.as_ptr();
                run.name = script.name.as_ptr();
                run.vars = native_vars(&script.vars);
            }
            (None, None) => return false,
        }
        true
    })
}

extern "C" fn run_ended(thread: *mut c_void, end: *const troupe_run_end) {
    enter(thread, (), |local| {
        // SAFETY: the shim passes a struct that lives during the call, and so do the strings in it.
        let (end, failure) = unsafe {
            let end = &*end;
            let failure = Failure {
                message: text(slice(end.message)),
                file: PathBuf::from(OsStr::from_bytes(slice(end.file))),
                line: end.line,
            };
            (end, failure)
        };
        let now = Instant::now();
        let classic = local.script.is_none();
        let served = classic || local.request.is_some();
        let killed = local.shared.end(Doing::Idle, now, served, None);
        let took = local.release(now);
        local.backstage.clear();
        local.script = None;
        let exit = match (killed, end.kind) {
            (Some(reason), _) => ScriptExit::Killed(reason),
            (None, TROUPE_EXIT_RETURNED) => ScriptExit::Returned,
            (None, TROUPE_EXIT_CALLED) => ScriptExit::Exited { status: end.status },
            (None, TROUPE_EXIT_FAILED) => ScriptExit::Failed(failure),
            (None, TROUPE_EXIT_NOT_BEGUN) => ScriptExit::NotBegun,
        };
        flush_stray(local, true);
        if !classic && let Some(took) = took {
            // The request that ended the script; its memory went with it.
            local.driver.request_ended(RequestEnd { took, memory: 0 });
        }
        local.driver.run_ended(ScriptEnd {
            exit,
            was_ready: local.ready,
            uptime: now.saturating_duration_since(local.run_started),
        });
    });
}

extern "C" fn next_request(thread: *mut c_void, request: *mut troupe_request) -> bool {
    enter(thread, false, |local| {
        flush_stray(local, true);
        if !local.next_request() {
            return false;
        }
        if let Some(current) = &local.request {
            // SAFETY: the shim passes a valid place for the answer.
            unsafe { request.write(native_request(current)) };
        }
        true
    })
}

extern "C" fn request_ended(thread: *mut c_void, memory: usize) {
    enter(thread, (), |local| {
        let now = Instant::now();
        local.shared.end(Doing::Script, now, true, Some(memory));
        if let Some(took) = local.release(now) {
            local.driver.request_ended(RequestEnd { took, memory });
        }
    });
}

extern "C" fn script_ready(thread: *mut c_void) {
    enter(thread, (), |local| {
        local.ready = true;
        local.take_place();
        local.driver.script_ready();
    });
}

extern "C" fn read_body(
    thread: *mut c_void,
    buffer: *mut c_char,
    len: usize,
    read: *mut usize,
) -> troupe_io {
    enter(thread, TROUPE_IO_GONE, |local| {
        let Some(current) = &mut local.request else {
            return TROUPE_IO_OK;
        };
        // SAFETY: the shim passes a buffer of `len` bytes that nobody else uses during the call.
        let buffer = unsafe {
            ptr::write_bytes(buffer, 0, len);
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len)
        };
        let mut filled = 0;
        let mut status = TROUPE_IO_OK;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let step = match &mut current.body {
                RequestBody::Empty => 0,
                RequestBody::Whole(bytes) => {
                    let step = bytes.len().min(rest.len());
                    bytes.copy_to_slice(&mut rest[..step]);
                    step
                }
                RequestBody::Stream(reader) => {
                    let deadline = current
                        .body_idle_timeout
                        .map(|timeout| Instant::now() + timeout);
                    match local
                        .wait
                        .until(Heed::Kill, deadline, |cx| reader.poll_read(cx, rest))
                    {
                        Ok(Ok(step)) => step,
                        Ok(Err(_)) | Err(Interrupted::Deadline) => {
                            status = TROUPE_IO_GONE;
                            0
                        }
                        Err(_) => {
                            status = TROUPE_IO_KILLED;
                            0
                        }
                    }
                }
            };
            if step == 0 {
                break;
            }
            filled += step;
        }
        // SAFETY: the shim passes a valid place for the count.
        unsafe { read.write(filled) };
        status
    })
}

extern "C" fn write(thread: *mut c_void, bytes: *const c_char, len: usize) -> troupe_io {
    enter(thread, TROUPE_IO_GONE, |local| {
        let Some(current) = &mut local.request else {
            return TROUPE_IO_OK;
        };
        let Some(response) = &mut current.response else {
            return TROUPE_IO_OK;
        };
        // SAFETY: the shim passes `len` readable bytes.
        let bytes = unsafe { slice(troupe_bytes { ptr: bytes, len }) };
        if current.bodyless || response.write(bytes) {
            TROUPE_IO_OK
        } else {
            push(local)
        }
    })
}

extern "C" fn flush(thread: *mut c_void) -> troupe_io {
    enter(thread, TROUPE_IO_GONE, push)
}

/// Hands over what the response has gathered; waits for a slow client.
fn push(local: &mut Local) -> troupe_io {
    let Some(current) = &mut local.request else {
        return TROUPE_IO_OK;
    };
    let whole = current
        .response
        .take_if(|response| current.bodyless && response.has_head());
    if let Some(response) = whole {
        // The client has its whole answer, and has not left when it takes nothing more.
        response.finish();
        return TROUPE_IO_OK;
    }
    let Some(response) = &mut current.response else {
        return TROUPE_IO_OK;
    };
    let deadline = current
        .write_idle_timeout
        .map(|timeout| Instant::now() + timeout);
    match local
        .wait
        .until(Heed::Kill, deadline, |cx| response.poll_flush(cx))
    {
        Ok(Ok(())) => TROUPE_IO_OK,
        Ok(Err(_)) => TROUPE_IO_GONE,
        Err(Interrupted::Deadline) => {
            warn!(
                request = current.id,
                "the client does not read its response; it is given up"
            );
            // Dropped unfinished, so that the connection is cut and not completed.
            current.response = None;
            TROUPE_IO_GONE
        }
        Err(_) => TROUPE_IO_KILLED,
    }
}

/// # Safety
/// `headers` points to `count` headers whose bytes C may read during this call.
unsafe fn head(status: c_int, headers: *const troupe_header, count: usize) -> Head {
    // SAFETY: the caller's promise; an empty list may be null.
    let headers = unsafe {
        if count == 0 {
            &[][..]
        } else {
            std::slice::from_raw_parts(headers, count)
        }
    };
    let mut head = Head::new(u16::try_from(status).unwrap_or(500));
    let sizes = headers
        .iter()
        .map(|header| header.name.len + header.value.len);
    head.reserve(headers.len(), sizes.sum());
    for header in headers {
        // SAFETY: the same.
        let (name, value) = unsafe { (slice(header.name), slice(header.value)) };
        head.push(name, value);
    }
    head
}

extern "C" fn set_head(
    thread: *mut c_void,
    status: c_int,
    headers: *const troupe_header,
    count: usize,
) {
    enter(thread, (), |local| {
        let killed = local.shared.killed();
        let Some(Current {
            response: Some(response),
            bodyless,
            ..
        }) = &mut local.request
        else {
            return;
        };
        // SAFETY: the shim passes its list.
        let mut head = unsafe { head(status, headers, count) };
        if killed == Some(KillReason::Deadline) && head.status == 500 {
            head.status = 504;
        }
        *bodyless |= matches!(head.status, 204 | 304);
        response.set_head(head);
    });
}

extern "C" fn inform(
    thread: *mut c_void,
    status: c_int,
    headers: *const troupe_header,
    count: usize,
) -> troupe_io {
    enter(thread, TROUPE_IO_GONE, |local| {
        if let Some(Current {
            response: Some(response),
            ..
        }) = &mut local.request
        {
            // SAFETY: the shim passes its list.
            response.inform(unsafe { head(status, headers, count) });
        }
        TROUPE_IO_OK
    })
}

extern "C" fn finish_request(thread: *mut c_void) -> bool {
    enter(thread, false, |local| {
        let response = local
            .request
            .as_mut()
            .and_then(|current| current.response.take());
        response.map(|response| response.finish()).is_some()
    })
}

fn request_id(thread: *mut c_void) -> Option<u64> {
    enter(thread, None, |local| {
        local.request.as_ref().map(|current| current.id)
    })
}

extern "C" fn log(thread: *mut c_void, syslog_level: c_int, message: troupe_bytes) {
    let request = request_id(thread);
    // SAFETY: the shim passes a string that lives during the call.
    let message = text(unsafe { slice(message) });
    match syslog_level {
        libc::LOG_EMERG..=libc::LOG_ERR => error!(target: "php", request, "{message}"),
        libc::LOG_WARNING => warn!(target: "php", request, "{message}"),
        libc::LOG_DEBUG => debug!(target: "php", request, "{message}"),
        _ => info!(target: "php", request, "{message}"),
    }
}

extern "C" fn script_log(
    thread: *mut c_void,
    level: i64,
    message: troupe_bytes,
    context: troupe_bytes,
) {
    let request = request_id(thread);
    // SAFETY: the shim passes strings that live during the call.
    let (message, context) = unsafe { (text(slice(message)), text(slice(context))) };
    let context = (!context.is_empty()).then_some(context);
    match level {
        ..0 => debug!(target: "php", request, context, "{message}"),
        0..4 => info!(target: "php", request, context, "{message}"),
        4..8 => warn!(target: "php", request, context, "{message}"),
        8.. => error!(target: "php", request, context, "{message}"),
    }
}

/// Longest piece of unterminated output that is kept for the rest of its line.
const STRAY_LINE: usize = 8 * 1024;

extern "C" fn stray_output(thread: *mut c_void, bytes: troupe_bytes) {
    // SAFETY: the shim passes bytes that live during the call.
    let bytes = unsafe { slice(bytes) };
    enter(thread, (), |local| {
        local.stray.extend_from_slice(bytes);
        flush_stray(local, local.stray.len() > STRAY_LINE);
    });
}

/// Logs what a script without a client has printed, line by line.
fn flush_stray(local: &mut Local, partial_too: bool) {
    let whole = match local.stray.iter().rposition(|byte| *byte == b'\n') {
        _ if partial_too => local.stray.len(),
        Some(last) => last + 1,
        None => 0,
    };
    for line in local
        .stray
        .drain(..whole)
        .as_slice()
        .split(|byte| *byte == b'\n')
    {
        if !line.is_empty() {
            info!(target: "php::output", "{}", text(line));
        }
    }
}

extern "C" fn limit(thread: *mut c_void, seconds: u64, from_the_beginning: bool) {
    enter(thread, (), |local| {
        let limit = (seconds > 0).then(|| Duration::from_secs(seconds));
        let from = if from_the_beginning || limit.is_none() {
            local.began()
        } else {
            Instant::now()
        };
        local.shared.limit(limit, from);
    });
}

extern "C" fn asked(thread: *mut c_void) -> u32 {
    enter(thread, 0, |local| local.shared.asked())
}

extern "C" fn backtrace(thread: *mut c_void, trace: troupe_bytes) {
    enter(thread, (), |local| {
        // SAFETY: the shim passes a string that lives during the call.
        local.shared.answer_backtrace(text(unsafe { slice(trace) }));
    });
}

extern "C" fn opcache_was_reset(thread: *mut c_void) {
    enter(thread, (), |local| local.driver.opcache_was_reset());
}
