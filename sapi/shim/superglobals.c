/* The superglobals of a worker script's requests: each finds its own. */
#include "shim.h"

#define NOWHERE (-1)

/* Those of a request, and where PHP keeps what it made of each. */
static struct superglobal {
    const char *literal;
    int track;
    zend_string *name;
} superglobals[] = {
    {"_GET", TRACK_VARS_GET, NULL},       {"_POST", TRACK_VARS_POST, NULL},   {"_COOKIE", TRACK_VARS_COOKIE, NULL},
    {"_SERVER", TRACK_VARS_SERVER, NULL}, {"_FILES", TRACK_VARS_FILES, NULL}, {"_REQUEST", NOWHERE, NULL},
};

#define COUNT (sizeof(superglobals) / sizeof(*superglobals))

void troupe_superglobals_install(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        const char *name = superglobals[i].literal;
        const zend_auto_global *global = zend_hash_str_find_ptr(CG(auto_globals), name, strlen(name));
        superglobals[i].name = global->name;
    }
}

/* Gives PHP and scripts the array that nobody owns: whoever writes to it gets one of their own. */
static void put_empty(const zend_auto_global *global, int track)
{
    zval empty;

    ZVAL_EMPTY_ARRAY(&PG(http_globals)[track]);
    ZVAL_EMPTY_ARRAY(&empty);
    zend_hash_update(&EG(symbol_table), global->name, &empty);
}

void troupe_superglobals_fill(void)
{
    bool is_post = !strcasecmp(SG(request_info).request_method, "POST");
    zend_auto_global *global;

    for (size_t i = 0; i < COUNT; i++) {
        if (superglobals[i].track != NOWHERE) {
            zval *made = &PG(http_globals)[superglobals[i].track];
            zval_ptr_dtor(made);
            ZVAL_UNDEF(made);
        }
    }
    ZEND_HASH_MAP_FOREACH_PTR(CG(auto_globals), global) {
        if (!global->auto_global_callback || global->armed || zend_string_equals_literal(global->name, "_ENV")) {
            /* Armed: PHP fills it just in time, and no code that names it has been loaded yet. Where some has, it is
             * not looked at again. */
        } else if (!is_post && zend_string_equals_literal(global->name, "_POST")) {
            put_empty(global, TRACK_VARS_POST);
        } else if (!is_post && zend_string_equals_literal(global->name, "_FILES")) {
            put_empty(global, TRACK_VARS_FILES);
        } else if (!SG(request_info).cookie_data && zend_string_equals_literal(global->name, "_COOKIE")) {
            put_empty(global, TRACK_VARS_COOKIE);
        } else {
            global->armed = global->auto_global_callback(global->name);
        }
    } ZEND_HASH_FOREACH_END();
    zend_hash_str_del(&EG(symbol_table), ZEND_STRL("_SESSION")); /* what the script had of its own */
}

void troupe_superglobals_restore(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        const struct superglobal *super = &superglobals[i];
        zval *global = zend_hash_find_known_hash(&EG(symbol_table), super->name);
        zval *made = super->track == NOWHERE ? NULL : &PG(http_globals)[super->track];

        if (global && !(made && Z_TYPE_P(global) == IS_ARRAY && Z_ARR_P(global) == Z_ARR_P(made))) {
            zval old = *global;
            if (made && Z_TYPE_P(made) == IS_ARRAY) {
                ZVAL_COPY(global, made);
            } else {
                ZVAL_EMPTY_ARRAY(global);
            }
            zval_ptr_dtor(&old);
        }
    }
    zend_hash_str_del(&EG(symbol_table), ZEND_STRL("_SESSION"));
}
