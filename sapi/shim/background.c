/* The functions of background workers and tasks, as scripts see them. */
#include "shim.h"

#include <ext/spl/spl_exceptions.h>

/* Seconds as a script gives them; negative ones were refused before. */
int64_t troupe_nanoseconds(double seconds)
{
    return seconds >= 9e9 ? TROUPE_FOR_EVER : (int64_t)(seconds * 1e9);
}

/* Throws what a failed answer says. One that is ending throws nothing: the interrupt that follows ends it. */
void troupe_throw(const troupe_answer *answer)
{
    zend_object *exception;

    if (answer->result != TROUPE_FAILED) {
        return;
    }
    zend_string *message = zend_string_init(answer->message.ptr, answer->message.len, 0);
    zend_string *cause = answer->cause.len ? zend_string_init(answer->cause.ptr, answer->cause.len, 0) : NULL;
    exception = zend_throw_exception(spl_ce_RuntimeException, ZSTR_VAL(message), 0);
    if (cause) {
        zval previous, text;
        object_init_ex(&previous, spl_ce_RuntimeException);
        ZVAL_STR_COPY(&text, cause);
        zend_update_property_ex(zend_ce_exception, Z_OBJ(previous), ZSTR_KNOWN(ZEND_STR_MESSAGE), &text);
        zval_ptr_dtor(&text);
        zend_exception_set_previous(exception, Z_OBJ(previous));
        zend_string_release(cause);
    }
    zend_string_release(message);
}

bool troupe_in_background_worker(const char *function)
{
    if (troupe_self && troupe_self->run->kind == TROUPE_RUN_BACKGROUND_WORKER) {
        return true;
    }
    zend_throw_exception_ex(spl_ce_RuntimeException, 0, "%s() can only be called in a background worker", function);
    return false;
}

bool troupe_good_timeout(double timeout, uint32_t argument)
{
    if (timeout >= 0) {
        return true;
    }
    zend_argument_value_error(argument, "must be greater than or equal to 0");
    return false;
}

static bool on_our_thread(void)
{
    if (troupe_self) {
        return true;
    }
    zend_throw_exception(spl_ce_RuntimeException, "background workers are not available during preloading", 0);
    return false;
}

bool troupe_set_vars(zval *vars, uint32_t argument)
{
    const troupe_value *published;
    troupe_answer answer;

    if (!troupe_value_check(vars, argument)) {
        return false;
    }
    troupe_ready();
    published = troupe_rust->published(troupe_self->rust);
    if (published && troupe_value_equals(published, vars)) {
        troupe_rust->confirm_vars(troupe_self->rust);
        return true;
    }
    answer = troupe_rust->set_vars(troupe_self->rust, troupe_value_copy(vars));
    troupe_throw(&answer);
    return answer.result == TROUPE_OK;
}

ZEND_FUNCTION(frankenphp_worker_set_vars)
{
    zval *vars;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ARRAY(vars)
    ZEND_PARSE_PARAMETERS_END();

    if (troupe_in_background_worker("frankenphp_worker_set_vars")) {
        troupe_set_vars(vars, 1);
    }
}

typedef struct seen {
    const troupe_value *value;
    zval copy;
} seen;

static void forget_seen(zval *entry)
{
    seen *seen = Z_PTR_P(entry);
    zval_ptr_dtor(&seen->copy);
    efree(seen);
}

/* What a script is given it may keep: so it gets a copy, one for each snapshot, unless the snapshot stays for as
 * long as the script does. Restoring an enum case may load a class, and so call anything, this too. */
static bool hand_out(zval *to, zend_string *name, troupe_snapshot snapshot)
{
    troupe_thread *self = troupe_self;
    seen *entry;

    if (snapshot.in_place && troupe_value_use(to, snapshot.value)) {
        return true;
    }
    if (!self->seen_vars) {
        ALLOC_HASHTABLE(self->seen_vars);
        zend_hash_init(self->seen_vars, 8, NULL, forget_seen, 0);
    }
    entry = zend_hash_find_ptr(self->seen_vars, name);
    if (!entry || entry->value != snapshot.value) {
        zval copy;
        if (!troupe_value_restore(&copy, snapshot.value)) {
            return false;
        }
        entry = emalloc(sizeof(*entry));
        entry->value = snapshot.value;
        ZVAL_COPY_VALUE(&entry->copy, &copy);
        zend_hash_update_ptr(self->seen_vars, name, entry);
    }
    ZVAL_COPY(to, &entry->copy);
    return true;
}

