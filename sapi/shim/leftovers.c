/* What extensions keep from one request of a worker script to the next, put back to what it was before the loop:
 * what libxml was told, the default stream context, the stream wrappers, and what the output is to be rewritten with.
 *
 * Nearly no request changes any of it, so that all there is to do between two of them is to look.
 *
 * Stream wrappers and filters of new names stay: libraries register theirs when they first need them, as classes and
 * autoloaders are, and remember that they did.
 */
#include "shim.h"

#include <dlfcn.h>

#include <ext/standard/file.h>
#include <ext/standard/url_scanner_ex.h>
#include <zend_smart_str.h>

enum { XML = 1, WRAPPERS = 2, NOTIFIER = 4 };

/* What the script has asked to be changed. */
static _Thread_local unsigned changed;

#define NOTICED(function, what) \
    static zif_handler php_##function; \
    static ZEND_FUNCTION(function) \
    { \
        if (ZEND_NUM_ARGS() > 0) { \
            changed |= what; \
        } \
        php_##function(INTERNAL_FUNCTION_PARAM_PASSTHRU); \
    }

NOTICED(libxml_use_internal_errors, XML)
NOTICED(libxml_disable_entity_loader, XML)
NOTICED(libxml_set_external_entity_loader, XML)
NOTICED(libxml_set_streams_context, XML)
/* A wrapper takes the place of another only when that has been taken away. */
NOTICED(stream_wrapper_unregister, WRAPPERS)
NOTICED(stream_wrapper_restore, WRAPPERS)
NOTICED(stream_context_set_params, NOTIFIER)

/* libxml's, where there is that extension. */
static bool (*disable_entity_loader)(bool disable);
static void (*switch_context)(zval *context, zval *old_context);

void troupe_leftovers_install(void)
{
#define NOTICE(function) troupe_wrap(#function, ZEND_FN(function), &php_##function)
    NOTICE(libxml_use_internal_errors);
    NOTICE(libxml_disable_entity_loader);
    NOTICE(libxml_set_external_entity_loader);
    NOTICE(libxml_set_streams_context);
    NOTICE(stream_wrapper_unregister);
    NOTICE(stream_wrapper_restore);
    NOTICE(stream_context_set_params);
#undef NOTICE
    disable_entity_loader =
        (__typeof__(disable_entity_loader))dlsym(RTLD_DEFAULT, "php_libxml_disable_entity_loader");
    switch_context = (__typeof__(switch_context))dlsym(RTLD_DEFAULT, "php_libxml_switch_context");
}

/* `argument` may be NULL. */
static void call(const char *name, zval *argument, zval *result)
{
    troupe_call(name, result, argument ? 1 : 0, argument);
}

static void keep_xml(troupe_leftovers *kept)
{
    zval context;

    ZVAL_FALSE(&kept->internal_errors);
    if (php_libxml_use_internal_errors) {
        call("libxml_use_internal_errors", NULL, &kept->internal_errors);
    }
    call("libxml_get_external_entity_loader", NULL, &kept->entity_loader);
    if (disable_entity_loader) {
        kept->entities_disabled = disable_entity_loader(false);
        disable_entity_loader(kept->entities_disabled);
    }
    ZVAL_UNDEF(&kept->xml_context);
    if (switch_context) {
        switch_context(NULL, &context);
        ZVAL_COPY(&kept->xml_context, &context);
    }
}

static void restore_xml(const troupe_leftovers *kept)
{
    zval argument, before, result;

    argument = kept->internal_errors;
    call("libxml_use_internal_errors", &argument, &result);
    argument = kept->entity_loader;
    /* What only its class may call can't be set from elsewhere. */
    if (Z_TYPE(argument) == IS_NULL || zend_is_callable(&argument, 0, NULL)) {
        call("libxml_get_external_entity_loader", NULL, &before);
        call("libxml_set_external_entity_loader", &argument, &result);
        zval_ptr_dtor(&before);
    }
    if (disable_entity_loader) {
        disable_entity_loader(kept->entities_disabled);
    }
    if (switch_context) {
        ZVAL_COPY(&argument, &kept->xml_context);
        switch_context(NULL, &before);
        switch_context(&argument, NULL);
        zval_ptr_dtor(&before);
    }
}

/* The resource of a wrapper that a script has registered: it lives as long as that. */
static zend_resource *resource_of(const php_stream_wrapper *wrapper)
{
    zend_resource *resource;

    if (!wrapper->abstract) {
        return NULL; /* PHP's own */
    }
    ZEND_HASH_FOREACH_PTR(&EG(regular_list), resource) {
        if (resource->ptr == wrapper->abstract) {
            return resource;
        }
    } ZEND_HASH_FOREACH_END();
    return NULL;
}

static void keep_wrappers(troupe_leftovers *kept)
{
    zend_string *name;
    php_stream_wrapper *wrapper;

    ALLOC_HASHTABLE(kept->wrappers);
    zend_hash_init(kept->wrappers, 16, NULL, NULL, 0);
    ZEND_HASH_FOREACH_STR_KEY_PTR(php_stream_get_url_stream_wrappers_hash(), name, wrapper) {
        zend_resource *resource = resource_of(wrapper);
        zend_hash_add_ptr(kept->wrappers, name, wrapper);
        if (resource) {
            GC_ADDREF(resource);
        }
    } ZEND_HASH_FOREACH_END();
}

