/* Worker mode: one script, many requests.
 *
 * frankenphp_handle_request() runs inside the script: the executor, its globals and classes stay, while the
 * layers that belong to one request (SAPI, output, superglobals, session, filters) are put down and up again.
 *
 * Bailouts: a fatal error in the callback jumps to troupe_execute with the request still bound; the request
 * shutdown that follows sends what there is to its client. A bailout that PHP itself catches inside
 * (shutdown functions, session handlers) leaves the executor's frame pointer behind, so it is raised again.
 */
#include "shim.h"

#include <locale.h>
#include <sys/stat.h>

#include <ext/date/php_date.h>
#include <ext/session/php_session.h>
#include <ext/spl/spl_exceptions.h>

/* The session handlers a script has set: an array of zvals in PHP 8.2 and 8.3, a struct of them later. */
#define SESSION_HANDLERS (sizeof(PS(mod_user_names)) / sizeof(zval))
#define SESSION_HANDLER(i) (((zval *)&PS(mod_user_names))[i])

/* What the script had set up when it first waited for a request; every request starts from it.
 *
 * Not so the settings and the handlers of sessions: frameworks set them when they first make their session
 * storage, during some request, and keep that object. Were they reset, every later session would be stored by
 * PHP's own handler, and its cookie would lack the flags that the application has asked for.
 */
struct troupe_kept {
    HashTable ini; /* name => value of every setting the script had changed */
    zval error_handler;
    int error_handler_mask;
    int error_handlers;
    zval exception_handler;
    int exception_handlers;
    HashTable *shutdown_functions;
    zval timezone;
    troupe_leftovers leftovers;
    char directory[MAXPATHLEN];
    char *locale;
    zend_string *ctype;
    bool locale_changed; /* before the loop */
    int umask_before;    /* -1 unless it was changed before the loop, to `umask` */
    mode_t umask;
    size_t tick_functions;
};

static void bail_again_after_an_inner_bailout(void)
{
    if (CG(unclean_shutdown)) {
        zend_bailout();
    }
}

/* Extensions whose request begins and ends with each of ours; NULL for one that is not there. */
static zend_module_entry *session_module, *filter_module, *zlib_module, *random_module, *date_module;

void troupe_worker_install(void)
{
    session_module = troupe_module_of("session");
    filter_module = troupe_module_of("filter");
    zlib_module = troupe_module_of("zlib");
    random_module = troupe_module_of("random");
    date_module = troupe_module_of("date");
}

static size_t tick_functions(void)
{
    return BG(user_tick_functions) ? zend_llist_count(BG(user_tick_functions)) : 0;
}

/* What the script has not changed is what PHP puts back itself. */
static void keep_locale_and_umask(struct troupe_kept *kept)
{
    kept->locale = estrdup(setlocale(LC_ALL, NULL));
    kept->ctype = BG(ctype_string) ? zend_string_copy(BG(ctype_string)) : NULL;
    kept->locale_changed = BG(locale_changed);
    BG(locale_changed) = 0;
    kept->umask_before = BG(umask);
    if (BG(umask) != -1) {
        kept->umask = umask(077); /* as PHP asks for it */
        umask(kept->umask);
        BG(umask) = -1;
    }
}

