/* $_SERVER from what Rust laid out. */
#include "shim.h"

static void put(zval *array, const char *name, size_t name_len, const char *value, size_t value_len)
{
    char *text = (char *)value;
    size_t len = value_len;
    zval entry;

    /* The filter extension wants to see every value, and may change it: it gets a copy of its own. */
    if (sapi_module.input_filter && sapi_module.input_filter != php_default_input_filter) {
        text = estrndup(value, value_len);
        if (!sapi_module.input_filter(PARSE_SERVER, name, &text, value_len, &len)) {
            efree(text);
            return;
        }
    }
    ZVAL_STRINGL_FAST(&entry, text, len);
    zend_symtable_str_update(Z_ARRVAL_P(array), name, name_len, &entry);
    if (text != value) {
        efree(text);
    }
}

static void put_all(zval *array, const troupe_vars *vars)
{
    char name[256];

    for (size_t i = 0; i < vars->count; i++) {
        const troupe_entry *entry = &vars->entries[i];
        /* input_filter and zend_symtable want the name to end with NUL. */
        if (entry->name_len < sizeof(name)) {
            memcpy(name, vars->bytes + entry->name, entry->name_len);
            name[entry->name_len] = '\0';
            put(array, name, entry->name_len, vars->bytes + entry->value, entry->value_len);
        }
    }
}

static void put_worker(zval *array, const troupe_run *run)
{
    bool background = run->kind == TROUPE_RUN_BACKGROUND_WORKER;
    zval value;

    ZVAL_STRING(&value, run->name);
    zend_hash_str_update(Z_ARRVAL_P(array), ZEND_STRL("FRANKENPHP_WORKER_NAME"), &value);
    if (!background && !troupe_self->request) {
        /* How scripts that run both ways know at their start that they are to loop. */
        ZVAL_CHAR(&value, '1');
        zend_hash_str_update(Z_ARRVAL_P(array), ZEND_STRL("FRANKENPHP_WORKER"), &value);
    }
    ZVAL_BOOL(&value, background);
    zend_hash_str_update(Z_ARRVAL_P(array), ZEND_STRL("FRANKENPHP_WORKER_BACKGROUND"), &value);
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
    const troupe_thread *self = troupe_self;

    if (!self || !self->run) {
        return;
    }
    zend_hash_extend(Z_ARRVAL_P(array), 64, 0);
    if (self->run->kind != TROUPE_RUN_REQUEST) {
        put_worker(array, self->run);
        put_all(array, &self->run->vars);
    }
    if (self->request) {
        put_all(array, &self->request->vars);
    }
}
