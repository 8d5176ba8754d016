/* A PHP thread: its life, how a script is executed, how it ends. */
#include "shim.h"

#include <pthread.h>

_Thread_local troupe_thread *troupe_self;

static void forget_fatal(troupe_thread *self)
{
    if (self->fatal_message) {
        zend_string_release(self->fatal_message);
        zend_string_release(self->fatal_file);
        self->fatal_message = self->fatal_file = NULL;
    }
}

/* Sees every error before PHP acts on it; keeps the last one that can end a script. */
static void on_error(int type, zend_string *file, uint32_t line, zend_string *message)
{
    const int certain = E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR | E_PARSE;
    const int fatal = certain | E_USER_ERROR | E_RECOVERABLE_ERROR; /* these two a script may handle */
    troupe_thread *self = troupe_self;

    if (!self || !(type & fatal)) {
        return;
    }
    forget_fatal(self);
    self->fatal_message = zend_string_init(ZSTR_VAL(message), ZSTR_LEN(message), 1);
    self->fatal_file = file ? zend_string_init(ZSTR_VAL(file), ZSTR_LEN(file), 1) : zend_string_init("", 0, 1);
    self->fatal_line = line;
    /* PHP does this only when errors are not displayed; a client's program reads the status, not the text. */
    if (self->request && (type & certain) && !SG(headers_sent) && SG(sapi_headers).http_response_code == 200) {
        SG(sapi_headers).http_response_code = 500;
    }
    troupe_limit_last_words();
}

void troupe_observe_errors(void)
{
    zend_observer_error_register(on_error);
}

/* Executes a script inside a started request. A bailout ends here.
 *
 * The script finds itself in its own folder; what follows it (shutdown functions, destructors) in the server's, where
 * PHP would go back to as to any other folder, by asking the kernel about it. Here PHP makes itself a copy of what it
 * is called, outside of any try: one as long is made before, so that there is room for it however full a script has
 * left its memory.
 *
 * `prepare` may be NULL.
 */
void troupe_execute(const char *script, void (*prepare)(void))
{
    char *volatile room = NULL;
    size_t len;

    EG(exit_status) = 0; /* PHP leaves it from the run before */
    zend_first_try {
        zend_file_handle file;
        if (prepare) {
            prepare();
        }
        room = virtual_getcwd_ex(&len);
        (void)VCWD_CHDIR_FILE(script);
        zend_stream_init_filename(&file, script);
        file.primary_script = true;
        php_execute_script(&file);
        zend_destroy_file_handle(&file);
    } zend_end_try();
    if (room) {
        virtual_cwd_deactivate();
        efree(room);
        virtual_cwd_activate();
    }
    troupe_stack_unwound();
}

static void report_end(troupe_thread *self, bool begun)
{
    troupe_run_end end = {.kind = TROUPE_EXIT_RETURNED, .status = EG(exit_status)};

    if (!begun) {
        end.kind = TROUPE_EXIT_NOT_BEGUN;
    } else if (self->left_by_exit) {
        end.kind = TROUPE_EXIT_CALLED;
    } else if (self->fatal_message && EG(exit_status) == 255) {
        end.kind = TROUPE_EXIT_FAILED;
    } else if (EG(exit_status) != 0) {
        end.kind = TROUPE_EXIT_CALLED;
    }
    if (self->fatal_message) {
        end.message = troupe_text(self->fatal_message);
        end.file = troupe_text(self->fatal_file);
        end.line = self->fatal_line;
    }
    troupe_rust->run_ended(self->rust, &end);
    forget_fatal(self);
}

/* Closes persistent connections and streams while the globals of their extensions are still there, which
 * ts_free_thread() frees before it gets to this list. */
static void close_persistent(void)
{
    zend_first_try {
        zend_hash_graceful_reverse_destroy(&EG(persistent_list));
    } zend_end_try();
    zend_hash_init(&EG(persistent_list), 0, NULL, NULL, 1);
}

void troupe_thread_main(void *rust)
{
    troupe_thread self = {.rust = rust};
    troupe_run run;

    troupe_signals_unblock();
    ts_resource(0);
    ZEND_TSRMLS_CACHE_UPDATE();
    SG(options) |= SAPI_OPTION_NO_CHDIR; /* troupe_execute() does it */
    troupe_stack_enter();
    troupe_limit_thread_started();
    troupe_self = &self;
    troupe_rust->thread_started(rust, (troupe_slot){
        .vm_interrupt = (bool *)&EG(vm_interrupt),
        .killed = (bool *)&self.killed,
        .catches_stop = (bool *)&self.catches_stop,
        .stop_signalled = (bool *)&self.stop_signalled,
        .limit_passed = (bool *)&self.limit_passed,
        .trace = &self.trace,
        .thread = (uintptr_t)pthread_self(),
    });

    while (memset(&run, 0, sizeof(run)), troupe_rust->next_run(rust, &run)) {
        bool begun;

        self.run = &run;
        self.ready = self.body_cut = self.left_by_exit = false;
        begun = run.kind == TROUPE_RUN_REQUEST ? troupe_run_request(&self) : troupe_run_script(&self);
        troupe_stack_unwound();
        troupe_signals_script_ends();
        self.seen_vars = NULL; /* went with the request's memory */
        self.handing_out = 0;
        troupe_fork_end();
        report_end(&self, begun);
        self.run = NULL;
    }

    troupe_rust->thread_ends(rust);
    troupe_self = NULL;
    troupe_environment_clear();
    troupe_locale_clear();
    close_persistent();
    troupe_stack_leave();
    ts_free_thread();
}
