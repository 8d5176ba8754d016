/* What the shim's files share. PHP's headers come in here, once and in one order. */
#ifndef TROUPE_SHIM_H
#define TROUPE_SHIM_H

#include "troupe.h"

#include <signal.h>
#include <stdatomic.h>

#include <php.h>
#include <SAPI.h>
#include <php_ini.h>
#include <php_main.h>
#include <php_network.h>
#include <php_output.h>
#include <php_variables.h>
#include <zend_builtin_functions.h>
#include <zend_exceptions.h>
#include <zend_interfaces.h>
#include <zend_observer.h>
#include <ext/standard/basic_functions.h>
#include <ext/standard/head.h>
#include <ext/standard/info.h>
#include <ext/standard/php_filestat.h>

#ifndef ZTS
#error "Troupe needs a thread-safe PHP: configure it with --enable-zts"
#endif

/* A worker's last $_SERVER, and where in it each entry of its request is. Nobody else changes it: it has one owner more. */
typedef struct troupe_last_server {
    zend_array *array;
    uint32_t *slots;
    size_t count;
} troupe_last_server;

/* One PHP thread. Lives on the stack of troupe_thread_main. */
typedef struct troupe_thread {
    void *rust;
    const troupe_run *run;
    const troupe_request *request; /* NULL while the thread answers nobody */
    atomic_bool killed;            /* set and cleared by Rust: the script is being ended from outside */
    atomic_bool catches_stop;      /* the script has a handler for SIGTERM or SIGINT; read by Rust */
    atomic_bool stop_signalled;    /* set by Rust: that handler is due */
    atomic_bool limit_passed;      /* set by Rust: max_execution_time is over */
    bool ready;                    /* the script said that it is ready */
    bool body_cut;                 /* the client left before its body was complete */
    bool filter_knows;             /* the filter extension has been told what $_SERVER holds */
    bool filter_lacks_query;       /* it has yet to be told what $_GET held */
    bool left_by_exit;             /* exit() inside a worker's callback: the bailout after it is no failure */
    zend_string *fatal_message;    /* the last error that can end a script; persistent */
    zend_string *fatal_file;
    uint32_t fatal_line;
    HashTable *seen_vars;          /* copies that get_vars handed out in this run, by name */
    uint32_t handing_out;          /* calls of get_vars that are at it */
    struct troupe_kept *kept;      /* what the worker script had set up before its loop */
    troupe_last_server last_server; /* while `kept` is there */
    troupe_trace trace;
} troupe_thread;

/* The thread's state, NULL on threads that are not ours (the engine's own). */
extern _Thread_local troupe_thread *troupe_self;
extern const troupe_callbacks *troupe_rust;
extern sapi_module_struct troupe_sapi_module;
extern zend_module_entry troupe_module;

static inline troupe_bytes troupe_text(const zend_string *string)
{
    return string ? (troupe_bytes){ZSTR_VAL(string), ZSTR_LEN(string)} : (troupe_bytes){NULL, 0};
}

static inline void *troupe_self_rust(void)
{
    return troupe_self ? troupe_self->rust : NULL;
}

/* True while the script of this thread is to end: nothing it calls may block. */
static inline bool troupe_leaving(void)
{
    return troupe_self && (atomic_load(&troupe_self->killed) || zend_atomic_bool_load_ex(&EG(timed_out)));
}

/* request.c */
void troupe_request_bind(const troupe_request *request);
void troupe_request_unbind(void);
/* php_request_startup(), but for the timer; see limit.c. */
bool troupe_request_startup(void);
/* False when PHP could not set the request up, or its body did not arrive whole. */
bool troupe_run_request(troupe_thread *self);
size_t troupe_ub_write(const char *bytes, size_t len);
void troupe_flush(void *server_context);
int troupe_send_headers(sapi_headers_struct *headers);
size_t troupe_read_post(char *buffer, size_t len);
char *troupe_read_cookies(void);
int troupe_activate(void);
/* Calls `send` with the header list in the callbacks' form. */
void troupe_with_headers(sapi_headers_struct *headers, void (*send)(const troupe_header *, size_t, void *), void *);

