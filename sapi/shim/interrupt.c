/* How a running script is interrupted: the kill signal, and the interrupt check between two opcodes.
 *
 * PHP looks at EG(vm_interrupt) at jumps and after calls, so what is left to do is to end the call that blocks.
 * interpose.c sees to that whenever a signal comes; the kill signal is sent again and again.
 */
#include "shim.h"

#include <signal.h>

static void (*next_interrupt_function)(zend_execute_data *);

int troupe_kill_signal(void)
{
    /* PHP's own timers use SIGRTMIN. */
    return SIGRTMIN + 3;
}

static void on_kill_signal(int signal)
{
    /* Being handled is what matters: the blocking call it interrupts returns EINTR. */
    (void)signal;
    troupe_limit_deliver();
    troupe_was_looked_at = 0;
    troupe_signals_deliver();
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
            troupe_trace trace;
            troupe_trace_read(&trace);
            troupe_rust->backtrace(self->rust, (troupe_bytes){trace.text, trace.len});
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
        if (asked & TROUPE_ASKED_KILL_BOOT) {
            zend_error_noreturn(E_ERROR, "The script was ended: it was not ready within its worker's boot_timeout");
        }
    }
    if (next_interrupt_function) {
        next_interrupt_function(execute_data);
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
}
