/* What extensions keep from one request of a worker script to the next, put back to what it was before the loop:
 * the mode in which libxml reports errors, the default stream context, and what the output is to be rewritten with.
 *
 * Nearly no request changes any of it, so that all there is to do between two of them is to look.
 */
#include "shim.h"

#include <ext/standard/file.h>
#include <ext/standard/url_scanner_ex.h>
#include <zend_smart_str.h>

static zif_handler php_use_internal_errors;
static _Thread_local bool libxml_was_told;

static ZEND_FUNCTION(libxml_use_internal_errors)
{
    libxml_was_told = true;
    php_use_internal_errors(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

void troupe_leftovers_install(void)
{
    troupe_wrap("libxml_use_internal_errors", ZEND_FN(libxml_use_internal_errors), &php_use_internal_errors);
}

/* `argument` may be NULL. */
static void call(const char *name, zval *argument, zval *result)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

    ZVAL_NULL(result);
    if (function) {
        zend_call_known_function(function, NULL, NULL, result, argument ? 1 : 0, argument, NULL);
    }
}

void troupe_leftovers_keep(troupe_leftovers *kept)
{
    ZVAL_FALSE(&kept->internal_errors);
    if (php_use_internal_errors) {
        call("libxml_use_internal_errors", NULL, &kept->internal_errors);
    }
    if (!FG(default_context)) {
        FG(default_context) = php_stream_context_alloc();
    }
    /* With a second owner, whoever changes them makes a copy. */
    ZVAL_COPY(&kept->stream_options, &FG(default_context)->options);
    kept->has_notifier = FG(default_context)->notifier != NULL;
    libxml_was_told = false;
}

void troupe_leftovers_release(troupe_leftovers *kept)
{
    zval_ptr_dtor(&kept->stream_options);
}

/* Destructors may run here, and bail out. */
void troupe_leftovers_restore(const troupe_leftovers *kept)
{
    php_stream_context *context = FG(default_context);
    zval result;

    if (UNEXPECTED(Z_ARR(context->options) != Z_ARR(kept->stream_options))) {
        zval changed = context->options;
        ZVAL_COPY(&context->options, &kept->stream_options);
        zval_ptr_dtor(&changed);
    }
    if (UNEXPECTED(context->notifier) && !kept->has_notifier) {
        php_stream_notification_free(context->notifier);
        context->notifier = NULL;
    }
    if (UNEXPECTED(libxml_was_told)) {
        zval mode = kept->internal_errors;
        call("libxml_use_internal_errors", &mode, &result);
        libxml_was_told = false;
    }
    if (UNEXPECTED(Z_TYPE(kept->internal_errors) == IS_TRUE)) {
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