static void release_wrappers(troupe_leftovers *kept)
{
    php_stream_wrapper *wrapper;

    if (!kept->wrappers) {
        return;
    }
    ZEND_HASH_FOREACH_PTR(kept->wrappers, wrapper) {
        zend_resource *resource = resource_of(wrapper);
        if (resource) {
            zend_list_delete(resource);
        }
    } ZEND_HASH_FOREACH_END();
    zend_hash_destroy(kept->wrappers);
    FREE_HASHTABLE(kept->wrappers);
}

static void take_away(zend_string *name)
{
    zval argument, result;

    ZVAL_STR(&argument, name);
    call("stream_wrapper_unregister", &argument, &result);
}

static void restore_wrappers(const troupe_leftovers *kept)
{
    zend_string *name;
    php_stream_wrapper *wrapper;

    if (!FG(stream_wrappers)) {
        return;
    }
    ZEND_HASH_FOREACH_STR_KEY_PTR(kept->wrappers, name, wrapper) {
        php_stream_wrapper *now = zend_hash_find_ptr(FG(stream_wrappers), name);
        zend_resource *resource;
        if (now == wrapper) {
            continue;
        }
        if (now) {
            take_away(name);
        }
        zend_hash_add_ptr(FG(stream_wrappers), name, wrapper);
        resource = resource_of(wrapper);
        if (resource) {
            GC_ADDREF(resource);
        }
    } ZEND_HASH_FOREACH_END();
    /* PHP's own that the script had taken away. */
    ZEND_HASH_FOREACH_STR_KEY_PTR(php_stream_get_url_stream_wrappers_hash_global(), name, wrapper) {
        if (!zend_hash_exists(kept->wrappers, name) && zend_hash_find_ptr(FG(stream_wrappers), name) == wrapper) {
            take_away(name);
        }
    } ZEND_HASH_FOREACH_END();
}

static void keep_notifier(troupe_leftovers *kept, php_stream_context *context)
{
    zval resource, params, *notifier;

    ZVAL_RES(&resource, context->res);
    call("stream_context_get_params", &resource, &params);
    notifier = Z_TYPE(params) == IS_ARRAY ? zend_hash_str_find(Z_ARRVAL(params), ZEND_STRL("notification")) : NULL;
    if (notifier) {
        ZVAL_COPY(&kept->notifier, notifier);
    }
    zval_ptr_dtor(&params);
}

static void restore_notifier(const troupe_leftovers *kept, php_stream_context *context)
{
    php_stream_notifier *before = context->notifier;
    zval arguments[2], notifier, result;

    context->notifier = NULL;
    if (!Z_ISUNDEF(kept->notifier)) {
        ZVAL_RES(&arguments[0], context->res);
        array_init_size(&arguments[1], 1);
        ZVAL_COPY(&notifier, &kept->notifier);
        add_assoc_zval(&arguments[1], "notification", &notifier);
        troupe_call("stream_context_set_params", &result, 2, arguments);
        zval_ptr_dtor(&arguments[1]);
    }
    if (before) {
        php_stream_notification_free(before);
    }
}

void troupe_leftovers_keep(troupe_leftovers *kept)
{
    keep_xml(kept);
    if (!FG(default_context)) {
        FG(default_context) = php_stream_context_alloc();
    }
    /* With a second owner, whoever changes them makes a copy. */
    ZVAL_COPY(&kept->stream_options, &FG(default_context)->options);
    keep_notifier(kept, FG(default_context));
    keep_wrappers(kept);
    changed = 0;
}

void troupe_leftovers_release(troupe_leftovers *kept)
{
    zval_ptr_dtor(&kept->stream_options);
    zval_ptr_dtor(&kept->notifier);
    zval_ptr_dtor(&kept->entity_loader);
    zval_ptr_dtor(&kept->xml_context);
    release_wrappers(kept);
}

/* Destructors may run here, and bail out: first nothing finds any more what they are of. */
void troupe_leftovers_restore(const troupe_leftovers *kept)
{
    php_stream_context *context = FG(default_context);

    if (UNEXPECTED(Z_ARR(context->options) != Z_ARR(kept->stream_options))) {
        zval options = context->options;
        ZVAL_COPY(&context->options, &kept->stream_options);
        zval_ptr_dtor(&options);
    }
    if (UNEXPECTED(changed & NOTIFIER)) {
        restore_notifier(kept, context);
    }
    if (UNEXPECTED(changed & WRAPPERS)) {
        restore_wrappers(kept);
    }
    if (UNEXPECTED(changed & XML)) {
        restore_xml(kept);
    }
    changed = 0;
    if (UNEXPECTED(Z_TYPE(kept->internal_errors) == IS_TRUE)) {
        zval result;
        call("libxml_clear_errors", NULL, &result);
    }
}

/* As the extension does at the end of its own request, which is the script's. */
static void forget(url_adapt_state_ex_t *state)
{
    if (UNEXPECTED(state->active)) {
        smart_str_free(&state->result);
        smart_str_free(&state->buf);
        smart_str_free(&state->tag);
        smart_str_free(&state->arg);
        smart_str_free(&state->attr_val);
        smart_str_free(&state->form_app);
        smart_str_free(&state->url_app);
        state->active = 0;
        state->tag_type = 0;
        state->attr_type = 0;
    }
}

void troupe_output_deactivate(void)
{
    php_output_deactivate();
    forget(&BG(url_adapt_session_ex));
    forget(&BG(url_adapt_output_ex));
}
