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

static _Thread_local const char *name; /* PHP's memory, until it closes or opens again; NULL for the program's */
static _Thread_local int options, facility;

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

void openlog(const char *ident, int option, int new_facility)
{
    pthread_once(&once, find);
    if (!troupe_self) {
        real_openlog(ident, option, new_facility);
        return;
    }
    name = ident;
    options = option;
    facility = new_facility;
}

void closelog(void)
{
    pthread_once(&once, find);
    if (!troupe_self) {
        real_closelog();
        return;
    }
    name = NULL;
    options = facility = 0;
}

static void set_identity(void)
{
    if (troupe_self) {
        real_openlog(name ? name : program_invocation_short_name, options, facility ? facility : LOG_USER);
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
