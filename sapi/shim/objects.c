/* The classes of the object API: the same streams and calls, held by objects.
 *
 * An object owns its stream: when it goes, the stream is closed, which abandons a sent task and aborts a
 * received one that was not completed.
 */
#include "shim.h"

#include <ext/spl/spl_exceptions.h>

typedef struct handle {
    zval stream;  /* undefined before the constructor has run */
    zval payload; /* received tasks only */
    bool drained; /* workers only */
    zend_object object;
} handle;

static zend_object_handlers handlers;
static zend_class_entry *worker_class, *sent_class, *received_class;

static handle *handle_of(zend_object *object)
{
    return (handle *)((char *)object - offsetof(handle, object));
}

static zend_object *create(zend_class_entry *class)
{
    handle *self = zend_object_alloc(sizeof(*self), class);

    ZVAL_UNDEF(&self->stream);
    ZVAL_UNDEF(&self->payload);
    self->drained = false;
    zend_object_std_init(&self->object, class);
    object_properties_init(&self->object, class);
    self->object.handlers = &handlers;
    return &self->object;
}

static void close_stream(handle *self)
{
    if (Z_TYPE(self->stream) == IS_RESOURCE) {
        zend_list_close(Z_RES(self->stream));
    }
    zval_ptr_dtor(&self->stream);
    ZVAL_UNDEF(&self->stream);
}

static void release(zend_object *object)
{
    handle *self = handle_of(object);

    close_stream(self);
    zval_ptr_dtor(&self->payload);
    zend_object_std_dtor(object);
}

/* The task's stream; NULL with an exception when it is closed. */
static troupe_stream *task_of(handle *self, troupe_stream_kind kind)
{
    php_stream *stream = NULL;

    if (Z_TYPE(self->stream) == IS_RESOURCE) {
        stream = zend_fetch_resource2(Z_RES(self->stream), NULL, php_file_le_stream(), php_file_le_pstream());
    }
    if (!stream) {
        zend_throw_exception(spl_ce_RuntimeException, kind == TROUPE_SENT_TASK ? "the task was abandoned"
                                                                               : "the task is over", 0);
        return NULL;
    }
    return stream->abstract;
}

static void return_stream(handle *self, zval *return_value)
{
    if (Z_TYPE(self->stream) == IS_UNDEF) {
        zend_throw_exception(spl_ce_RuntimeException, "the handle is closed", 0);
        return;
    }
    RETURN_COPY(&self->stream);
}

/* --- WorkerHandle --- */

static ZEND_METHOD(WorkerHandle, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();

    troupe_in_background_worker("FrankenPHP\\WorkerHandle::__construct");
}

static ZEND_METHOD(WorkerHandle, tick)
{
    handle *self = handle_of(Z_OBJ_P(ZEND_THIS));

    ZEND_PARSE_PARAMETERS_NONE();

    troupe_ready();
    for (;;) {
        switch (troupe_rust->signal(troupe_self->rust, TROUPE_NO_WAIT)) {
        case TROUPE_SIGNAL_TASK:
            continue;
        case TROUPE_SIGNAL_NONE:
            RETURN_BOOL(!self->drained);
        default:
            self->drained = true;
            RETURN_FALSE;
        }
    }
}

static ZEND_METHOD(WorkerHandle, getStream)
{
    handle *self = handle_of(Z_OBJ_P(ZEND_THIS));

    ZEND_PARSE_PARAMETERS_NONE();

    troupe_ready();
    if (Z_TYPE(self->stream) == IS_UNDEF) {
        troupe_stream_open(&self->stream, TROUPE_SIGNALS, NULL);
    }
    return_stream(self, return_value);
}

static ZEND_METHOD(WorkerHandle, setVars)
{
    zval *vars;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ARRAY(vars)
    ZEND_PARSE_PARAMETERS_END();

    troupe_set_vars(vars, 1);
}

static ZEND_METHOD(WorkerHandle, receive)
{
    zval stream, payload;

    ZEND_PARSE_PARAMETERS_NONE();

    if (troupe_receive(&stream, &payload)) {
        object_init_ex(return_value, received_class);
        handle *received = handle_of(Z_OBJ_P(return_value));
        ZVAL_COPY_VALUE(&received->stream, &stream);
        ZVAL_COPY_VALUE(&received->payload, &payload);
    }
}

/* --- SentTaskHandle --- */

static ZEND_METHOD(SentTaskHandle, __construct)
{
    handle *self = handle_of(Z_OBJ_P(ZEND_THIS));
    zend_string *worker;
    zval *payload;
    double timeout = 30.0;
    bool for_ever = false;

    ZEND_PARSE_PARAMETERS_START(2, 3)
        Z_PARAM_STR(worker)
        Z_PARAM_ARRAY(payload)
        Z_PARAM_OPTIONAL
        Z_PARAM_DOUBLE_OR_NULL(timeout, for_ever)
    ZEND_PARSE_PARAMETERS_END();

    if (Z_TYPE(self->stream) != IS_UNDEF) {
        zend_throw_error(NULL, "the task was sent already");
        RETURN_THROWS();
    }
    if (for_ever || troupe_good_timeout(timeout, 3)) {
        zval stream;
        int64_t wait = for_ever ? TROUPE_FOR_EVER : troupe_nanoseconds(timeout);
        if (troupe_send(&stream, worker, payload, wait, true)) {
            ZVAL_COPY_VALUE(&self->stream, &stream);
        }
    }
}

