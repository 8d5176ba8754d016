/* The module: the functions and constants that scripts see. */
#include "shim.h"

#include <ext/json/php_json.h>
#include <ext/spl/spl_exceptions.h>
#include <zend_smart_str.h>

void troupe_ready(void)
{
    if (!troupe_self->ready) {
        troupe_self->ready = true;
        troupe_rust->script_ready(troupe_self->rust);
    }
}

zend_internal_function *troupe_internal_function(const char *name)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

    return function && function->type == ZEND_INTERNAL_FUNCTION ? &function->internal_function : NULL;
}

/* From MINIT only: later every thread has a function table of its own. */
void troupe_replace(const char *name, zif_handler handler)
{
    zend_internal_function *function = troupe_internal_function(name);

    if (function) {
        function->handler = handler;
    }
}

void troupe_wrap(const char *name, zif_handler handler, zif_handler *before)
{
    zend_internal_function *function = troupe_internal_function(name);

    if (function) {
        *before = function->handler;
        function->handler = handler;
    }
}

void troupe_call(const char *name, zval *result, uint32_t count, zval *arguments)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

    ZVAL_NULL(result);
    if (function) {
        zend_call_known_function(function, NULL, NULL, result, count, arguments, NULL);
    }
}

zend_module_entry *troupe_module_of(const char *extension)
{
    return zend_hash_str_find_ptr(&module_registry, extension, strlen(extension));
}

void troupe_begin_request_of(zend_module_entry *module)
{
    if (module && module->request_startup_func) {
        module->request_startup_func(module->type, module->module_number);
    }
}

void troupe_end_request_of(zend_module_entry *module)
{
    if (module && module->request_shutdown_func) {
        module->request_shutdown_func(module->type, module->module_number);
    }
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_handle_request, 0, 1, _IS_BOOL, 0)
    ZEND_ARG_TYPE_INFO(0, callback, IS_CALLABLE, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_finish_request, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_headers, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_headers_send, 0, 0, IS_LONG, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, status, IS_LONG, 0, "200")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_log, 0, 1, IS_VOID, 0)
    ZEND_ARG_TYPE_INFO(0, message, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, level, IS_LONG, 0, "0")
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, context, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_set_vars, 0, 1, IS_VOID, 0)
    ZEND_ARG_TYPE_INFO(0, vars, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_get_vars, 0, 1, IS_ARRAY, 0)
    ZEND_ARG_TYPE_MASK(0, name, MAY_BE_STRING | MAY_BE_ARRAY, NULL)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 0, "30.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_get_vars_of_one, 0, 1, IS_ARRAY, 0)
    ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_signaling_stream, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_task_send, 0, 0, 2)
    ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
    ZEND_ARG_TYPE_INFO(0, payload, IS_ARRAY, 0)
    ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 0, "30.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_task_read, 0, 1, IS_ARRAY, 1)
    ZEND_ARG_INFO(0, stream)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_task_receive, 0, 0, IS_ARRAY, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_task_update, 0, 2, IS_VOID, 0)
    ZEND_ARG_INFO(0, stream)
    ZEND_ARG_TYPE_INFO(0, data, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

static ZEND_FUNCTION(frankenphp_finish_request)
{
    ZEND_PARSE_PARAMETERS_NONE();

    if (!troupe_self || !troupe_self->request) {
        RETURN_FALSE;
    }
    php_output_end_all();
    php_header();
    RETURN_BOOL(troupe_rust->finish_request(troupe_self->rust));
}

/* HTTP_ACCEPT_LANGUAGE => Accept-Language */
static void add_header(zval *array, const char *name, size_t len, const char *value, size_t value_len)
{
    zend_string *header = zend_string_alloc(len, 0);
    bool first = true;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        ZSTR_VAL(header)[i] = c == '_' ? '-' : (char)(first ? toupper(c) : tolower(c));
        first = c == '_';
    }
    ZSTR_VAL(header)[len] = '\0';
    add_assoc_stringl_ex(array, ZSTR_VAL(header), len, value, value_len);
    zend_string_release(header);
}

