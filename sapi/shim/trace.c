/* The PHP stack of a running script, for those who look at it from outside.
 *
 * A script tells its stack at its next interrupt check. One that is inside a call that does not return (a query, a
 * sleep, a regular expression) never gets there: it is read then in a signal's handler, on the script's own thread,
 * which stands still meanwhile. So both ways use the same reader: it allocates nothing, enters neither PHP nor Rust,
 * and takes no line number on trust, since compiled code keeps its position in a register.
 *
 * Lines are those of PHP's own traces; the position of the innermost PHP code comes before them.
 */
#include "shim.h"

#include <errno.h>
#include <signal.h>

/* Recursion may be without end. */
#define FRAMES 100

_Thread_local volatile sig_atomic_t troupe_was_looked_at;

static void add_bytes(troupe_trace *trace, const char *bytes, size_t len)
{
    size_t room = sizeof(trace->text) - trace->len;

    len = MIN(len, room);
    memcpy(trace->text + trace->len, bytes, len);
    trace->len += len;
}

static void add(troupe_trace *trace, const char *text)
{
    add_bytes(trace, text, strlen(text));
}

static void add_string(troupe_trace *trace, const zend_string *string)
{
    add_bytes(trace, ZSTR_VAL(string), ZSTR_LEN(string));
}

static void add_number(troupe_trace *trace, uint32_t number)
{
    char digits[10];
    size_t first = sizeof(digits);

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_bytes(trace, digits + first, sizeof(digits) - first);
}

static bool is_php(const zend_execute_data *frame)
{
    return frame && frame->func && ZEND_USER_CODE(frame->func->common.type);
}

static uint32_t line_of(const zend_execute_data *frame)
{
    const zend_op_array *code = &frame->func->op_array;
    bool is_in_it = frame->opline >= code->opcodes && frame->opline < code->opcodes + code->last;

    return is_in_it ? frame->opline->lineno : code->line_start;
}

static void begin_line(troupe_trace *trace, uint32_t *number)
{
    add(trace, *number ? "\n#" : "#");
    add_number(trace, (*number)++);
    add(trace, " ");
}

static void add_place(troupe_trace *trace, const zend_execute_data *frame)
{
    if (is_php(frame) && frame->func->op_array.filename) {
        add_string(trace, frame->func->op_array.filename);
        add(trace, "(");
        add_number(trace, line_of(frame));
        add(trace, ")");
    } else {
        add(trace, "[internal function]");
    }
}

static void add_callee(troupe_trace *trace, const zend_function *function)
{
    if (!function->common.function_name) {
        add(trace, "include()");
        return;
    }
    if (function->common.scope) {
        add_string(trace, function->common.scope->name);
        add(trace, function->common.fn_flags & ZEND_ACC_STATIC ? "::" : "->");
    }
    add_string(trace, function->common.function_name);
    add(trace, "()");
}

/* Async-signal-safe, on the thread itself. */
void troupe_trace_read(troupe_trace *trace)
{
    const zend_execute_data *frame = EG(current_execute_data);
    uint32_t number = 0;

    trace->len = 0;
    if (is_php(frame)) {
        begin_line(trace, &number);
        add_place(trace, frame);
    }
    while (frame && number < FRAMES) {
        const zend_execute_data *caller = frame->prev_execute_data;
        /* Some are PHP's own, between it and code that it calls. */
        while (caller && !caller->func) {
            caller = caller->prev_execute_data;
        }
        if (!frame->func) {
            frame = caller;
            continue;
        }
        begin_line(trace, &number);
        if (!caller && !frame->func->common.function_name) {
            add(trace, "{main}");
        } else {
            add_place(trace, caller);
            add(trace, ": ");
            add_callee(trace, frame->func);
        }
        frame = caller;
    }
}

int troupe_trace_signal(void)
{
    /* PHP's own timers use SIGRTMIN, the kill signal is another. */
    return SIGRTMIN + 4;
}

static void on_trace_signal(int signal)
{
    int error = errno;

    (void)signal;
    if (troupe_self && __atomic_load_n(&troupe_self->trace.state, __ATOMIC_SEQ_CST) == TROUPE_TRACE_ASKED) {
        troupe_trace_read(&troupe_self->trace);
        __atomic_store_n(&troupe_self->trace.state, TROUPE_TRACE_TOLD, __ATOMIC_SEQ_CST);
    }
    troupe_was_looked_at = 1;
    errno = error;
}

/* Once, before any other PHP thread exists. */
void troupe_trace_install(void)
{
    /* Whoever is looked at goes on with the call it is in; interpose.c sees to those that no flag restarts. */
    struct sigaction action = {.sa_handler = on_trace_signal, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigfillset(&action.sa_mask);
    sigaction(troupe_trace_signal(), &action, NULL);
}
