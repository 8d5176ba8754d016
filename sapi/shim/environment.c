/* getenv() and putenv() per thread.
 *
 * The process environment is shared by every thread and by libraries that read it without a lock, so a script
 * never writes to it: putenv() goes into a table of its thread, getenv() looks there first. The table lives as
 * long as the script: one request in classic mode, the whole script in worker mode. Between that table and the
 * process come the variables that the configuration gives to a site and to a worker.
 */
#include "shim.h"

extern char **environ;

/* name => value; a null value hides the process's. Persistent memory. */
static _Thread_local HashTable *own;

void troupe_environment_clear(void)
{
    if (own) {
        zend_hash_destroy(own);
        pefree(own, 1);
        own = NULL;
    }
}

static void release_value(zval *value)
{
    if (Z_TYPE_P(value) == IS_STRING) {
        zend_string_release(Z_STR_P(value));
    }
}

static void set(const char *name, size_t name_len, const char *value)
{
    zval entry;

    if (!own) {
        own = pemalloc(sizeof(*own), 1);
        zend_hash_init(own, 8, NULL, release_value, 1);
    }
    if (value) {
        ZVAL_NEW_STR(&entry, zend_string_init(value, strlen(value), 1));
    } else {
        ZVAL_NULL(&entry);
    }
    zend_hash_str_update(own, name, name_len, &entry);
}

static ZEND_FUNCTION(putenv)
{
    char *setting, *equals;
    size_t len;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_STRING(setting, len)
    ZEND_PARSE_PARAMETERS_END();

    if (len == 0 || setting[0] == '=') {
        zend_argument_value_error(1, "must have a valid syntax");
        RETURN_THROWS();
    }
    equals = strchr(setting, '=');
    set(setting, equals ? (size_t)(equals - setting) : len, equals ? equals + 1 : NULL);
    RETURN_TRUE;
}

/* The request's, which knows its site's, before the worker script's. */
static size_t configured(const troupe_vars *found[2])
{
    const troupe_thread *self = troupe_self;
    size_t count = 0;

    if (self && self->request) {
        found[count++] = &self->request->vars;
    }
    if (self && self->run && self->run->kind != TROUPE_RUN_REQUEST) {
        found[count++] = &self->run->vars;
    }
    return count;
}

static const troupe_entry *find_configured(const troupe_vars *vars, const char *name, size_t len)
{
    /* The later of a name wins. */
    for (size_t i = vars->count; i > vars->count - vars->environment; i--) {
        const troupe_entry *entry = &vars->entries[i - 1];
        if (entry->name_len == len && memcmp(vars->bytes + entry->name, name, len) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void list_configured(zval *array)
{
    const troupe_vars *all[2];

    for (size_t which = configured(all); which > 0; which--) {
        const troupe_vars *vars = all[which - 1];
        for (size_t i = vars->count - vars->environment; i < vars->count; i++) {
            const troupe_entry *entry = &vars->entries[i];
            zval text;
            ZVAL_STRINGL(&text, vars->bytes + entry->value, entry->value_len);
            zend_symtable_str_update(Z_ARRVAL_P(array), vars->bytes + entry->name, entry->name_len, &text);
        }
    }
}

static void list_all(zval *array)
{
    zend_string *name;
    zval *value;

    for (char **entry = environ; *entry; entry++) {
        char *equals = strchr(*entry, '=');
        if (equals && equals != *entry) {
            zval text;
            ZVAL_STRING(&text, equals + 1);
            zend_symtable_str_update(Z_ARRVAL_P(array), *entry, (size_t)(equals - *entry), &text);
        }
    }
    list_configured(array);
    if (!own) {
        return;
    }
    ZEND_HASH_FOREACH_STR_KEY_VAL(own, name, value) {
        if (Z_TYPE_P(value) == IS_NULL) {
            zend_symtable_str_del(Z_ARRVAL_P(array), ZSTR_VAL(name), ZSTR_LEN(name));
        } else {
            zval text;
            ZVAL_STRINGL(&text, Z_STRVAL_P(value), Z_STRLEN_P(value));
            zend_symtable_str_update(Z_ARRVAL_P(array), ZSTR_VAL(name), ZSTR_LEN(name), &text);
        }
    } ZEND_HASH_FOREACH_END();
}

static ZEND_FUNCTION(getenv)
{
    char *name = NULL;
    size_t len;
    bool local_only = false;
    zval *mine;
    const char *value;
    const troupe_vars *vars[2];
    size_t count;

    ZEND_PARSE_PARAMETERS_START(0, 2)
        Z_PARAM_OPTIONAL
        Z_PARAM_STRING_OR_NULL(name, len)
        Z_PARAM_BOOL(local_only)
    ZEND_PARSE_PARAMETERS_END();

    if (!name) {
        array_init(return_value);
        list_all(return_value);
        return;
    }
    mine = own ? zend_hash_str_find(own, name, len) : NULL;
    if (mine && Z_TYPE_P(mine) == IS_STRING) {
        RETURN_STRINGL(Z_STRVAL_P(mine), Z_STRLEN_P(mine));
    }
    if (mine) {
        RETURN_FALSE;
    }
    count = configured(vars);
    for (size_t i = 0; i < count; i++) {
        const troupe_entry *entry = find_configured(vars[i], name, len);
        if (entry) {
            RETURN_STRINGL(vars[i]->bytes + entry->value, entry->value_len);
        }
    }
    value = getenv(name);
    if (value) {
        RETURN_STRING(value);
    }
    RETURN_FALSE;
}

void troupe_environment_install(void)
{
    troupe_replace("putenv", ZEND_FN(putenv));
    troupe_replace("getenv", ZEND_FN(getenv));
}