static void hand_out_all(zval *to, HashTable *names, const troupe_snapshot *snapshots)
{
    zval *name;

    array_init_size(to, zend_hash_num_elements(names));
    ZEND_HASH_FOREACH_VAL(names, name) {
        zval vars;
        ZVAL_DEREF(name);
        if (!hand_out(&vars, Z_STR_P(name), *snapshots++)) {
            return;
        }
        zend_symtable_update(Z_ARRVAL_P(to), Z_STR_P(name), &vars);
    } ZEND_HASH_FOREACH_END();
}

static bool good_names(HashTable *list, zend_string *one)
{
    zval *name;

    if (!list) {
        if (ZSTR_LEN(one) == 0) {
            zend_argument_value_error(1, "must not be empty");
            return false;
        }
        return true;
    }
    if (zend_hash_num_elements(list) == 0) {
        zend_argument_value_error(1, "must name at least one worker");
        return false;
    }
    ZEND_HASH_FOREACH_VAL(list, name) {
        ZVAL_DEREF(name);
        if (Z_TYPE_P(name) != IS_STRING) {
            zend_argument_type_error(1, "must be a list of strings, %s in it", zend_zval_type_name(name));
            return false;
        }
        if (Z_STRLEN_P(name) == 0) {
            zend_argument_value_error(1, "must not have an empty name in it");
            return false;
        }
    } ZEND_HASH_FOREACH_END();
    return true;
}

/* Of the names in `list`, else of `one`. */
static void get_vars(zval *to, HashTable *list, zend_string *one, double timeout)
{
    troupe_thread *self = troupe_self;
    uint32_t count = list ? zend_hash_num_elements(list) : 1, at = 0;
    troupe_bytes *names = safe_emalloc(count, sizeof(*names), 0);
    troupe_snapshot *snapshots = safe_emalloc(count, sizeof(*snapshots), 0);
    troupe_answer answer;
    zval *name;

    if (list) {
        ZEND_HASH_FOREACH_VAL(list, name) {
            ZVAL_DEREF(name);
            names[at++] = troupe_text(Z_STR_P(name));
        } ZEND_HASH_FOREACH_END();
    } else {
        names[0] = troupe_text(one);
    }
    answer = troupe_rust->get_vars(self->rust, names, count, troupe_nanoseconds(timeout), self->handing_out > 0,
                                   snapshots);
    efree(names);
    ZVAL_EMPTY_ARRAY(to);
    if (answer.result != TROUPE_OK) {
        troupe_throw(&answer);
    } else {
        self->handing_out++;
        if (list) {
            hand_out_all(to, list, snapshots);
        } else {
            hand_out(to, one, snapshots[0]);
        }
        self->handing_out--;
    }
    efree(snapshots);
}

ZEND_FUNCTION(frankenphp_worker_get_vars)
{
    zend_string *one = NULL;
    HashTable *list = NULL;
    double timeout = 30.0;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_ARRAY_HT_OR_STR(list, one)
        Z_PARAM_OPTIONAL
        Z_PARAM_DOUBLE(timeout)
    ZEND_PARSE_PARAMETERS_END();

    if (!good_names(list, one) || !troupe_good_timeout(timeout, 2) || !on_our_thread()) {
        RETURN_THROWS();
    }
    get_vars(return_value, list, one, timeout);
}

ZEND_FUNCTION(frankenphp_get_vars)
{
    zend_string *name;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_STR(name)
    ZEND_PARSE_PARAMETERS_END();

    if (!good_names(NULL, name) || !on_our_thread()) {
        RETURN_THROWS();
    }
    get_vars(return_value, NULL, name, 30.0);
}

ZEND_FUNCTION(frankenphp_worker_get_signaling_stream)
{
    ZEND_PARSE_PARAMETERS_NONE();

    if (!troupe_in_background_worker("frankenphp_worker_get_signaling_stream")) {
        RETURN_THROWS();
    }
    troupe_ready();
    troupe_stream_open(return_value, TROUPE_SIGNALS, NULL);
}

ZEND_FUNCTION(frankenphp_get_worker_handle)
{
    ZEND_PARSE_PARAMETERS_NONE();

    if (!troupe_in_background_worker("frankenphp_get_worker_handle")) {
        RETURN_THROWS();
    }
    troupe_ready();
    troupe_stream_open(return_value, TROUPE_STOP, NULL);
}