/* server_vars.c */
void troupe_register_server_variables(zval *array);
/* Once, before any thread has copied the table of superglobals. Keeps the names in permanent strings. */
void troupe_server_vars_install(const troupe_bytes *names, size_t count);
/* A worker script's loop. */
void troupe_server_vars_loop_ends(troupe_thread *self);
troupe_bytes troupe_server_var_name(const troupe_vars *vars, const troupe_entry *entry);

/* filter.default is one that changes what was sent: everything passes through it. */
extern bool troupe_filter_changes_values;

/* query.c */
void troupe_query_tell_filter(troupe_thread *self);
/* After troupe_server_vars_install(), and as early. */
void troupe_query_install(void);

/* superglobals.c */
/* Once, when every extension has started. */
void troupe_superglobals_install(void);
void troupe_superglobals_fill(void);
/* At a request's end: what the script has changed there is as the request began with it, until the next one comes.
 * Objects that it has put there end now: later their destructors would speak to the next client. */
void troupe_superglobals_restore(void);

/* worker.c */
/* Once, when every extension has started. */
void troupe_worker_install(void);
bool troupe_run_script(troupe_thread *self);
/* At the end of a script, after its destructors. */
void troupe_worker_release(troupe_thread *self);
ZEND_FUNCTION(frankenphp_handle_request);

/* input.c */
void troupe_input_ends(void);

/* leftovers.c */
typedef struct troupe_leftovers {
    zval internal_errors;   /* libxml's mode: a bool */
    zval entity_loader;     /* libxml's: a callable or null */
    bool entities_disabled; /* that loader */
    zval xml_context;       /* libxml's, for streams, or undefined */
    zval stream_options;    /* of the default stream context */
    zval notifier;          /* that context's, or undefined */
    HashTable *wrappers;    /* of streams; those of scripts are held */
} troupe_leftovers;
void troupe_leftovers_install(void);
void troupe_leftovers_keep(troupe_leftovers *kept);
void troupe_leftovers_restore(const troupe_leftovers *kept);
void troupe_leftovers_release(troupe_leftovers *kept);
/* php_output_deactivate() between two requests of a worker script. */
void troupe_output_deactivate(void);

/* modes.c */
void troupe_modes_install(void);
void troupe_modes_keep(void);
void troupe_modes_restore(void);
void troupe_modes_release(void);

/* last_calls.c */
/* Once, when every extension has started. */
void troupe_last_calls_install(void);
void troupe_last_calls_forget(void);

/* thread.c */
void troupe_observe_errors(void);
void troupe_execute(const char *script, void (*prepare)(void));

/* values.c */
bool troupe_value_check(zval *value, uint32_t argument);
troupe_value *troupe_value_copy(const zval *value);
bool troupe_value_equals(const troupe_value *stored, const zval *value);
bool troupe_value_restore(zval *to, const troupe_value *value);
bool troupe_value_use(zval *to, const troupe_value *value);

/* interrupt.c */
void troupe_interrupt_install(void);

/* limit.c */
void troupe_limit_install(void);
void troupe_limit_thread_started(void);
void troupe_limit_before_startup(void);
void troupe_limit_at_activation(void);
void troupe_limit_begin(zend_long seconds);
zend_long troupe_limit_of_script(void);
/* 0: no limit. */
void troupe_limit_set(zend_long seconds);
void troupe_limit_deliver(void);
void troupe_limit_last_words(void);

/* stack.c */
void troupe_stack_install(void);
void troupe_stack_enter(void);
size_t troupe_stack_spent(void);
void troupe_stack_unwound(void);
void troupe_stack_leave(void);

/* trace.c */
void troupe_trace_install(void);
void troupe_trace_read(troupe_trace *trace);
/* The last signal that was handled on this thread asked for its stack. */
extern _Thread_local volatile sig_atomic_t troupe_was_looked_at;