static void keep(troupe_thread *self)
{
    struct troupe_kept *kept = ecalloc(1, sizeof(*kept));
    zend_ini_entry *entry;
    zend_string *name;

    zend_hash_init(&kept->ini, 8, NULL, ZVAL_PTR_DTOR, 0);
    if (EG(modified_ini_directives)) {
        ZEND_HASH_FOREACH_STR_KEY_PTR(EG(modified_ini_directives), name, entry) {
            zval value;
            if (entry->value) {
                ZVAL_STR(&value, zend_string_dup(entry->value, 0));
            } else {
                ZVAL_EMPTY_STRING(&value);
            }
            zend_hash_update(&kept->ini, name, &value);
        } ZEND_HASH_FOREACH_END();
    }
    ZVAL_COPY(&kept->error_handler, &EG(user_error_handler));
    kept->error_handler_mask = EG(user_error_handler_error_reporting);
    kept->error_handlers = zend_stack_count(&EG(user_error_handlers));
    ZVAL_COPY(&kept->exception_handler, &EG(user_exception_handler));
    kept->exception_handlers = zend_stack_count(&EG(user_exception_handlers));
    troupe_call("date_default_timezone_get", &kept->timezone, 0, NULL);
    troupe_leftovers_keep(&kept->leftovers);
    troupe_modes_keep();
    troupe_syslog_keep();
    if (!VCWD_GETCWD(kept->directory, sizeof(kept->directory))) {
        kept->directory[0] = '\0';
    }
    kept->tick_functions = tick_functions();
    keep_locale_and_umask(kept);
    kept->shutdown_functions = BG(user_shutdown_function_names);
    BG(user_shutdown_function_names) = NULL;
    self->kept = kept; /* at last: before, a bailout finds the script as it was */
}

static void restore_ini(struct troupe_kept *kept)
{
    zend_ini_entry *entry;
    zend_string *name;
    zend_string **changed;
    uint32_t count = 0;

    if (!EG(modified_ini_directives)) {
        return;
    }
    /* Restoring changes the table that lists what to restore. */
    changed = safe_emalloc(zend_hash_num_elements(EG(modified_ini_directives)) + 1, sizeof(*changed), 0);
    ZEND_HASH_FOREACH_STR_KEY_PTR(EG(modified_ini_directives), name, entry) {
        zval *value = zend_hash_find(&kept->ini, name);
        if (zend_string_starts_with_literal(name, "session.")) {
            continue;
        }
        if (!value || !entry->value || !zend_string_equals(Z_STR_P(value), entry->value)) {
            changed[count++] = zend_string_copy(name);
        }
    } ZEND_HASH_FOREACH_END();
    for (uint32_t i = 0; i < count; i++) {
        zval *value = zend_hash_find(&kept->ini, changed[i]);
        if (value) {
            zend_alter_ini_entry(changed[i], Z_STR_P(value), PHP_INI_SYSTEM, PHP_INI_STAGE_RUNTIME);
        } else {
            zend_restore_ini_entry(changed[i], PHP_INI_STAGE_RUNTIME);
        }
        zend_string_release(changed[i]);
    }
    efree(changed);
}

/* Destructors may bail out: nothing that is still to be found is let go of. */
static void restore_handler(zval *handler, zval *kept, zend_stack *stack, int depth)
{
    zval old = *handler;

    ZVAL_UNDEF(handler);
    zval_ptr_dtor(&old);
    while (zend_stack_count(stack) > depth) {
        old = *(zval *)zend_stack_top(stack);
        zend_stack_del_top(stack);
        zval_ptr_dtor(&old);
    }
    ZVAL_COPY(handler, kept);
}

/* After the settings: what date_default_timezone_set() was given wins over date.timezone. */
static void restore_timezone(struct troupe_kept *kept)
{
    const char *now = TSRMG_BULK(*date_module->globals_id_ptr, zend_date_globals *)->timezone;

    if (now && Z_TYPE(kept->timezone) == IS_STRING && strcmp(now, Z_STRVAL(kept->timezone)) != 0) {
        zval result;
        troupe_call("date_default_timezone_set", &result, 1, &kept->timezone);
    }
}

static void restore_locale(const struct troupe_kept *kept)
{
    if (BG(locale_changed)) {
        setlocale(LC_ALL, kept->locale);
        zend_update_current_locale();
        if (BG(ctype_string)) {
            zend_string_release_ex(BG(ctype_string), 0);
        }
        BG(ctype_string) = kept->ctype ? zend_string_copy(kept->ctype) : NULL;
        BG(locale_changed) = 0;
    }
}

/* The process's, not the thread's: it must not be left to the end of the script. */
static void restore_umask(const struct troupe_kept *kept)
{
    if (BG(umask) != -1) {
        umask(kept->umask_before == -1 ? (mode_t)BG(umask) : kept->umask);
        BG(umask) = -1;
    }
}

