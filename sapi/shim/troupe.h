/* The border between the C shim and Rust.
 *
 * Rust calls the troupe_* functions below; C calls Rust through troupe_callbacks. Every callback does plain
 * work and returns a status: none of them enters PHP, so none can be jumped over by a bailout. C acts on the
 * status. bindgen reads this file, so both sides agree on every layout. It includes no PHP header.
 */
#ifndef TROUPE_H
#define TROUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that the callee may read during the call. Not terminated by NUL unless said so. */
typedef struct troupe_bytes {
    const char *ptr;
    size_t len;
} troupe_bytes;

/* One entry of $_SERVER: offsets into troupe_vars.bytes. */
typedef struct troupe_entry {
    uint32_t name;     /* without a length: an index into troupe_engine_config.names */
    uint32_t name_len;
    uint32_t value;
    uint32_t value_len;
} troupe_entry;

typedef struct troupe_vars {
    const char *bytes;
    const troupe_entry *entries;
    size_t count;
    size_t environment; /* so many of them, the last ones, are variables of the environment */
} troupe_vars;

/* A request. Everything it points to is owned by the thread's Rust side and lives until request_ended (worker
 * mode) or run_ended (classic mode). Strings end with NUL; the optional ones may be NULL. */
typedef struct troupe_request {
    const char *method;
    const char *uri;
    const char *query;
    const char *script;
    const char *content_type;  /* optional */
    const char *cookie;        /* optional */
    const char *authorization; /* optional */
    int64_t content_length;    /* -1: not known before its end */
    uint32_t protocol;         /* 1000, 1001, 2000 */
    troupe_vars vars;
} troupe_request;

typedef enum troupe_run_kind {
    TROUPE_RUN_REQUEST,    /* classic: one script, one request */
    TROUPE_RUN_HTTP_WORKER,
    TROUPE_RUN_BACKGROUND_WORKER,
} troupe_run_kind;

/* What a thread shall run next. */
typedef struct troupe_run {
    troupe_run_kind kind;
    troupe_request request; /* TROUPE_RUN_REQUEST only */
    const char *script;     /* workers only, like the rest */
    const char *name;
    troupe_vars vars;
} troupe_run;

typedef enum troupe_exit_kind {
    TROUPE_EXIT_RETURNED,  /* the script came to its end */
    TROUPE_EXIT_CALLED,    /* exit() */
    TROUPE_EXIT_FAILED,    /* a fatal error or an uncaught exception */
    TROUPE_EXIT_NOT_BEGUN, /* PHP could not set the request up */
} troupe_exit_kind;

/* How a run ended. The strings live until the call returns. */
typedef struct troupe_run_end {
    troupe_exit_kind kind;
    int status;             /* exit status */
    troupe_bytes message;   /* TROUPE_EXIT_FAILED */
    troupe_bytes file;
    uint32_t line;
} troupe_run_end;

/* A response header line, split. */
typedef struct troupe_header {
    troupe_bytes name;
    troupe_bytes value;
} troupe_header;

typedef enum troupe_io {
    TROUPE_IO_OK,
    TROUPE_IO_GONE,   /* the client left */
    TROUPE_IO_KILLED, /* the script is being ended; the next interrupt check ends it */
} troupe_io;

/* What became of a call that may wait. */
typedef enum troupe_result {
    TROUPE_OK,
    TROUPE_NOTHING, /* nothing there yet, or nothing more: the callback says which */
    TROUPE_FAILED,  /* RuntimeException with the message */
    TROUPE_ENDING,  /* the script is being ended; the next interrupt check ends it */
} troupe_result;

/* The strings live until the thread's next callback. */
typedef struct troupe_answer {
    troupe_result result;
    troupe_bytes message;
    troupe_bytes cause; /* the message of the previous exception, or empty */
} troupe_answer;

typedef enum troupe_signal {
    TROUPE_SIGNAL_NONE,
    TROUPE_SIGNAL_TASK,
    TROUPE_SIGNAL_STOP,
    TROUPE_SIGNAL_END,
} troupe_signal;

/* A PHP value in nobody's memory: immutable, shared by threads. See values.c. */
typedef struct troupe_value troupe_value;

/* One that was published. */
typedef struct troupe_snapshot {
    const troupe_value *value;
    bool in_place; /* it lives as long as the request, and may be used without a copy */
} troupe_snapshot;

/* How long a call may wait, in nanoseconds. */
#define TROUPE_NO_WAIT 0
#define TROUPE_FOR_EVER -1

enum troupe_trace_state {
    TROUPE_TRACE_IDLE,
    TROUPE_TRACE_ASKED, /* set by Rust; the next trace signal tells it */
    TROUPE_TRACE_TOLD,  /* the text is there */
};

/* Where a thread's PHP stack is written. See trace.c. */
typedef struct troupe_trace {
    uint32_t state; /* an atomic on both sides */
    size_t len;
    char text[8192];
} troupe_trace;

/* Where another thread can reach a running script. */
typedef struct troupe_slot {
    bool *vm_interrupt;   /* EG(vm_interrupt), an atomic */
    bool *killed;         /* troupe_thread.killed, and so on: atomics */
    bool *catches_stop;
    bool *stop_signalled;
    bool *limit_passed;
    troupe_trace *trace;
    uintptr_t thread;     /* pthread_t */
} troupe_slot;

/* What the interrupt handler is asked to do; bits. */
enum troupe_asked {
    TROUPE_ASKED_BACKTRACE = 1,
    TROUPE_ASKED_KILL_DEADLINE = 2,
    TROUPE_ASKED_KILL_STOP = 4,
    TROUPE_ASKED_KILL_OPERATOR = 8,
    TROUPE_ASKED_KILL_BOOT = 16,
};