static bool is(troupe_bytes name, const char *other)
{
    return name.len == strlen(other) && memcmp(name.ptr, other, name.len) == 0;
}

static ZEND_FUNCTION(frankenphp_request_headers)
{
    const troupe_vars *vars;

    ZEND_PARSE_PARAMETERS_NONE();

    array_init(return_value);
    if (!troupe_self || !troupe_self->request) {
        return;
    }
    vars = &troupe_self->request->vars;
    for (size_t i = 0; i < vars->count; i++) {
        const troupe_entry *entry = &vars->entries[i];
        const troupe_bytes name = troupe_server_var_name(vars, entry);
        const char *value = vars->bytes + entry->value;
        if (name.len > 5 && memcmp(name.ptr, "HTTP_", 5) == 0) {
            add_header(return_value, name.ptr + 5, name.len - 5, value, entry->value_len);
        } else if (is(name, "CONTENT_TYPE") || is(name, "CONTENT_LENGTH")) {
            add_header(return_value, name.ptr, name.len, value, entry->value_len);
        }
    }
}

static void list_headers(const troupe_header *list, size_t count, void *array)
{
    for (size_t i = 0; i < count; i++) {
        const troupe_header *header = &list[i];
        zval *earlier = zend_symtable_str_find(Z_ARRVAL_P((zval *)array), header->name.ptr, header->name.len);
        zval value;
        if (earlier && Z_TYPE_P(earlier) == IS_STRING) {
            ZVAL_STR(&value, zend_string_concat3(Z_STRVAL_P(earlier), Z_STRLEN_P(earlier), ", ", 2,
                                                 header->value.ptr, header->value.len));
        } else {
            ZVAL_STRINGL(&value, header->value.ptr, header->value.len);
        }
        zend_symtable_str_update(Z_ARRVAL_P((zval *)array), header->name.ptr, header->name.len, &value);
    }
}

static ZEND_FUNCTION(frankenphp_response_headers)
{
    ZEND_PARSE_PARAMETERS_NONE();

    array_init(return_value);
    troupe_with_headers(&SG(sapi_headers), list_headers, return_value);
}

static void send_informational(const troupe_header *list, size_t count, void *status)
{
    troupe_rust->inform(troupe_self->rust, *(int *)status, list, count);
}

static ZEND_FUNCTION(headers_send)
{
    zend_long given = 200;
    int status;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(given)
    ZEND_PARSE_PARAMETERS_END();

    if (given < 100 || given > 999) {
        zend_argument_value_error(1, "must be between 100 and 999");
        RETURN_THROWS();
    }
    if (!troupe_self || !troupe_self->request || SG(headers_sent)) {
        RETURN_LONG(SG(sapi_headers).http_response_code);
    }
    status = (int)given;
    if (status < 200) {
        troupe_with_headers(&SG(sapi_headers), send_informational, &status);
        /* Not sapi_flush(), which would send the head of the response as well. */
        if (troupe_rust->flush(troupe_self->rust) == TROUPE_IO_GONE) {
            php_handle_aborted_connection();
        }
    } else {
        if (ZEND_NUM_ARGS() > 0) {
            SG(sapi_headers).http_response_code = status;
        }
        sapi_send_headers();
        sapi_flush();
        status = SG(sapi_headers).http_response_code;
    }
    RETURN_LONG(status);
}

static ZEND_FUNCTION(frankenphp_log)
{
    zend_string *message;
    zend_long level = 0;
    HashTable *context = NULL;
    smart_str json = {0};

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_STR(message)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(level)
        Z_PARAM_ARRAY_HT(context)
    ZEND_PARSE_PARAMETERS_END();

    if (context && zend_hash_num_elements(context) > 0) {
        zval array;
        ZVAL_ARR(&array, context);
        php_json_encode_ex(&json, &array, PHP_JSON_PARTIAL_OUTPUT_ON_ERROR | PHP_JSON_INVALID_UTF8_SUBSTITUTE |
                           PHP_JSON_UNESCAPED_SLASHES | PHP_JSON_UNESCAPED_UNICODE, PHP_JSON_PARSER_DEFAULT_DEPTH);
    }
    if (troupe_forked) {
        troupe_fork_write(STDERR_FILENO, ZSTR_VAL(message), ZSTR_LEN(message));
        troupe_fork_write(STDERR_FILENO, "\n", 1);
    } else {
        troupe_rust->script_log(troupe_self_rust(), level, troupe_text(message), troupe_text(json.s));
    }
    smart_str_free(&json);
}

