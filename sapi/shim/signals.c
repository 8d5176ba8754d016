/* Signals of scripts: what pcntl_signal() sets up concerns its own thread, never the process.
 *
 * A signal's disposition belongs to the process, and pcntl's handler must not run on a thread without PHP. So the
 * executable's sigaction() only notes what a script asks for. When the script is to stop, its own thread calls the
 * handler noted for SIGTERM or SIGINT as if the signal had come: pcntl_async_signals() and pcntl_signal_dispatch()
 * then do what they do elsewhere. When a script ends, pcntl takes its handlers back, and the server's stay. So does the
 * thread's mask of blocked signals, which pcntl would leave as it is; those that the server uses are never in it.
 *
 * Nothing here bails out, except warnings.
 */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>

/* What the script of this thread asked for. */
static _Thread_local struct sigaction wanted[NSIG];

static bool has_handler(int signal)
{
    return wanted[signal].sa_handler != SIG_DFL && wanted[signal].sa_handler != SIG_IGN;
}

/* False in a forked child, which is alone. */
static bool is_scripts(int signal)
{
    return troupe_self && !troupe_forked && signal > 0 && signal < NSIG;
}

/* PHP sets the handler of its timers up for every request. Only a forked child has such a timer; it inherits the
 * handler that the first request has set up. */
static bool is_known_timer(const struct sigaction *action)
{
    static atomic_bool known;

    return action && atomic_exchange(&known, true);
}

static bool is_only_timer(const sigset_t *set)
{
    sigset_t timer;

    sigemptyset(&timer);
    sigaddset(&timer, SIGRTMIN);
    return memcmp(set, &timer, _NSIG / 8) == 0;
}

/* A crash handler gives up so that the fault, met again, ends the process. */
static bool ends_a_crash(int signal, const struct sigaction *action)
{
    return (signal == SIGSEGV || signal == SIGBUS) && action && action->sa_handler == SIG_DFL;
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *before)
{
    static __typeof__(&sigaction) real;
    __typeof__(&sigaction) found = __atomic_load_n(&real, __ATOMIC_RELAXED);

    if (UNEXPECTED(!found)) {
        found = (__typeof__(&sigaction))dlsym(RTLD_NEXT, "sigaction");
        __atomic_store_n(&real, found, __ATOMIC_RELAXED);
    }
    if (!is_scripts(signal) || ends_a_crash(signal, action) || (signal == SIGRTMIN && !is_known_timer(action))) {
        return found(signal, action, before);
    }
    if (signal == SIGRTMIN) {
        return 0;
    }
    if (signal == SIGKILL || signal == SIGSTOP) {
        errno = EINVAL;
        return -1;
    }
    if (before) {
        *before = wanted[signal];
    }
    if (action) {
        wanted[signal] = *action;
        atomic_store(&troupe_self->catches_stop, has_handler(SIGTERM) || has_handler(SIGINT));
    }
    return 0;
}

/* PHP makes sure of its timers' signal for every request; a PHP thread is born with it unblocked. */
int sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
    if (troupe_self && !troupe_forked && how == SIG_UNBLOCK && set && !before && is_only_timer(set)) {
        return 0;
    }
    errno = pthread_sigmask(how, set, before);
    return errno == 0 ? 0 : -1;
}

/* In the kill signal's handler, on the thread that runs the script. pcntl's handler is made for such places. */
void troupe_signals_deliver(void)
{
    int signal = has_handler(SIGTERM) ? SIGTERM : SIGINT;

    if (troupe_self && atomic_exchange(&troupe_self->stop_signalled, false) && has_handler(signal)) {
        siginfo_t info = {.si_signo = signal};
        if (wanted[signal].sa_flags & SA_SIGINFO) {
            wanted[signal].sa_sigaction(signal, &info, NULL);
        } else {
            wanted[signal].sa_handler(signal);
        }
    }
}

/* The server reaches a script by these. */
void troupe_signals_unblock(void)
{
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, troupe_kill_signal());
    sigaddset(&ours, troupe_trace_signal());
    sigaddset(&ours, SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

/* Which signals were blocked before a script, or one request of its loop, changed that. */
typedef struct mask {
    sigset_t blocked;
    bool changed;
} mask;

static _Thread_local mask before_script, before_request;

static void keep(mask *before)
{
    if (!before->changed) {
        pthread_sigmask(SIG_BLOCK, NULL, &before->blocked);
        before->changed = true;
    }
}

static void restore(mask *before)
{
    if (UNEXPECTED(before->changed)) {
        pthread_sigmask(SIG_SETMASK, &before->blocked, NULL);
        before->changed = false;
    }
}

void troupe_signals_request_ends(void)
{
    restore(&before_request);
}

void troupe_signals_script_ends(void)
{
    before_request.changed = false;
    restore(&before_script);
}

static zif_handler php_pcntl_sigprocmask;

static ZEND_FUNCTION(pcntl_sigprocmask)
{
    bool is_ours = troupe_self && !troupe_forked;

    if (is_ours) {
        keep(&before_script);
        if (troupe_self->kept) {
            keep(&before_request);
        }
    }
    php_pcntl_sigprocmask(INTERNAL_FUNCTION_PARAM_PASSTHRU);
    if (is_ours) {
        troupe_signals_unblock();
    }
}

static ZEND_FUNCTION(pcntl_exec)
{
    php_error_docref(NULL, E_WARNING, "It would replace the whole server; start a child with proc_open() instead");
    RETURN_FALSE;
}

static ZEND_FUNCTION(pcntl_alarm)
{
    php_error_docref(NULL, E_WARNING, "An alarm would reach the whole server; see set_time_limit()");
    RETURN_LONG(0);
}

/* Once, before any other PHP thread exists. */
void troupe_signals_install(void)
{
    troupe_replace("pcntl_exec", ZEND_FN(pcntl_exec));
    troupe_replace("pcntl_alarm", ZEND_FN(pcntl_alarm));
    troupe_wrap("pcntl_sigprocmask", ZEND_FN(pcntl_sigprocmask), &php_pcntl_sigprocmask);
}
