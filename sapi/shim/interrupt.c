/* How a running script is interrupted: the kill signal, the interrupt check between two opcodes, time limits.
 *
 * PHP looks at EG(vm_interrupt) at jumps and after calls, so what is left to do is to end the call that blocks.
 * interpose.c sees to that whenever a signal comes; the kill signal is sent again and again, PHP's timer fires once
 * and may be swallowed by a call that is about to block: from its first time on it fires again and again too.
 */
#include "shim.h"

#include <signal.h>
#include <time.h>

/* Between two attempts to break a blocking call of a script whose time is up. */
static const struct timespec FIRE_AGAIN = {.tv_nsec = 100 * 1000 * 1000};

static void (*next_interrupt_function)(zend_execute_data *);
static void (*next_timeout_function)(int seconds);

int troupe_kill_signal(void)
{
    /* PHP's own timers use SIGRTMIN. */
    return SIGRTMIN + 3;
}

static void on_kill_signal(int signal)
{
    /* Being handled is what matters: the blocking call it interrupts returns EINTR. */
    (void)signal;
    troupe_signals_deliver();
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
    size_t spent = troupe_stack_spent();

    if (spent) {
        zend_error_noreturn(E_ERROR, "Maximum call stack size of %zu bytes reached. Infinite recursion?", spent);
    }
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

/* Once, before any other PHP thread exists. */
void troupe_interrupt_install(void)
{
    /* On the signal stack: a script may be at the end of its own. */
    struct sigaction action = {.sa_handler = on_kill_signal, .sa_flags = SA_ONSTACK};

    sigfillset(&action.sa_mask);
    sigaction(troupe_kill_signal(), &action, NULL);
    next_interrupt_function = zend_interrupt_function;
    zend_interrupt_function = on_interrupt;
    next_timeout_function = zend_on_timeout;
    zend_on_timeout = on_timeout;
}