/* `thread` is the pointer given to troupe_thread_main. All are called on that thread. */
typedef struct troupe_callbacks {
    void (*thread_started)(void *thread, troupe_slot slot);
    void (*thread_ends)(void *thread);
    /* Blocks; false ends the thread. */
    bool (*next_run)(void *thread, troupe_run *run);
    void (*run_ended)(void *thread, const troupe_run_end *end);

    /* Worker mode. next_request blocks; false asks the script to leave its loop. */
    bool (*next_request)(void *thread, troupe_request *request);
    void (*request_ended)(void *thread, size_t memory);
    void (*script_ready)(void *thread);

    /* The current request. read_body fills the buffer unless the body ends. */
    troupe_io (*read_body)(void *thread, char *buffer, size_t len, size_t *read);
    troupe_io (*write)(void *thread, const char *bytes, size_t len);
    troupe_io (*flush)(void *thread);
    void (*set_head)(void *thread, int status, const troupe_header *headers, size_t count);
    troupe_io (*inform)(void *thread, int status, const troupe_header *headers, size_t count);
    bool (*finish_request)(void *thread);

    /* PHP's own log line, with a syslog level. `thread` may be NULL: PHP speaks during start-up too. */
    void (*log)(void *thread, int syslog_level, troupe_bytes message);
    /* A script's structured record; the context is JSON or empty. */
    void (*script_log)(void *thread, int64_t level, troupe_bytes message, troupe_bytes context);
    /* Output of a script that has no client. */
    void (*stray_output)(void *thread, troupe_bytes bytes);

    /* Background workers. Values given to these belong to Rust. Snapshots taken from get_vars belong to Rust: one
     * that is in place lives until the request ends, another one until get_vars is called for that name again and
     * has handed out what it got; `nested` says that an outer get_vars is still at that. Other values taken belong
     * to C. A `task` is one end of a task, owned by a PHP stream until end_*_task. */
    const troupe_value *(*published)(void *thread);
    void (*confirm_vars)(void *thread); /* what `published` returned equals what the script would publish */
    troupe_answer (*set_vars)(void *thread, troupe_value *value);
    troupe_answer (*get_vars)(void *thread, const troupe_bytes *names, size_t count, int64_t wait, bool nested,
                              troupe_snapshot *values);
    troupe_answer (*send_task)(void *thread, troupe_bytes worker, troupe_value *payload, int64_t wait,
                               bool until_taken, void **task);
    troupe_answer (*read_task)(void *thread, void *task, int64_t wait, troupe_value **update); /* OK, NOTHING: complete */
    troupe_result (*await_update)(void *thread, void *task, int64_t wait); /* OK, NOTHING: not yet */
    bool (*sent_task_is_over)(void *task);
    int (*sent_task_descriptor)(void *task);
    void (*end_sent_task)(void *task);
    /* The script itself has called ignore_user_abort(). */
    void (*ignore_abort)(void *thread, bool ignores);
    troupe_answer (*receive_task)(void *thread, troupe_value **payload, void **task); /* OK, NOTHING: none */
    troupe_answer (*update_task)(void *thread, void *task, troupe_value *update);
    troupe_result (*await_cancel)(void *thread, void *task, int64_t wait); /* OK, NOTHING: not yet */
    int (*received_task_descriptor)(void *task);
    void (*end_received_task)(void *task, bool complete);
    troupe_signal (*signal)(void *thread, int64_t wait);
    int (*signal_descriptor)(void *thread, bool keeps); /* for one look, or for whoever keeps it */
    troupe_result (*await_stop)(void *thread, int64_t wait); /* OK, NOTHING: not yet */
    int (*stop_descriptor)(void *thread);

    /* The script has so many seconds, from now on or from the moment its request was taken; 0: no limit. */
    void (*limit)(void *thread, uint64_t seconds, bool from_the_beginning);
    uint32_t (*asked)(void *thread);
    void (*backtrace)(void *thread, troupe_bytes text);
    /* Every cached script was invalidated. */
    void (*opcache_was_reset)(void *thread);
} troupe_callbacks;

typedef struct troupe_engine_config {
    const char *php_ini;     /* optional: a file or a folder */
    const char *ini_defaults; /* "key=value\n" lines; php.ini and its like win over them */
    const char *ini_entries;  /* "key=value\n" lines that win over php.ini */
    const char *ini_locked;   /* "key\n" lines: scripts may not change these */
    const troupe_bytes *names; /* of entries of $_SERVER */
    size_t name_count;
} troupe_engine_config;

void troupe_value_free(troupe_value *value);
size_t troupe_value_bytes(const troupe_value *value);

/* Starts PHP in this process, once, on the calling thread. On failure returns the reason, else NULL. */
const char *troupe_engine_start(const troupe_engine_config *config, const troupe_callbacks *callbacks);
/* Ends PHP: on the thread that started it, when every other PHP thread has ended. */
void troupe_engine_stop(void);
/* Serves on the calling thread until next_run says no. Never jumps out. */
void troupe_thread_main(void *thread);
/* The signal that breaks blocking calls, and the one that has a thread write its stack. */
int troupe_kill_signal(void);
int troupe_trace_signal(void);

/* Versions and loaded extensions, once started; the strings live for ever. */
const char *troupe_php_version(void);
const char *troupe_zend_version(void);
size_t troupe_extensions(const char **names, const char **versions, size_t capacity);

#endif
