/* The system's log, with an identity for each thread.
 *
 * The C library has one for the process, and keeps only a pointer to its name: a thread's messages went out under the
 * name that another's openlog() had given last, which that one's closelog() or the end of its request takes away, and
 * may free. So the executable defines these functions itself: they note what a thread's script wants, and give the C
 * library that before each message. On threads that run no PHP they are the C library's.
 *
 * Nothing here enters PHP, so nothing bails out. sapi/build.rs lists these names for the linker.
 */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <syslog.h>

typedef struct identity {
    char *name; /* NULL for the program's */
    int options, facility;
    bool opened;
} identity;

static _Thread_local identity now, kept;
/* Since `kept` was. */
static _Thread_local bool changed;

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Held for a message. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static __typeof__(&openlog) real_openlog;
static __typeof__(&closelog) real_closelog;
static __typeof__(&vsyslog) real_vsyslog;

static void find(void)
{
    real_openlog = (__typeof__(real_openlog))dlsym(RTLD_NEXT, "openlog");
    real_closelog = (__typeof__(real_closelog))dlsym(RTLD_NEXT, "closelog");
    real_vsyslog = (__typeof__(real_vsyslog))dlsym(RTLD_NEXT, "vsyslog");
}

/* `name` may be the present one. */
static void set(identity *to, const char *name, int options, int facility, bool opened)
{
    char *before = to->name;

    *to = (identity){name ? strdup(name) : NULL, options, facility, opened};
    free(before);
}

void openlog(const char *name, int options, int facility)
{
    pthread_once(&once, find);
    if (!troupe_self) {
        real_openlog(name, options, facility);
        return;
    }
    set(&now, name, options, facility, true);
    changed = true;
}

void closelog(void)
{
    pthread_once(&once, find);
    if (!troupe_self) {
        real_closelog();
        return;
    }
    set(&now, NULL, 0, 0, false);
    changed = true;
}

void troupe_syslog_keep(void)
{
    set(&kept, now.name, now.options, now.facility, now.opened);
    changed = false;
}

/* PHP notes as well whether the log is open. */
void troupe_syslog_restore(void)
{
    if (UNEXPECTED(changed)) {
        if (kept.opened) {
            php_openlog(kept.name, kept.options, kept.facility);
        } else {
            php_closelog();
        }
        changed = false;
    }
}

void troupe_syslog_release(void)
{
    set(&kept, NULL, 0, 0, false);
}

static void set_identity(void)
{
    if (troupe_self) {
        const char *name = now.name ? now.name : program_invocation_short_name;
        real_openlog(name, now.options, now.facility ? now.facility : LOG_USER);
    }
}

void syslog(int priority, const char *format, ...)
{
    int error = errno; /* for %m */
    va_list arguments;

    pthread_once(&once, find);
    va_start(arguments, format);
    /* A forked child is alone, and may have been born while another thread held it. */
    if (troupe_self && !troupe_forked) {
        pthread_mutex_lock(&one_at_a_time);
    }
    set_identity();
    errno = error;
    real_vsyslog(priority, format, arguments);
    if (troupe_self && !troupe_forked) {
        pthread_mutex_unlock(&one_at_a_time);
    }
    va_end(arguments);
}
