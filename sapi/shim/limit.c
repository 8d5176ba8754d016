/* max_execution_time without a timer of the kernel's for every request.
 *
 * PHP makes, arms, disarms and deletes a timer for each request, six system calls in all. Here the server's watchdog
 * keeps the time: PHP's own timer is never made, and every place that would arm it tells Rust instead. When the time
 * is up the watchdog raises `limit_passed` and sends the kill signal, whose handler does on the script's own thread
 * what PHP's does. The signal is sent again until the limit is lifted, since a call that is about to block may
 * swallow one.
 *
 * A forked child has no watchdog; pcntl_fork() makes it a timer of its own.
 */
#include "shim.h"

#include <time.h>
#include <unistd.h>

static pid_t process;
static ZEND_INI_MH((*php_on_change));

static void tell(zend_long seconds, bool from_the_beginning)
{
    if (troupe_self && troupe_self->rust) {
        troupe_rust->limit(troupe_self->rust, seconds > 0 ? (uint64_t)seconds : 0, from_the_beginning);
    }
}

void troupe_limit_set(zend_long seconds)
{
    tell(seconds, false);
}

/* set_time_limit() comes here too. */
static ZEND_INI_MH(on_change)
{
    int done = php_on_change(entry, new_value, mh_arg1, mh_arg2, mh_arg3, stage);

    if (done == SUCCESS && stage != ZEND_INI_STAGE_STARTUP && stage != ZEND_INI_STAGE_DEACTIVATE) {
        troupe_limit_set(EG(timeout_seconds));
    }
    return done;
}

/* A thread begins with a timer that it shall not have. */
void troupe_limit_thread_started(void)
{
    if (EG(pid)) {
        timer_delete(EG(max_execution_timer_timer));
        EG(pid) = 0;
    }
}

/* PHP makes a timer where a request starts unless it believes that there is one, and arms it only then: what lies
 * between the two is sapi_activate(). */
void troupe_limit_before_startup(void)
{
    EG(pid) = process;
}

void troupe_limit_at_activation(void)
{
    EG(pid) = 0;
}

/* The script's own time begins: with its request, or now if PHP has waited for a body. */
void troupe_limit_begin(zend_long seconds)
{
    tell(seconds, SG(read_post_bytes) == 0);
}

/* After php_request_startup(), during which max_input_time may have been the limit. */
zend_long troupe_limit_of_script(void)
{
    return PG(max_input_time) == -1 ? EG(timeout_seconds) : INI_INT("max_execution_time");
}

/* In the kill signal's handler, on the thread that runs the script. */
void troupe_limit_deliver(void)
{
    if (troupe_self && atomic_exchange(&troupe_self->limit_passed, false)) {
        if (zend_on_timeout) {
            zend_on_timeout((int)EG(timeout_seconds));
        }
        zend_atomic_bool_store_ex(&EG(timed_out), true);
        zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
    }
}

/* PHP is about to end a script whose time was up. Its shutdown functions and destructors still run: they get as long
 * as hard_timeout says. */
void troupe_limit_last_words(void)
{
    if ((PG(connection_status) & PHP_CONNECTION_TIMEOUT) && EG(timeout_seconds) > 0) {
        troupe_limit_set(EG(hard_timeout));
    }
}

/* Once, before any thread has copied the table of settings. */
void troupe_limit_install(void)
{
    zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), ZEND_STRL("max_execution_time"));

    process = getpid();
    php_on_change = entry->on_modify;
    entry->on_modify = on_change;
}
