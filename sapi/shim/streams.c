/* The streams of tasks and signals.
 *
 * Their data does not pass through PHP's stream buffers: a read yields a token of one line, so that fgets() and
 * event loops work, and never more than one. The descriptor that stream_select() watches is made when it is
 * first asked for. A stream owns its end of the task; how it goes says how the task ended.
 */
#include "shim.h"

#include <ext/standard/file.h>
#include <zend_exceptions.h>

static ssize_t no_write(php_stream *stream, const char *bytes, size_t count)
{
    return -1;
}

static int64_t patience(const troupe_stream *self)
{
    return self->blocking ? self->timeout : TROUPE_NO_WAIT;
}

static ssize_t token(char *buffer, size_t size, const char *text)
{
    size_t len = MIN(strlen(text), size);
    memcpy(buffer, text, len);
    return (ssize_t)len;
}

/* One line when task_read() would not wait; consumes no update. */
static ssize_t read_sent(php_stream *stream, char *buffer, size_t size)
{
    troupe_stream *self = stream->abstract;

    self->timed_out = false;
    if (troupe_rust->sent_task_is_over(self->task)) {
        stream->eof = 1;
        return 0;
    }
    if (troupe_rust->await_update(troupe_self->rust, self->task, patience(self)) != TROUPE_OK) {
        self->timed_out = self->blocking;
        return 0;
    }
    if (troupe_rust->sent_task_is_over(self->task)) {
        stream->eof = 1;
        return 0;
    }
    return token(buffer, size, "\n");
}

/* Nothing, until the sender gives up: then the end. */
static ssize_t read_received(php_stream *stream, char *buffer, size_t size)
{
    troupe_stream *self = stream->abstract;

    self->timed_out = false;
    if (troupe_rust->await_cancel(troupe_self->rust, self->task, patience(self)) == TROUPE_OK) {
        stream->eof = 1;
    } else {
        self->timed_out = self->blocking;
    }
    return 0;
}

static ssize_t read_signals(php_stream *stream, char *buffer, size_t size)
{
    troupe_stream *self = stream->abstract;

    self->timed_out = false;
    switch (troupe_rust->signal(troupe_self->rust, patience(self))) {
    case TROUPE_SIGNAL_TASK:
        return token(buffer, size, "task\n");
    case TROUPE_SIGNAL_STOP:
        return token(buffer, size, "stop\n");
    case TROUPE_SIGNAL_END:
        stream->eof = 1;
        return 0;
    default:
        self->timed_out = self->blocking;
        return 0;
    }
}

/* Nothing, until the worker shall stop: then the end. */
static ssize_t read_stop(php_stream *stream, char *buffer, size_t size)
{
    troupe_stream *self = stream->abstract;

    self->timed_out = false;
    if (troupe_rust->await_stop(troupe_self->rust, patience(self)) == TROUPE_OK) {
        stream->eof = 1;
    } else {
        self->timed_out = self->blocking;
    }
    return 0;
}

static void end_task(troupe_stream_kind kind, void *task, bool complete)
{
    switch (kind) {
    case TROUPE_SENT_TASK:
        troupe_rust->end_sent_task(task);
        break;
    case TROUPE_RECEIVED_TASK:
        troupe_rust->end_received_task(task, complete);
        break;
    case TROUPE_SIGNALS:
    case TROUPE_STOP:
        break;
    }
}

static int close_stream(php_stream *stream, int close_handle)
{
    troupe_stream *self = stream->abstract;

    end_task(self->kind, self->task, self->closed_by_script);
    efree(self);
    return 0;
}

static int flush_stream(php_stream *stream)
{
    return 0;
}

static int descriptor(const troupe_stream *self, int as)
{
    switch (self->kind) {
    case TROUPE_SENT_TASK:
        return troupe_rust->sent_task_descriptor(self->task);
    case TROUPE_RECEIVED_TASK:
        return troupe_rust->received_task_descriptor(self->task);
    case TROUPE_SIGNALS:
        return troupe_rust->signal_descriptor(troupe_self->rust, as != PHP_STREAM_AS_FD_FOR_SELECT);
    case TROUPE_STOP:
        return troupe_rust->stop_descriptor(troupe_self->rust);
    }
    return -1;
}

static int cast_stream(php_stream *stream, int as, void **to)
{
    int number;

    if (as != PHP_STREAM_AS_FD_FOR_SELECT && as != PHP_STREAM_AS_FD && as != PHP_STREAM_AS_SOCKETD) {
        return FAILURE;
    }
    if (!to) {
        return SUCCESS;
    }
    number = descriptor(stream->abstract, as);
    if (number < 0) {
        return FAILURE;
    }
    *(php_socket_t *)to = number;
    return SUCCESS;
}

static bool is_over(const troupe_stream *self)
{
    switch (self->kind) {
    case TROUPE_SENT_TASK:
        return troupe_rust->sent_task_is_over(self->task);
    case TROUPE_RECEIVED_TASK:
        return troupe_rust->await_cancel(troupe_self->rust, self->task, TROUPE_NO_WAIT) == TROUPE_OK;
    case TROUPE_STOP:
        return troupe_rust->await_stop(troupe_self->rust, TROUPE_NO_WAIT) == TROUPE_OK;
    case TROUPE_SIGNALS:
        return false;
    }
    return true;
}