static void restore_tick_functions(const struct troupe_kept *kept)
{
    while (UNEXPECTED(tick_functions() > kept->tick_functions)) {
        zend_llist_remove_tail(BG(user_tick_functions));
    }
}

static void restore_last_error(void)
{
    if (PG(last_error_message)) {
        zend_string_release(PG(last_error_message));
        PG(last_error_message) = NULL;
    }
    if (PG(last_error_file)) {
        zend_string_release(PG(last_error_file));
        PG(last_error_file) = NULL;
    }
    PG(last_error_type) = 0;
    PG(last_error_lineno) = 0;
}

/* Brings the script back to what it was before its loop. Destructors may run here, and speak to the log. */
static void restore(struct troupe_kept *kept)
{
    char directory[MAXPATHLEN];

    restore_handler(&EG(user_error_handler), &kept->error_handler, &EG(user_error_handlers), kept->error_handlers);
    EG(user_error_handler_error_reporting) = kept->error_handler_mask;
    while (zend_stack_count(&EG(user_error_handlers_error_reporting)) > kept->error_handlers) {
        zend_stack_del_top(&EG(user_error_handlers_error_reporting));
    }
    restore_handler(&EG(user_exception_handler), &kept->exception_handler, &EG(user_exception_handlers),
                    kept->exception_handlers);
    restore_locale(kept);
    restore_umask(kept);
    restore_tick_functions(kept);
    troupe_leftovers_restore(&kept->leftovers);
    troupe_syslog_restore();
    troupe_signals_request_ends();
    restore_last_error();
    troupe_last_calls_forget();
    troupe_begin_request_of(random_module); /* what was seeded must not foretell the next request's numbers */
    if (kept->directory[0] && VCWD_GETCWD(directory, sizeof(directory)) && strcmp(directory, kept->directory) != 0) {
        (void)VCWD_CHDIR(kept->directory);
    }
}

/* Settings of output and headers can be changed only while nothing has been sent: after open_idle_layers. */
static void restore_settings(struct troupe_kept *kept)
{
    restore_ini(kept);
    /* zlib's setting starts a handler of output, here one of nobody's. */
    php_output_discard_all();
    troupe_end_request_of(zlib_module);
    restore_timezone(kept);
    troupe_modes_restore(); /* some follow settings until they are set themselves */
    zend_set_memory_limit(PG(memory_limit));
}

/* PHP has destroyed or marked every object by then, so nothing here calls a destructor. */
void troupe_worker_release(troupe_thread *self)
{
    struct troupe_kept *kept = self->kept;

    if (kept) {
        self->kept = NULL;
        troupe_server_vars_loop_ends(self);
        zend_hash_destroy(&kept->ini);
        zval_ptr_dtor(&kept->error_handler);
        zval_ptr_dtor(&kept->exception_handler);
        zval_ptr_dtor(&kept->timezone);
        troupe_leftovers_release(&kept->leftovers);
        troupe_modes_release();
        troupe_syslog_release();
        /* PHP puts the process's back. */
        BG(locale_changed) |= kept->locale_changed;
        if (kept->umask_before != -1) {
            BG(umask) = kept->umask_before;
        }
        if (kept->ctype) {
            zend_string_release(kept->ctype);
        }
        efree(kept->locale);
        efree(kept);
    }
}

/* Output that the script makes while it answers nobody goes to the log; headers go nowhere. */
static void open_idle_layers(void)
{
    php_output_activate();
    sapi_activate();
    SG(request_info).no_headers = 1;
    SG(sapi_started) = 1;
}

static void close_idle_layers(void)
{
    php_output_end_all();
    troupe_output_deactivate();
    sapi_deactivate();
}

static void start_output(void)
{
    php_output_activate();
    if (PG(output_handler) && PG(output_handler)[0]) {
        zval handler;
        ZVAL_STRING(&handler, PG(output_handler));
        php_output_start_user(&handler, 0, PHP_OUTPUT_HANDLER_STDFLAGS);
        zval_ptr_dtor(&handler);
    } else if (PG(output_buffering)) {
        php_output_start_user(NULL, PG(output_buffering) > 1 ? PG(output_buffering) : 0, PHP_OUTPUT_HANDLER_STDFLAGS);
    } else if (PG(implicit_flush)) {
        php_output_set_implicit_flush(1);
    }
}

