/* $_SERVER from what Rust laid out, and what filter_input(INPUT_SERVER) finds.
 *
 * Names that nearly every request has are strings made once, with their hash. The filter extension keeps what was sent
 * apart from what scripts may have changed, and would get every value of every request for that; hardly a script asks
 * it for one, so it gets them when one does. Only where filter.default changes values do they all pass through it.
 */
#include "shim.h"

static zend_string **known;
static size_t known_count;
static zend_string *worker_name, *worker_background, *worker_boots;
static zend_string *time_of_request, *float_time_of_request, *proxy;
bool troupe_filter_changes_values;
static zend_auto_global_callback php_create_server;
static zif_handler php_filter_input, php_filter_input_array, php_filter_has_var;

troupe_bytes troupe_server_var_name(const troupe_vars *vars, const troupe_entry *entry)
{
    return entry->name_len == 0 ? troupe_text(known[entry->name])
                                : (troupe_bytes){vars->bytes + entry->name, entry->name_len};
}

static bool is_text(const zval *value, const char *text, size_t len)
{
    return Z_TYPE_P(value) == IS_STRING && zend_string_equals_cstr(Z_STR_P(value), text, len);
}

static zend_never_inline zend_string *new_text(const char *text, size_t len)
{
    zval value;

    ZVAL_STRINGL_FAST(&value, text, len);
    return Z_STR(value);
}

static zend_never_inline zval *put_other(HashTable *array, const troupe_vars *vars, const troupe_entry *entry)
{
    zend_string *name = zend_string_init(vars->bytes + entry->name, entry->name_len, 0);
    zval value, *put;

    ZVAL_STR(&value, new_text(vars->bytes + entry->value, entry->value_len));
    put = zend_symtable_update(array, name, &value);
    zend_string_release(name);
    return put;
}

/* `last` is an array with texts that this one's is likely to be among; or there is none. */
static zval *put_known(HashTable *array, const troupe_vars *vars, const troupe_entry *entry, const HashTable *last)
{
    const char *text = vars->bytes + entry->value;
    zval *before = last ? zend_hash_find_known_hash(last, known[entry->name]) : NULL;
    zval value;

    if (before && is_text(before, text, entry->value_len)) {
        ZVAL_COPY(&value, before);
    } else {
        ZVAL_STR(&value, new_text(text, entry->value_len));
    }
    return zend_hash_update(array, known[entry->name], &value);
}

/* The extension puts the value into PHP's array as well as its own, if there is PHP's. */
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

static void put_all_filtered(const troupe_vars *vars)
{
    for (size_t i = 0; i < vars->count; i++) {
        put_filtered(vars, &vars->entries[i]);
    }
}

