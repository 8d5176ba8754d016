/* $_SERVER from what Rust laid out, and what filter_input(INPUT_SERVER) finds.
 *
 * Names that nearly every request has are strings made once, with their hash. The filter extension keeps what was sent
 * apart from what scripts may have changed, and would get every value of every request for that; hardly a script asks
 * it for one, so it gets them when one does. Only where filter.default changes values do they all pass through it.
 */
#include "shim.h"

static zend_string **known;
static zend_string *worker_name, *worker_background, *worker_boots;
static bool is_filtered;
static zif_handler php_filter_input, php_filter_input_array, php_filter_has_var;

troupe_bytes troupe_server_var_name(const troupe_vars *vars, const troupe_entry *entry)
{
    return entry->name_len == 0 ? troupe_text(known[entry->name])
                                : (troupe_bytes){vars->bytes + entry->name, entry->name_len};
}

static void put(HashTable *array, const troupe_vars *vars, const troupe_entry *entry)
{
    zval value;

    ZVAL_STRINGL_FAST(&value, vars->bytes + entry->value, entry->value_len);
    if (entry->name_len == 0) {
        zend_hash_update(array, known[entry->name], &value);
    } else {
        zend_string *name = zend_string_init(vars->bytes + entry->name, entry->name_len, 0);
        zend_symtable_update(array, name, &value);
        zend_string_release(name);
    }
}

/* The extension puts the value into PHP's array as well as its own. */
static void put_filtered(const troupe_vars *vars, const troupe_entry *entry)
{
    char *value = estrndup(vars->bytes + entry->value, entry->value_len);
    troupe_bytes name = troupe_server_var_name(vars, entry);
    char *terminated = estrndup(name.ptr, name.len);
    size_t len;

    sapi_module.input_filter(PARSE_SERVER, terminated, &value, entry->value_len, &len);
    efree(terminated);
    efree(value);
}

static void put_all(zval *array, const troupe_vars *vars, bool filtered)
{
    for (size_t i = 0; i < vars->count; i++) {
        if (filtered) {
            put_filtered(vars, &vars->entries[i]);
        } else {
            put(Z_ARRVAL_P(array), vars, &vars->entries[i]);
        }
    }
}

static void put_worker(zval *array, const troupe_run *run)
{
    bool background = run->kind == TROUPE_RUN_BACKGROUND_WORKER;
    zval value;

    ZVAL_STRING(&value, run->name);
    zend_hash_update(Z_ARRVAL_P(array), worker_name, &value);
    if (!background && !troupe_self->request) {
        /* How scripts that run both ways know at their start that they are to loop. */
        ZVAL_CHAR(&value, '1');
        zend_hash_update(Z_ARRVAL_P(array), worker_boots, &value);
    }
    ZVAL_BOOL(&value, background);
    zend_hash_update(Z_ARRVAL_P(array), worker_background, &value);
    if (background) {
        zval argv;
        array_init_size(&argv, 2);
        add_next_index_string(&argv, run->script);
        add_next_index_string(&argv, run->name);
        zend_hash_update(Z_ARRVAL_P(array), ZSTR_KNOWN(ZEND_STR_ARGV), &argv);
        ZVAL_LONG(&value, 2);
        zend_hash_update(Z_ARRVAL_P(array), ZSTR_KNOWN(ZEND_STR_ARGC), &value);
    }
}

void troupe_register_server_variables(zval *array)
{
    troupe_thread *self = troupe_self;

    if (!self || !self->run) {
        return;
    }
    self->filter_knows = is_filtered;
    zend_hash_extend(Z_ARRVAL_P(array), 64, 0);
    if (self->run->kind != TROUPE_RUN_REQUEST) {
        put_worker(array, self->run);
        put_all(array, &self->run->vars, is_filtered);
    }
    if (self->request) {
        put_all(array, &self->request->vars, is_filtered);
    }
}

/* A script is about to ask the extension. Scripts that changed $_SERVER have a copy of their own, the others find the
 * values that are there already. */
static void tell_filter(zend_execute_data *execute_data)
{
    troupe_thread *self = troupe_self;
    bool may_be_server = ZEND_NUM_ARGS() > 0 && !(Z_TYPE_P(ZEND_CALL_ARG(execute_data, 1)) == IS_LONG &&
                                                  Z_LVAL_P(ZEND_CALL_ARG(execute_data, 1)) != PARSE_SERVER);

    if (!may_be_server || !self || !self->run) {
        return;
    }
    zend_is_auto_global(ZSTR_KNOWN(ZEND_STR_AUTOGLOBAL_SERVER));
    if (self->filter_knows) {
        return;
    }
    self->filter_knows = true;
    if (self->run->kind != TROUPE_RUN_REQUEST) {
        put_all(NULL, &self->run->vars, true);
    }
    if (self->request) {
        put_all(NULL, &self->request->vars, true);
    }
}

static ZEND_FUNCTION(filter_input)
{
    tell_filter(execute_data);
    php_filter_input(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

static ZEND_FUNCTION(filter_input_array)
{
    tell_filter(execute_data);
    php_filter_input_array(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

static ZEND_FUNCTION(filter_has_var)
{
    tell_filter(execute_data);
    php_filter_has_var(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

static void watch(const char *name, zif_handler handler, zif_handler *php)
{
    zend_internal_function *function = troupe_internal_function(name);

    if (function) {
        *php = function->handler;
        function->handler = handler;
    }
}

/* Not in OPcache's memory, where it would be lost with a restart. */
static zend_string *permanent(const char *text, size_t len)
{
    zend_string *string = zend_string_init(text, len, 1);

    zend_string_hash_val(string);
    GC_ADD_FLAGS(string, IS_STR_INTERNED | IS_STR_PERMANENT);
    return string;
}

void troupe_server_vars_install(const troupe_bytes *names, size_t count)
{
    const char *filter_default = zend_ini_string(ZEND_STRL("filter.default"), 0);

    known = pemalloc(count * sizeof(*known), 1);
    for (size_t i = 0; i < count; i++) {
        known[i] = permanent(names[i].ptr, names[i].len);
    }
    worker_name = permanent(ZEND_STRL("FRANKENPHP_WORKER_NAME"));
    worker_background = permanent(ZEND_STRL("FRANKENPHP_WORKER_BACKGROUND"));
    worker_boots = permanent(ZEND_STRL("FRANKENPHP_WORKER"));
    /* Scripts can't change it. */
    is_filtered = filter_default && *filter_default && strcasecmp(filter_default, "unsafe_raw") != 0;
    watch("filter_input", ZEND_FN(filter_input), &php_filter_input);
    watch("filter_input_array", ZEND_FN(filter_input_array), &php_filter_input_array);
    watch("filter_has_var", ZEND_FN(filter_has_var), &php_filter_has_var);
}
