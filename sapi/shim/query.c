/* $_GET from a query whose names are plain, as nearly all are.
 *
 * PHP's parser copies a query, cuts it, decodes each piece where it lies, copies it again, and registers it twice: for
 * itself and for the filter extension, which hardly a script asks. A name that PHP would spell differently, make an
 * array of or refuse, and a query with more names than it takes, are left to it.
 */
#include "shim.h"

#include <ext/standard/url.h>

#if PHP_VERSION_ID >= 80500
#define SEPARATORS ZSTR_VAL(PG(arg_separator).input)
#else
#define SEPARATORS PG(arg_separator).input
#endif

static zend_auto_global_callback php_create_get;
static bool may_parse;

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Numbers would be integers, and a variable can't be called `this`. */
static bool is_plain_name(const char *name, size_t len)
{
    return len > 0 && *name >= 'A' && !(len == sizeof("this") - 1 && memcmp(name, "this", len) == 0);
}

/* False when something in it is PHP's affair. */
static bool parse(HashTable *array, const char *query)
{
    zend_long count = 0;

    while (*query) {
        const char *name = query, *text;
        size_t name_len, len;
        bool is_encoded = false;
        zval value;

        if (*query == '&') {
            query++;
            continue;
        }
        while (is_plain(*query)) {
            query++;
        }
        name_len = (size_t)(query - name);
        if (!is_plain_name(name, name_len) || ++count > PG(max_input_vars)) {
            return false;
        }
        if (*query == '=') {
            query++;
        } else if (*query && *query != '&') {
            return false;
        }
        for (text = query; *query && *query != '&'; query++) {
            is_encoded |= *query == '%' || *query == '+';
        }
        len = (size_t)(query - text);
        if (is_encoded) {
            ZVAL_STRINGL(&value, text, len);
            Z_STRLEN(value) = php_url_decode(Z_STRVAL(value), len);
        } else {
            ZVAL_STRINGL_FAST(&value, text, len);
        }
        zend_hash_str_update(array, name, name_len, &value);
    }
    return true;
}

static bool create_get(zend_string *name)
{
    troupe_thread *self = troupe_self;
    zval array;

    if (self) {
        self->filter_lacks_query = false; /* what it lacked was of another request */
    }
    if (!self || !self->request || !may_parse || !PG(variables_order) || !strpbrk(PG(variables_order), "Gg") ||
        strcmp(SEPARATORS, "&") != 0) {
        return php_create_get(name);
    }
    array_init(&array);
    if (!parse(Z_ARRVAL(array), self->request->query)) {
        zval_ptr_dtor(&array);
        return php_create_get(name);
    }
    self->filter_lacks_query = true;
    zval_ptr_dtor(&PG(http_globals)[TRACK_VARS_GET]);
    ZVAL_COPY(&PG(http_globals)[TRACK_VARS_GET], &array);
    zend_hash_update(&EG(symbol_table), name, &array);
    return false;
}

/* What the script made of $_GET stays as it is: PHP gets an array of its own. */
void troupe_query_tell_filter(troupe_thread *self)
{
    if (self->filter_lacks_query) {
        self->filter_lacks_query = false;
        sapi_module.treat_data(PARSE_GET, NULL, NULL);
    }
}

void troupe_query_install(void)
{
    zend_auto_global *global = zend_hash_str_find_ptr(CG(auto_globals), ZEND_STRL("_GET"));

    may_parse = !troupe_filter_changes_values && !INI_BOOL("mbstring.encoding_translation");
    php_create_get = global->auto_global_callback;
    global->auto_global_callback = create_get;
}