/* `slots`, if there are any, are told where in the array each entry is. */
static void put_all(HashTable *array, const troupe_vars *vars, const HashTable *last, uint32_t *slots)
{
    if (troupe_filter_changes_values) {
        put_all_filtered(vars);
        return;
    }
    for (size_t i = 0; i < vars->count; i++) {
        const troupe_entry *entry = &vars->entries[i];
        zval *put = entry->name_len == 0 ? put_known(array, vars, entry, last) : put_other(array, vars, entry);

        if (slots) {
            slots[i] = (uint32_t)((Bucket *)put - array->arData);
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

static void put_what_there_is(troupe_thread *self, zval *array, const HashTable *last, uint32_t *slots)
{
    self->filter_knows = troupe_filter_changes_values;
    if (self->run->kind != TROUPE_RUN_REQUEST) {
        put_worker(array, self->run);
        put_all(Z_ARRVAL_P(array), &self->run->vars, NULL, NULL);
    }
    if (self->request) {
        put_all(Z_ARRVAL_P(array), &self->request->vars, last, slots);
    }
}

void troupe_register_server_variables(zval *array)
{
    troupe_thread *self = troupe_self;

    if (self && self->run) {
        put_what_there_is(self, array, NULL, NULL);
    }
}

void troupe_server_vars_loop_ends(troupe_thread *self)
{
    if (self->last_server.array) {
        zend_array_release(self->last_server.array);
        efree(self->last_server.slots);
        self->last_server = (troupe_last_server){0};
    }
}

/* PHP has more to say of these: who logged in, the arguments of a command, what it advises against. */
static bool is_plain(const troupe_thread *self)
{
    bool has_argv = SG(request_info).argc || (PHP_VERSION_ID >= 80500 && PG(register_argc_argv));
    bool has_user = SG(request_info).auth_user || SG(request_info).auth_password || SG(request_info).auth_digest;

    return self && self->run && !troupe_filter_changes_values && !has_argv && !has_user && PG(variables_order) &&
           strpbrk(PG(variables_order), "Ss");
}

static bool is_named(const Bucket *bucket, const troupe_vars *vars, const troupe_entry *entry)
{
    if (entry->name_len == 0) {
        return bucket->key == known[entry->name];
    }
    return bucket->key && zend_string_equals_cstr(bucket->key, vars->bytes + entry->name, entry->name_len);
}

/* A worker's last array becomes this request's when it has the same names and no script has kept it: most values
 * are the same from request to request. False when it can't; values that were put then don't matter. */
static bool take_last(troupe_thread *self, zend_string *name, zval *array)
{
    const troupe_last_server *last = &self->last_server;
    const troupe_vars *vars = &self->request->vars;
    zval *global = zend_hash_find_known_hash(&EG(symbol_table), name);

    if (!last->array || last->count != vars->count) {
        return false;
    }
    if (global && Z_TYPE_P(global) == IS_ARRAY && Z_ARR_P(global) == last->array) {
        GC_DELREF(last->array);
        ZVAL_EMPTY_ARRAY(global);
    }
    if (GC_REFCOUNT(last->array) > 1) {
        return false;
    }
    for (size_t i = 0; i < vars->count; i++) {
        const troupe_entry *entry = &vars->entries[i];
        Bucket *bucket = &last->array->arData[last->slots[i]];
        const char *text = vars->bytes + entry->value;

        if (!is_named(bucket, vars, entry) || Z_TYPE(bucket->val) != IS_STRING) {
            return false;
        }
        if (!is_text(&bucket->val, text, entry->value_len)) {
            zend_string *value = new_text(text, entry->value_len); /* may bail out */
            zend_string_release(Z_STR(bucket->val));
            ZVAL_STR(&bucket->val, value);
        }
    }
    GC_ADDREF(last->array);
    ZVAL_ARR(array, last->array);
    return true;
}

/* Makes an array of the right size and with names that are known. A worker keeps it for its next request. */
static void make_array(troupe_thread *self, zval *array)
{
    troupe_last_server *last = &self->last_server;
    bool is_kept = self->kept && self->request;
    size_t count = self->request ? self->request->vars.count : 0;
    uint32_t *slots = is_kept ? safe_emalloc(count, sizeof(*slots), 0) : NULL;

    array_init_size(array, (uint32_t)(self->run->vars.count + count) + 8);
    zend_hash_real_init_mixed(Z_ARRVAL_P(array));
    put_what_there_is(self, array, last->array, slots);
    if (is_kept) {
        troupe_server_vars_loop_ends(self);
        Z_ADDREF_P(array);
        *last = (troupe_last_server){Z_ARR_P(array), slots, count};
    }
}

/* What PHP's own callback makes of a plain request. */
static bool create_server(zend_string *name)
{
    troupe_thread *self = troupe_self;
    zval *kept = &PG(http_globals)[TRACK_VARS_SERVER], array, value;

    if (self) {
        self->filter_knows = false;
    }
    if (!is_plain(self)) {
        return php_create_server(name);
    }
    if (!self->request || !take_last(self, name, &array)) {
        make_array(self, &array);
    }
    ZVAL_DOUBLE(&value, sapi_get_request_time());
    zend_hash_update(Z_ARRVAL(array), float_time_of_request, &value);
    ZVAL_LONG(&value, zend_dval_to_lval(Z_DVAL(value)));
    zend_hash_update(Z_ARRVAL(array), time_of_request, &value);
    if (PG(register_argc_argv)) {
        php_build_argv(SG(request_info).query_string, &array);
    }
    if (UNEXPECTED(zend_hash_find_known_hash(Z_ARRVAL(array), proxy))) {
        /* PHP trusts the process's own only. */
        zval_ptr_dtor(&array);
        return php_create_server(name);
    }
    zval_ptr_dtor(kept);
    ZVAL_COPY_VALUE(kept, &array);
    Z_ADDREF(array);
    zend_hash_update(&EG(symbol_table), name, &array);
    return false;
}

static bool may_ask_for(zend_execute_data *execute_data, zend_long source)
{
    zval *asked = ZEND_CALL_ARG(execute_data, 1);

    return ZEND_NUM_ARGS() > 0 && (Z_TYPE_P(asked) != IS_LONG || Z_LVAL_P(asked) == source);
}

/* A script is about to ask the extension, for which PHP's array is put away: scripts have it, and the extension would
 * spell names in its own way and write over what PHP itself has put there. */
static void tell_filter(zend_execute_data *execute_data)
{
    troupe_thread *self = troupe_self;
    zval server;

    if (!self || !self->run) {
        return;
    }
    if (may_ask_for(execute_data, PARSE_GET)) {
        troupe_query_tell_filter(self);
    }
    if (!may_ask_for(execute_data, PARSE_SERVER)) {
        return;
    }
    zend_is_auto_global(ZSTR_KNOWN(ZEND_STR_AUTOGLOBAL_SERVER));
    if (self->filter_knows) {
        return;
    }
    self->filter_knows = true;
    server = PG(http_globals)[TRACK_VARS_SERVER];
    ZVAL_UNDEF(&PG(http_globals)[TRACK_VARS_SERVER]);
    if (self->run->kind != TROUPE_RUN_REQUEST) {
        put_all_filtered(&self->run->vars);
    }
    if (self->request) {
        put_all_filtered(&self->request->vars);
    }
    PG(http_globals)[TRACK_VARS_SERVER] = server;
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
    zend_auto_global *global = zend_hash_find_ptr(CG(auto_globals), ZSTR_KNOWN(ZEND_STR_AUTOGLOBAL_SERVER));

    known_count = count;
    known = pemalloc(count * sizeof(*known), 1);
    for (size_t i = 0; i < count; i++) {
        known[i] = permanent(names[i].ptr, names[i].len);
    }
    worker_name = permanent(ZEND_STRL("FRANKENPHP_WORKER_NAME"));
    worker_background = permanent(ZEND_STRL("FRANKENPHP_WORKER_BACKGROUND"));
    worker_boots = permanent(ZEND_STRL("FRANKENPHP_WORKER"));
    time_of_request = permanent(ZEND_STRL("REQUEST_TIME"));
    float_time_of_request = permanent(ZEND_STRL("REQUEST_TIME_FLOAT"));
    proxy = permanent(ZEND_STRL("HTTP_PROXY"));
    /* Scripts can't change it. */
    troupe_filter_changes_values = filter_default && *filter_default && strcasecmp(filter_default, "unsafe_raw") != 0;
    php_create_server = global->auto_global_callback;
    global->auto_global_callback = create_server;
    troupe_wrap("filter_input", ZEND_FN(filter_input), &php_filter_input);
    troupe_wrap("filter_input_array", ZEND_FN(filter_input_array), &php_filter_input_array);
    troupe_wrap("filter_has_var", ZEND_FN(filter_has_var), &php_filter_has_var);
}