/* select.c */
void troupe_select_install(void);

/* opcache.c */
void troupe_opcache_install(void);
void troupe_opcache_started(void);

/* signals.c */
void troupe_signals_install(void);
void troupe_signals_deliver(void);
void troupe_signals_unblock(void);
void troupe_signals_request_ends(void);
void troupe_signals_script_ends(void);

/* fork.c */
extern bool troupe_forked; /* this process is a script's child */
void troupe_fork_install(void);
void troupe_fork_write(int fd, const char *bytes, size_t len);
void troupe_fork_end(void);

/* syslog.c */
/* A worker script's, from before its loop. */
void troupe_syslog_keep(void);
void troupe_syslog_restore(void);
void troupe_syslog_release(void);

/* locale.c */
void troupe_locale_clear(void);

/* environment.c */
void troupe_environment_install(void);
void troupe_environment_clear(void);

/* functions.c */
void troupe_ready(void);
/* NULL when no extension has it or disable_functions took it. */
zend_internal_function *troupe_internal_function(const char *name);
void troupe_replace(const char *name, zif_handler handler);
/* The same, and leaves PHP's own in `before`. */
void troupe_wrap(const char *name, zif_handler handler, zif_handler *before);
/* Calls PHP's function of that name; the result is null where there is none. May do what PHP code does. */
void troupe_call(const char *name, zval *result, uint32_t count, zval *arguments);
/* NULL where there is no such extension, which the other two take. */
zend_module_entry *troupe_module_of(const char *extension);
void troupe_begin_request_of(zend_module_entry *module);
void troupe_end_request_of(zend_module_entry *module);

/* streams.c */
typedef enum troupe_stream_kind { TROUPE_SENT_TASK, TROUPE_RECEIVED_TASK, TROUPE_SIGNALS, TROUPE_STOP } troupe_stream_kind;
/* Gives `task` to a new stream and puts that into `to`. Signals have no task. */
void troupe_stream_open(zval *to, troupe_stream_kind kind, void *task);
/* The task of the stream in `argument`, or NULL with a ValueError that names it. */
struct troupe_stream *troupe_stream_of(zval *value, troupe_stream_kind kind, uint32_t argument);
void troupe_streams_install(void);

typedef struct troupe_stream {
    troupe_stream_kind kind;
    void *task;
    bool blocking;
    bool timed_out;
    bool closed_by_script; /* fclose(), not the end of a scope or script */
    int64_t timeout;       /* of one read, in nanoseconds; TROUPE_FOR_EVER */
} troupe_stream;

/* background.c */
int64_t troupe_nanoseconds(double seconds);
void troupe_throw(const troupe_answer *answer);
ZEND_FUNCTION(frankenphp_worker_set_vars);
ZEND_FUNCTION(frankenphp_worker_get_vars);
ZEND_FUNCTION(frankenphp_worker_get_signaling_stream);
ZEND_FUNCTION(frankenphp_worker_task_send);
ZEND_FUNCTION(frankenphp_worker_task_read);
ZEND_FUNCTION(frankenphp_worker_task_receive);
ZEND_FUNCTION(frankenphp_worker_task_update);
ZEND_FUNCTION(frankenphp_get_worker_handle);
ZEND_FUNCTION(frankenphp_get_vars);
bool troupe_in_background_worker(const char *function);
bool troupe_good_timeout(double timeout, uint32_t argument);
/* What the functions do, for the objects too. False with an exception, or when the script is being ended. */
bool troupe_set_vars(zval *vars, uint32_t argument);
bool troupe_send(zval *stream, zend_string *worker, zval *payload, int64_t wait, bool until_taken);
void troupe_read(zval *update, troupe_stream *stream);
bool troupe_receive(zval *stream, zval *payload);
bool troupe_update(troupe_stream *stream, zval *data, uint32_t argument);

/* objects.c */
void troupe_objects_register(void);

#endif
