/* How a running script is interrupted: the kill signal, the interrupt check between two opcodes, time limits.
 *
 * PHP looks at EG(vm_interrupt) in loops and at the entry of functions written in PHP, so two gaps are closed
 * here. A script without either never looks: functions that may block look when they return. And PHP's timer
 * fires once, which a blocking call may swallow: from the first time on it fires again and again.
 */
#include "shim.h"

#include <signal.h>
#include <time.h>
#include <zend_extensions.h>

/* Between two attempts to break a blocking call of a script whose time is up. */
static const struct timespec FIRE_AGAIN = {.tv_nsec = 100 * 1000 * 1000};

static void (*next_interrupt_function)(zend_execute_data *);
static void (*next_timeout_function)(int seconds);
static int original_handler; /* slot in zend_internal_function.reserved */

int troupe_kill_signal(void)
{
    /* PHP's own timers use SIGRTMIN. */
    return SIGRTMIN + 3;
}

static void on_kill_signal(int signal)
{
    /* Being handled is all: the blocking call it interrupts returns EINTR. */
    (void)signal;
}

static void send_backtrace(troupe_thread *self)
{
    zval trace;
    zend_string *text;

    zend_fetch_debug_backtrace(&trace, 0, DEBUG_BACKTRACE_IGNORE_ARGS, 0);
    text = zend_trace_to_string(Z_ARRVAL(trace), true);
    troupe_rust->backtrace(self->rust, troupe_text(text));
    zend_string_release(text);
    zval_ptr_dtor(&trace);
}

/* Runs where the script can be left. May bail out. */
static void on_interrupt(zend_execute_data *execute_data)
{
    troupe_thread *self = troupe_self;

    if (self) {
        uint32_t asked = troupe_rust->asked(self->rust);
        if (asked & TROUPE_ASKED_BACKTRACE) {
            send_backtrace(self);
        }
        if (asked & TROUPE_ASKED_KILL_DEADLINE) {
            zend_error_noreturn(E_ERROR, "Maximum execution time exceeded: the request's deadline passed");
        }
        if (asked & TROUPE_ASKED_KILL_STOP) {
            zend_error_noreturn(E_ERROR, "The script was ended: its worker stops and the grace period is over");
        }
        if (asked & TROUPE_ASKED_KILL_OPERATOR) {
            zend_error_noreturn(E_ERROR, "The script was ended by the operator");
        }
    }
    if (next_interrupt_function) {
        next_interrupt_function(execute_data);
    }
}

/* Makes PHP's timer fire after `first` and every 100 ms from then on. Async-signal-safe. */
static void fire(struct timespec first)
{
    const struct itimerspec timer = {.it_value = first, .it_interval = FIRE_AGAIN};

    timer_settime(EG(max_execution_timer_timer), 0, &timer, NULL);
}

/* In the handler of PHP's timer, on the thread whose time is up. */
static void on_timeout(int seconds)
{
    fire(FIRE_AGAIN);
    if (next_timeout_function) {
        next_timeout_function(seconds);
    }
}

/* PHP has stopped its timer and is about to end the script, whose shutdown functions and destructors still
 * run: they get as long as hard_timeout says. */
void troupe_limit_last_words(void)
{
    if ((PG(connection_status) & PHP_CONNECTION_TIMEOUT) && EG(timeout_seconds) > 0 && EG(hard_timeout) > 0) {
        fire((struct timespec){.tv_sec = EG(hard_timeout)});
    }
}

/* Stands for a function that may block: calls it, then looks whether the script is to end. May bail out. */
static ZEND_FUNCTION(interruptible)
{
    zif_handler original = (zif_handler)EX(func)->internal_function.reserved[original_handler];

    original(INTERNAL_FUNCTION_PARAM_PASSTHRU);
    if (zend_atomic_bool_load_ex(&EG(vm_interrupt))) {
        zend_atomic_bool_store_ex(&EG(vm_interrupt), false);
        if (zend_atomic_bool_load_ex(&EG(timed_out))) {
            zend_timeout();
        }
        zend_interrupt_function(execute_data);
    }
}

static const char *const blocking[] = {
    "sleep", "usleep", "time_nanosleep", "time_sleep_until", "flock", "fopen", "fread", "fgets", "fgetc", "fgetcsv",
    "fscanf", "fpassthru", "fwrite", "fputs", "fputcsv", "fflush", "fclose", "feof", "file", "file_get_contents",
    "file_put_contents", "readfile", "copy", "stream_get_contents", "stream_get_line", "stream_copy_to_stream",
    "stream_select", "stream_socket_accept", "stream_socket_client", "stream_socket_enable_crypto",
    "stream_socket_recvfrom", "stream_socket_sendto", "fsockopen", "pfsockopen", "socket_accept", "socket_connect",
    "socket_read", "socket_recv", "socket_recvfrom", "socket_recvmsg", "socket_select", "socket_send",
    "socket_sendmsg", "socket_sendto", "socket_write", "curl_exec", "curl_multi_exec", "curl_multi_select",
    "exec", "shell_exec", "system", "passthru", "popen", "pclose", "proc_close", "proc_open", "mail",
    "gethostbyname", "gethostbynamel", "gethostbyaddr", "dns_get_record", "checkdnsrr", "getmxrr",
    "mysqli_connect", "mysqli_real_connect", "mysqli_query", "mysqli_real_query", "mysqli_multi_query",
    "mysqli_execute_query", "mysqli_stmt_execute", "mysqli_poll", "pg_connect", "pg_pconnect", "pg_query",
    "pg_query_params", "pg_execute", "pg_prepare", "pg_get_result", "pcntl_wait", "pcntl_waitpid",
    "pcntl_sigwaitinfo", "pcntl_sigtimedwait", "session_start", "frankenphp_worker_get_vars",
    "frankenphp_worker_task_send", "frankenphp_worker_task_read", "frankenphp_worker_task_update",
};

/* Once, before any other PHP thread exists. Last of all that replaces handlers. */
void troupe_interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_kill_signal};

    sigfillset(&action.sa_mask);
    sigaction(troupe_kill_signal(), &action, NULL);
    next_interrupt_function = zend_interrupt_function;
    zend_interrupt_function = on_interrupt;
    next_timeout_function = zend_on_timeout;
    zend_on_timeout = on_timeout;

    original_handler = zend_get_op_array_extension_handle("Troupe");
    for (size_t i = 0; i < sizeof(blocking) / sizeof(*blocking); i++) {
        zend_internal_function *function = troupe_internal_function(blocking[i]);
        if (function) {
            function->reserved[original_handler] = (void *)function->handler;
            function->handler = ZEND_FN(interruptible);
        }
    }
}