static int set_option(php_stream *stream, int option, int value, void *argument)
{
    troupe_stream *self = stream->abstract;

    switch (option) {
    case PHP_STREAM_OPTION_BLOCKING: {
        int before = self->blocking;
        self->blocking = value;
        return before;
    }
    case PHP_STREAM_OPTION_READ_TIMEOUT: {
        const struct timeval *timeout = argument;
        self->timeout = timeout->tv_sec < 0 ? TROUPE_FOR_EVER
                                            : (int64_t)timeout->tv_sec * 1000000000 + (int64_t)timeout->tv_usec * 1000;
        return PHP_STREAM_OPTION_RETURN_OK;
    }
    case PHP_STREAM_OPTION_CHECK_LIVENESS:
        return is_over(self) ? PHP_STREAM_OPTION_RETURN_ERR : PHP_STREAM_OPTION_RETURN_OK;
    case PHP_STREAM_OPTION_META_DATA_API:
        add_assoc_bool(argument, "timed_out", self->timed_out);
        add_assoc_bool(argument, "blocked", self->blocking);
        add_assoc_bool(argument, "eof", stream->eof);
        return PHP_STREAM_OPTION_RETURN_OK;
    default:
        return PHP_STREAM_OPTION_RETURN_NOTIMPL;
    }
}

static const php_stream_ops operations[] = {
    [TROUPE_SENT_TASK] = {no_write, read_sent, close_stream, flush_stream, "sent task", NULL, cast_stream, NULL,
                          set_option},
    [TROUPE_RECEIVED_TASK] = {no_write, read_received, close_stream, flush_stream, "received task", NULL, cast_stream,
                              NULL, set_option},
    [TROUPE_SIGNALS] = {no_write, read_signals, close_stream, flush_stream, "worker signals", NULL, cast_stream, NULL,
                        set_option},
    [TROUPE_STOP] = {no_write, read_stop, close_stream, flush_stream, "worker stop", NULL, cast_stream, NULL,
                     set_option},
};

static void open_stream(zval *to, troupe_stream_kind kind, void *task)
{
    troupe_stream *self = ecalloc(1, sizeof(*self));
    php_stream *stream;

    self->kind = kind;
    self->task = task;
    self->blocking = true;
    self->timeout = TROUPE_FOR_EVER;
    stream = php_stream_alloc(&operations[kind], self, NULL, "r");
    php_stream_to_zval(stream, to);
}

/* A task that no stream could be made for would stay open for ever. */
void troupe_stream_open(zval *to, troupe_stream_kind kind, void *task)
{
    zend_try {
        open_stream(to, kind, task);
    } zend_catch {
        end_task(kind, task, false);
        zend_bailout();
    } zend_end_try();
}

static troupe_stream *ours(zval *value)
{
    php_stream *stream;

    if (Z_TYPE_P(value) != IS_RESOURCE) {
        return NULL;
    }
    stream = zend_fetch_resource2(Z_RES_P(value), NULL, php_file_le_stream(), php_file_le_pstream());
    if (!stream || stream->ops < operations || stream->ops >= operations + sizeof(operations) / sizeof(*operations)) {
        return NULL;
    }
    return stream->abstract;
}

troupe_stream *troupe_stream_of(zval *value, troupe_stream_kind kind, uint32_t argument)
{
    troupe_stream *self = ours(value);

    if (!self || self->kind == TROUPE_SIGNALS || self->kind == TROUPE_STOP) {
        zend_argument_value_error(argument, "must be an open stream of a task");
        return NULL;
    }
    if (self->kind != kind) {
        zend_argument_value_error(argument, kind == TROUPE_SENT_TASK
                                                ? "must be the stream of a task that was sent, not of one received"
                                                : "must be the stream of a task that was received, not of one sent");
        return NULL;
    }
    return self;
}

static zif_handler php_fclose;

/* Only the script itself can say that a task is complete: a stream that merely goes away says nothing. */
static ZEND_FUNCTION(troupe_fclose)
{
    troupe_stream *self = ZEND_NUM_ARGS() == 1 ? ours(ZEND_CALL_ARG(execute_data, 1)) : NULL;

    if (self) {
        self->closed_by_script = true;
    }
    php_fclose(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

static zif_handler php_ignore_user_abort;

/* The value that worker mode sets by itself says nothing about the script's tasks; this call does. */
static ZEND_FUNCTION(troupe_ignore_user_abort)
{
    uint32_t arguments = ZEND_NUM_ARGS();

    php_ignore_user_abort(INTERNAL_FUNCTION_PARAM_PASSTHRU);
    if (arguments == 1 && !EG(exception) && troupe_self) {
        troupe_rust->ignore_abort(troupe_self->rust, PG(ignore_user_abort));
    }
}

void troupe_streams_install(void)
{
    troupe_wrap("fclose", ZEND_FN(troupe_fclose), &php_fclose);
    troupe_wrap("ignore_user_abort", ZEND_FN(troupe_ignore_user_abort), &php_ignore_user_abort);
}