static ZEND_METHOD(SentTaskHandle, read)
{
    troupe_stream *task;

    ZEND_PARSE_PARAMETERS_NONE();

    task = task_of(handle_of(Z_OBJ_P(ZEND_THIS)), TROUPE_SENT_TASK);
    if (task) {
        troupe_read(return_value, task);
    }
}

static ZEND_METHOD(SentTaskHandle, abandon)
{
    ZEND_PARSE_PARAMETERS_NONE();

    close_stream(handle_of(Z_OBJ_P(ZEND_THIS)));
}

/* --- ReceivedTaskHandle --- */

static ZEND_METHOD(ReceivedTaskHandle, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

static ZEND_METHOD(ReceivedTaskHandle, getPayload)
{
    ZEND_PARSE_PARAMETERS_NONE();

    RETURN_COPY(&handle_of(Z_OBJ_P(ZEND_THIS))->payload);
}

static ZEND_METHOD(ReceivedTaskHandle, update)
{
    zval *data;
    troupe_stream *task;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ARRAY(data)
    ZEND_PARSE_PARAMETERS_END();

    task = task_of(handle_of(Z_OBJ_P(ZEND_THIS)), TROUPE_RECEIVED_TASK);
    if (task) {
        troupe_update(task, data, 1);
    }
}

static ZEND_METHOD(ReceivedTaskHandle, complete)
{
    handle *self = handle_of(Z_OBJ_P(ZEND_THIS));
    zval *data = NULL;
    troupe_stream *task;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ARRAY_OR_NULL(data)
    ZEND_PARSE_PARAMETERS_END();

    task = task_of(self, TROUPE_RECEIVED_TASK);
    if (task && (!data || troupe_update(task, data, 1))) {
        task->closed_by_script = true;
        close_stream(self);
    }
}

/* --- both kinds of task --- */

static ZEND_METHOD(Task, getStream)
{
    ZEND_PARSE_PARAMETERS_NONE();

    return_stream(handle_of(Z_OBJ_P(ZEND_THIS)), return_value);
}

ZEND_BEGIN_ARG_INFO_EX(arginfo_construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_construct_sent, 0, 0, 2)
    ZEND_ARG_TYPE_INFO(0, worker, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO(0, payload, IS_ARRAY, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 1, "30.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_tick, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_stream, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_vars, 0, 1, IS_VOID, 0)
    ZEND_ARG_TYPE_INFO(0, vars, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_receive, 0, 0, FrankenPHP\\ReceivedTaskHandle, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_read, 0, 0, IS_ARRAY, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_abandon, 0, 0, IS_VOID, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_payload, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_update, 0, 1, IS_VOID, 0)
    ZEND_ARG_TYPE_INFO(0, data, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_complete, 0, 0, IS_VOID, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, data, IS_ARRAY, 1, "null")
ZEND_END_ARG_INFO()

static const zend_function_entry worker_methods[] = {
    ZEND_ME(WorkerHandle, __construct, arginfo_construct, ZEND_ACC_PUBLIC)
    ZEND_ME(WorkerHandle, tick, arginfo_tick, ZEND_ACC_PUBLIC)
    ZEND_ME(WorkerHandle, getStream, arginfo_stream, ZEND_ACC_PUBLIC)
    ZEND_ME(WorkerHandle, setVars, arginfo_vars, ZEND_ACC_PUBLIC)
    ZEND_ME(WorkerHandle, receive, arginfo_receive, ZEND_ACC_PUBLIC)
    ZEND_FE_END
};

static const zend_function_entry sent_methods[] = {
    ZEND_ME(SentTaskHandle, __construct, arginfo_construct_sent, ZEND_ACC_PUBLIC)
    ZEND_ME(SentTaskHandle, read, arginfo_read, ZEND_ACC_PUBLIC)
    ZEND_ME(Task, getStream, arginfo_stream, ZEND_ACC_PUBLIC)
    ZEND_ME(SentTaskHandle, abandon, arginfo_abandon, ZEND_ACC_PUBLIC)
    ZEND_FE_END
};

static const zend_function_entry received_methods[] = {
    ZEND_ME(ReceivedTaskHandle, __construct, arginfo_construct, ZEND_ACC_PRIVATE)
    ZEND_ME(ReceivedTaskHandle, getPayload, arginfo_payload, ZEND_ACC_PUBLIC)
    ZEND_ME(ReceivedTaskHandle, update, arginfo_update, ZEND_ACC_PUBLIC)
    ZEND_ME(ReceivedTaskHandle, complete, arginfo_complete, ZEND_ACC_PUBLIC)
    ZEND_ME(Task, getStream, arginfo_stream, ZEND_ACC_PUBLIC)
    ZEND_FE_END
};

static zend_class_entry *register_class(zend_class_entry description)
{
    zend_class_entry *class = zend_register_internal_class(&description);

    class->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
    class->create_object = create;
    return class;
}

/* From MINIT. */
void troupe_objects_register(void)
{
    zend_class_entry description;

    memcpy(&handlers, &std_object_handlers, sizeof(handlers));
    handlers.offset = offsetof(handle, object);
    handlers.free_obj = release;
    handlers.clone_obj = NULL;

    INIT_NS_CLASS_ENTRY(description, "FrankenPHP", "WorkerHandle", worker_methods);
    worker_class = register_class(description);
    INIT_NS_CLASS_ENTRY(description, "FrankenPHP", "SentTaskHandle", sent_methods);
    sent_class = register_class(description);
    INIT_NS_CLASS_ENTRY(description, "FrankenPHP", "ReceivedTaskHandle", received_methods);
    received_class = register_class(description);
}