static const zend_function_entry functions[] = {
    ZEND_FE(frankenphp_handle_request, arginfo_handle_request)
    ZEND_FE(frankenphp_finish_request, arginfo_finish_request)
    ZEND_NAMED_FE(fastcgi_finish_request, ZEND_FN(frankenphp_finish_request), arginfo_finish_request)
    ZEND_FE(frankenphp_request_headers, arginfo_headers)
    ZEND_NAMED_FE(apache_request_headers, ZEND_FN(frankenphp_request_headers), arginfo_headers)
    ZEND_NAMED_FE(getallheaders, ZEND_FN(frankenphp_request_headers), arginfo_headers)
    ZEND_FE(frankenphp_response_headers, arginfo_headers)
    ZEND_NAMED_FE(apache_response_headers, ZEND_FN(frankenphp_response_headers), arginfo_headers)
    ZEND_FE(headers_send, arginfo_headers_send)
    ZEND_FE(frankenphp_log, arginfo_log)
    ZEND_FE(frankenphp_worker_set_vars, arginfo_set_vars)
    ZEND_FE(frankenphp_worker_get_vars, arginfo_get_vars)
    ZEND_FE(frankenphp_worker_get_signaling_stream, arginfo_signaling_stream)
    ZEND_FE(frankenphp_worker_task_send, arginfo_task_send)
    ZEND_FE(frankenphp_worker_task_read, arginfo_task_read)
    ZEND_FE(frankenphp_worker_task_receive, arginfo_task_receive)
    ZEND_FE(frankenphp_worker_task_update, arginfo_task_update)
    ZEND_FE(frankenphp_get_worker_handle, arginfo_signaling_stream)
    ZEND_FE(frankenphp_get_vars, arginfo_get_vars_of_one)
    ZEND_FE_END
};

static PHP_MINIT_FUNCTION(troupe)
{
    REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_DEBUG", -4, CONST_CS | CONST_PERSISTENT);
    REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_INFO", 0, CONST_CS | CONST_PERSISTENT);
    REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_WARN", 4, CONST_CS | CONST_PERSISTENT);
    REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_ERROR", 8, CONST_CS | CONST_PERSISTENT);
    /* Here, where every extension's functions are registered and no thread has copied the table yet. */
    troupe_environment_install();
    troupe_streams_install();
    troupe_objects_register();
    return SUCCESS;
}

/* The script has ended, and its time limit with it. Before the SAPI layer goes: a body that the script did not read is
 * not pulled through PHP. */
static PHP_RSHUTDOWN_FUNCTION(troupe)
{
    troupe_limit_set(0);
    SG(post_read) = 1;
    if (troupe_self) {
        troupe_worker_release(troupe_self);
    }
    return SUCCESS;
}

static PHP_MINFO_FUNCTION(troupe)
{
    php_info_print_table_start();
    php_info_print_table_row(2, "Server", TROUPE_SOFTWARE);
    php_info_print_table_row(2, "Mode", !troupe_self ? "none"
                             : troupe_self->run->kind == TROUPE_RUN_REQUEST ? "classic"
                             : troupe_self->run->kind == TROUPE_RUN_HTTP_WORKER ? "worker" : "background worker");
    php_info_print_table_end();
}

zend_module_entry troupe_module = {
    STANDARD_MODULE_HEADER,
    "Troupe",
    functions,
    PHP_MINIT(troupe),
    NULL,
    NULL,
    PHP_RSHUTDOWN(troupe),
    PHP_MINFO(troupe),
    TROUPE_VERSION,
    STANDARD_MODULE_PROPERTIES,
};