/* There is none yet that it could replace, and PHP has no part in what it says. */
static void add_first_header(const char *line, size_t len)
{
    sapi_header_struct header = {estrndup(line, len), len};

    zend_llist_add_element(&SG(sapi_headers).headers, &header);
}

static void open_request(const troupe_request *request)
{
    troupe_request_bind(request);
    PG(header_is_being_sent) = 0;
    PG(connection_status) = PHP_CONNECTION_NORMAL;
    PG(ignore_user_abort) = 1;
    start_output();
    sapi_activate();
    SG(sapi_started) = 1;
    if (PG(expose_php)) {
        add_first_header(SAPI_PHP_VERSION_HEADER, sizeof(SAPI_PHP_VERSION_HEADER) - 1);
    }
    zend_atomic_bool_store_ex(&EG(timed_out), false);
    troupe_limit_begin(EG(timeout_seconds));
    zend_memory_reset_peak_usage();
    troupe_superglobals_fill();
    troupe_begin_request_of(zlib_module); /* which asks $_SERVER what the client takes */
    troupe_begin_request_of(session_module);
    php_clear_stat_cache(false, NULL, 0); /* files may have changed while the script waited */
}

/* User code may have left an exception behind: then the script ends here, by a bailout. */
static void end_when_thrown(troupe_thread *self)
{
    zend_object *exception = EG(exception);

    if (EXPECTED(!exception)) {
        return;
    }
    if (zend_is_unwind_exit(exception) || zend_is_graceful_exit(exception)) {
        /* finally blocks were skipped: the script can't be trusted to go on. */
        self->left_by_exit = true;
        EG(exception) = NULL;
        OBJ_RELEASE(exception);
        zend_bailout();
    }
    if (Z_TYPE(EG(user_exception_handler)) != IS_UNDEF) {
        zend_user_exception_handler();
    }
    if (EG(exception)) {
        zend_exception_error(EG(exception), E_ERROR);
    }
    zend_bailout();
}

/* The module's end of a request lets go of the handlers. */
static void close_session(void)
{
    zval handlers[SESSION_HANDLERS];

    for (size_t i = 0; i < SESSION_HANDLERS; i++) {
        ZVAL_COPY(&handlers[i], &SESSION_HANDLER(i));
    }
    troupe_end_request_of(session_module);
    for (size_t i = 0; i < SESSION_HANDLERS; i++) {
        zval_ptr_dtor(&SESSION_HANDLER(i));
        ZVAL_COPY_VALUE(&SESSION_HANDLER(i), &handlers[i]);
    }
}

/* One that the script has begun on its own. The next request has another, and this one is locked until it is closed. */
static void close_idle_session(void)
{
    if (UNEXPECTED(session_module && PS(session_status) == php_session_active)) {
        close_session();
        bail_again_after_an_inner_bailout();
    }
}

static void close_output_and_session(troupe_thread *self)
{
    php_output_end_all();
    end_when_thrown(self);
    close_session();
    bail_again_after_an_inner_bailout();
    troupe_end_request_of(filter_module);
    troupe_superglobals_restore();
    end_when_thrown(self);
    if (!SG(headers_sent)) {
        php_header();
    }
    troupe_output_deactivate();
}

static void close_request(troupe_thread *self)
{
    if (BG(user_shutdown_function_names)) {
        php_call_shutdown_functions();
        php_free_shutdown_functions(); /* first, lest they run again when the request is abandoned */
        bail_again_after_an_inner_bailout();
        end_when_thrown(self);
    }
    close_output_and_session(self);
    troupe_input_ends();
    SG(post_read) = 1; /* what the script did not read is the server's affair */
    sapi_deactivate();
    troupe_request_unbind();
    open_idle_layers();
    restore(self->kept);
    restore_settings(self->kept);
}

