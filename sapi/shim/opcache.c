/* OPcache among threads: its lock protocol, and an opcache_reset() that is safe and effective under load.
 *
 * OPcache empties its shared memory (a restart) when nobody uses it, and learns that from record locks on a file:
 * byte 1 is read-locked by who uses the memory, byte 2 write-locked during a restart. Record locks belong to the
 * process, so among threads every answer is "nobody". The executable's fcntl() answers for byte 1 itself, per
 * thread: a use and a restart exclude each other. Restarts are OPcache's own, when its memory is full; until the
 * last script that uses the memory has ended, new ones are compiled without it.
 *
 * opcache_reset() does not wait for that moment, which long-running workers may never let come. It invalidates
 * every cached script, and the host starts its worker scripts again one after another.
 *
 * Nothing but the function handler enters PHP or may bail out.
 */
#include "shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>

static int lock_file = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t restart_over = PTHREAD_COND_INITIALIZER;
static size_t users;    /* threads whose script uses the shared memory */
static bool restarting; /* a thread was told "nobody", and has not yet said that its restart is over */
static _Thread_local bool uses, restarts;

static bool covers(const struct flock *lock, off_t byte)
{
    return lock->l_start <= byte && (lock->l_len == 0 || byte < lock->l_start + lock->l_len);
}

/* Blocks for as long as another thread's restart takes, which does not depend on this one. */
static void begin_use(void)
{
    pthread_mutex_lock(&mutex);
    while (restarting && !restarts) {
        pthread_cond_wait(&restart_over, &mutex);
    }
    users += !uses;
    uses = true;
    pthread_mutex_unlock(&mutex);
}

static void end_use(void)
{
    pthread_mutex_lock(&mutex);
    users -= uses;
    uses = false;
    pthread_mutex_unlock(&mutex);
}

/* Who is told that nobody else uses the memory goes on to a restart at once. */
static bool begin_restart(void)
{
    pthread_mutex_lock(&mutex);
    if (users == uses && !restarting) {
        restarting = restarts = true;
    }
    pthread_mutex_unlock(&mutex);
    return restarts;
}

static void end_restart(void)
{
    if (restarts) {
        pthread_mutex_lock(&mutex);
        restarting = restarts = false;
        pthread_cond_broadcast(&restart_over);
        pthread_mutex_unlock(&mutex);
    }
}

/* True when the call is answered and the kernel need not know. */
static bool answer(int command, struct flock *lock)
{
    if (command == F_GETLK && covers(lock, 1)) {
        if (begin_restart()) {
            lock->l_type = F_UNLCK;
        } else {
            lock->l_type = F_RDLCK;
            lock->l_pid = getpid();
        }
        return true;
    }
    if (command == F_SETLK && lock->l_type == F_UNLCK && covers(lock, 1)) {
        /* At the end of every request, of all bytes. The kernel has a lock of this file only during a restart. */
        bool has_restarted = restarts;
        end_restart();
        end_use();
        return !has_restarted;
    }
    if (command == F_SETLK && lock->l_type == F_UNLCK && covers(lock, 2)) {
        end_restart();
    }
    if (command == F_SETLK && covers(lock, 1)) {
        begin_use();
        return lock->l_len == 1;
    }
    return false;
}

int fcntl(int fd, int command, ...)
{
    static __typeof__(&fcntl) real;
    __typeof__(&fcntl) found = __atomic_load_n(&real, __ATOMIC_RELAXED);
    va_list arguments;
    void *argument;

    va_start(arguments, command);
    argument = va_arg(arguments, void *); /* an int or a pointer; the kernel takes either as a word */
    va_end(arguments);
    if (UNEXPECTED(fd == lock_file) && fd >= 0 && troupe_self && answer(command, argument)) {
        return 0;
    }
    if (UNEXPECTED(!found)) {
        found = (__typeof__(&fcntl))dlsym(RTLD_NEXT, "fcntl");
        __atomic_store_n(&real, found, __ATOMIC_RELAXED);
    }
    return found(fd, command, argument);
}

/* What programs call that were compiled with large-file support. */
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

/* OPcache unlinks its lock file at once: what is left of the name is in the descriptor's link. */
static int find_lock_file(void)
{
    char path[64], target[MAXPATHLEN];

    for (int fd = 0; fd < 1024; fd++) {
        ssize_t len;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof(target) - 1);
        if (len > 0) {
            target[len] = '\0';
            if (strstr(target, "/.ZendSem.")) {
                return fd;
            }
        }
    }
    return -1;
}

static bool call(const char *name, zval *result, uint32_t count, zval *arguments)
{
    zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

    ZVAL_UNDEF(result);
    if (function) {
        zend_call_known_function(function, NULL, NULL, result, count, arguments, NULL);
    }
    return function && !EG(exception);
}

/* False when OPcache is off, or opcache.restrict_api forbids this script to ask. */
static bool invalidate_all(void)
{
    zval status, with_scripts, *scripts, arguments[2], result;
    zend_string *path;
    bool asked;

    ZVAL_TRUE(&with_scripts);
    asked = call("opcache_get_status", &status, 1, &with_scripts) && Z_TYPE(status) == IS_ARRAY;
    scripts = asked ? zend_hash_str_find(Z_ARRVAL(status), ZEND_STRL("scripts")) : NULL;
    if (scripts && Z_TYPE_P(scripts) == IS_ARRAY) {
        ZEND_HASH_FOREACH_STR_KEY(Z_ARRVAL_P(scripts), path) {
            ZVAL_STR(&arguments[0], path);
            ZVAL_TRUE(&arguments[1]);
            if (!call("opcache_invalidate", &result, 2, arguments)) {
                break;
            }
        } ZEND_HASH_FOREACH_END();
    }
    zval_ptr_dtor(&status);
    return asked && !EG(exception);
}

static ZEND_FUNCTION(opcache_reset)
{
    bool done;

    ZEND_PARSE_PARAMETERS_NONE();

    done = invalidate_all();
    if (done && troupe_self) {
        troupe_rust->opcache_was_reset(troupe_self->rust);
    }
    RETURN_BOOL(done);
}

/* Once, before any other PHP thread exists; without OPcache there is nothing to replace. */
void troupe_opcache_install(void)
{
    troupe_replace("opcache_reset", ZEND_FN(opcache_reset));
}

/* Later than that: when OPcache has its shared memory. */
void troupe_opcache_started(void)
{
    lock_file = find_lock_file();
}