bool troupe_send(zval *stream, zend_string *worker, zval *payload, int64_t wait, bool until_taken)
{
    void *task;
    troupe_answer answer;

    if (ZSTR_LEN(worker) == 0) {
        zend_argument_value_error(1, "must not be empty");
        return false;
    }
    if (!troupe_value_check(payload, 2) || !on_our_thread()) {
        return false;
    }
    answer = troupe_rust->send_task(troupe_self->rust, troupe_text(worker), troupe_value_copy(payload), wait,
                                    until_taken, &task);
    if (answer.result != TROUPE_OK) {
        troupe_throw(&answer);
        return false;
    }
    troupe_stream_open(stream, TROUPE_SENT_TASK, task);
    return true;
}

ZEND_FUNCTION(frankenphp_worker_task_send)
{
    zend_string *name;
    zval *payload;
    double timeout = 30.0;

    ZEND_PARSE_PARAMETERS_START(2, 3)
        Z_PARAM_STR(name)
        Z_PARAM_ARRAY(payload)
        Z_PARAM_OPTIONAL
        Z_PARAM_DOUBLE(timeout)
    ZEND_PARSE_PARAMETERS_END();

    if (troupe_good_timeout(timeout, 3)) {
        troupe_send(return_value, name, payload, troupe_nanoseconds(timeout), false);
    }
}

/* Takes over `value`. */
static bool restore(zval *to, troupe_value *value)
{
    volatile bool whole = false;

    zend_try {
        whole = troupe_value_restore(to, value);
    } zend_catch {
        troupe_value_free(value);
        zend_bailout();
    } zend_end_try();
    troupe_value_free(value);
    return whole;
}

/* `update` is null once the task is complete. */
void troupe_read(zval *update, troupe_stream *stream)
{
    troupe_value *value;
    int64_t wait = stream->blocking ? stream->timeout : TROUPE_NO_WAIT;
    troupe_answer answer = troupe_rust->read_task(troupe_self->rust, stream->task, wait, &value);

    ZVAL_NULL(update);
    stream->timed_out = false;
    if (answer.result == TROUPE_OK) {
        restore(update, value);
    } else if (answer.result == TROUPE_FAILED) {
        stream->timed_out = stream->blocking && wait >= 0;
        troupe_throw(&answer);
    }
}

ZEND_FUNCTION(frankenphp_worker_task_read)
{
    zval *resource;
    troupe_stream *stream;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ZVAL(resource)
    ZEND_PARSE_PARAMETERS_END();

    stream = troupe_stream_of(resource, TROUPE_SENT_TASK, 1);
    if (stream) {
        troupe_read(return_value, stream);
    }
}

/* False when there is no task, or with an exception. */
bool troupe_receive(zval *stream, zval *payload)
{
    troupe_value *value;
    void *task;
    troupe_answer answer;

    troupe_ready();
    answer = troupe_rust->receive_task(troupe_self->rust, &value, &task);
    if (answer.result != TROUPE_OK) {
        troupe_throw(&answer);
        return false;
    }
    troupe_stream_open(stream, TROUPE_RECEIVED_TASK, task);
    if (!restore(payload, value)) {
        zval_ptr_dtor(stream);
        return false;
    }
    return true;
}

ZEND_FUNCTION(frankenphp_worker_task_receive)
{
    zval stream, payload;

    ZEND_PARSE_PARAMETERS_NONE();

    if (troupe_in_background_worker("frankenphp_worker_task_receive") && troupe_receive(&stream, &payload)) {
        array_init_size(return_value, 2);
        add_next_index_zval(return_value, &stream);
        add_next_index_zval(return_value, &payload);
    }
}

bool troupe_update(troupe_stream *stream, zval *data, uint32_t argument)
{
    troupe_answer answer;

    if (!troupe_value_check(data, argument)) {
        return false;
    }
    answer = troupe_rust->update_task(troupe_self->rust, stream->task, troupe_value_copy(data));
    troupe_throw(&answer);
    return answer.result == TROUPE_OK;
}

ZEND_FUNCTION(frankenphp_worker_task_update)
{
    zval *resource, *data;
    troupe_stream *stream;

    ZEND_PARSE_PARAMETERS_START(2, 2)
        Z_PARAM_ZVAL(resource)
        Z_PARAM_ARRAY(data)
    ZEND_PARSE_PARAMETERS_END();

    if (!troupe_in_background_worker("frankenphp_worker_task_update")) {
        RETURN_THROWS();
    }
    stream = troupe_stream_of(resource, TROUPE_RECEIVED_TASK, 1);
    if (stream) {
        troupe_update(stream, data, 2);
    }
}