static void run_callback(troupe_thread *self, zend_fcall_info *callback, zend_fcall_info_cache *cache)
{
    zval result;

    ZVAL_UNDEF(&result);
    callback->retval = &result;
    callback->param_count = 0;
    callback->params = NULL;
    if (!self->body_cut) {
        zend_call_function(callback, cache);
        zval_ptr_dtor(&result);
    }
    end_when_thrown(self);
}

ZEND_FUNCTION(frankenphp_handle_request)
{
    zend_fcall_info callback;
    zend_fcall_info_cache cache;
    troupe_thread *self = troupe_self;
    troupe_request request;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_FUNC(callback, cache)
    ZEND_PARSE_PARAMETERS_END();

    if (self && self->run->kind == TROUPE_RUN_BACKGROUND_WORKER) {
        zend_throw_exception(spl_ce_RuntimeException,
                             "frankenphp_handle_request() cannot be called in a background worker", 0);
        RETURN_THROWS();
    }
    if (!self || self->run->kind != TROUPE_RUN_HTTP_WORKER || self->request) {
        zend_throw_exception(spl_ce_RuntimeException,
                             "frankenphp_handle_request() called while not in worker mode", 0);
        RETURN_THROWS();
    }
    if (EG(flags) & EG_FLAGS_IN_SHUTDOWN) {
        zend_throw_exception(spl_ce_RuntimeException, "frankenphp_handle_request() called while its script ends", 0);
        RETURN_THROWS();
    }
    if (!self->kept) {
        keep(self);
        troupe_limit_set(0);
    }
    troupe_ready();
    /* Both may end the script, so before there is a request that it would take along. */
    close_idle_session();
    close_idle_layers();
    if (EG(exception)) {
        open_idle_layers();
        RETURN_THROWS();
    }
    if (!troupe_rust->next_request(self->rust, &request)) {
        open_idle_layers();
        RETURN_FALSE;
    }
    self->body_cut = false;
    open_request(&request);
    run_callback(self, &callback, &cache);
    close_request(self);
    end_when_thrown(self);
    troupe_rust->request_ended(self->rust, zend_memory_usage(false));
    RETURN_TRUE;
}

/* Gives the request that a bailout left open its shutdown functions; those of the script follow later. */
static void abandon_request(troupe_thread *self)
{
    if (!SG(headers_sent) && !self->left_by_exit && SG(sapi_headers).http_response_code == 200) {
        SG(sapi_headers).http_response_code = 500;
    }
    EG(flags) |= EG_FLAGS_IN_SHUTDOWN;
    EG(current_execute_data) = NULL;
    php_call_shutdown_functions();
    php_free_shutdown_functions();
}

static void prepare_background(void)
{
    zend_string *name = zend_string_init(ZEND_STRL("max_execution_time"), 0);

    zend_alter_ini_entry_chars(name, "0", 1, PHP_INI_SYSTEM, PHP_INI_STAGE_ACTIVATE);
    zend_string_release(name);
    CG(skip_shebang) = true;
}

bool troupe_run_script(troupe_thread *self)
{
    const troupe_run *run = self->run;
    bool background = run->kind == TROUPE_RUN_BACKGROUND_WORKER;
    bool begun = false;

    char *argv[] = {(char *)run->script, (char *)run->name};

    troupe_request_unbind();
    SG(request_info).path_translated = (char *)run->script;
    SG(request_info).argc = background ? 2 : 0;
    SG(request_info).argv = background ? argv : NULL;
    SG(post_read) = 1;
    if (troupe_request_startup()) {
        begun = true;
        troupe_limit_begin(troupe_limit_of_script());
        troupe_execute(run->script, background ? prepare_background : NULL);
    }
    if (self->request) {
        abandon_request(self);
    }
    if (self->kept) {
        BG(user_shutdown_function_names) = self->kept->shutdown_functions;
    }
    php_request_shutdown(NULL);
    troupe_request_unbind();
    troupe_environment_clear();
    return begun;
}
