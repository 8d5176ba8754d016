/* System calls, as PHP and the libraries it uses see them, that end when their script is to end.
 *
 * The kill signal makes a blocking call return EINTR, and most callers just call again. So the executable defines
 * these functions itself, and the dynamic linker gives them to libphp, libcurl, libpq and all others: while the
 * calling thread's script is to end they fail with ECANCELED, which nobody takes for a reason to try again. In
 * all other cases, and on threads that run no PHP, they are the C library's.
 *
 * Not covered, since the C library calls itself there: getaddrinfo, which its own timeouts bound.
 *
 * Nothing here enters PHP, so nothing bails out. sapi/build.rs lists these names for the linker.
 */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The C library's function of that name, looked up once. */
#define REAL(function) \
    ({ \
        static __typeof__(&function) real; \
        __typeof__(&function) found = __atomic_load_n(&real, __ATOMIC_RELAXED); \
        if (UNEXPECTED(!found)) { \
            found = (__typeof__(&function))dlsym(RTLD_NEXT, #function); \
            __atomic_store_n(&real, found, __ATOMIC_RELAXED); \
        } \
        found; \
    })

/* Refuses the call that has not begun. */
#define REFUSE_WHEN_LEAVING() \
    do { \
        if (UNEXPECTED(troupe_leaving())) { \
            errno = ECANCELED; \
            return -1; \
        } \
    } while (0)

/* Cancels the call that the kill signal has broken. */
static ssize_t done(ssize_t result)
{
    if (UNEXPECTED(result == -1) && errno == EINTR && troupe_leaving()) {
        errno = ECANCELED;
    }
    return result;
}

/* A look at a thread's stack breaks the calls that wait for a time. The script must not notice: they go on. */
static bool goes_on(int result)
{
    return UNEXPECTED(result == -1) && errno == EINTR && troupe_was_looked_at;
}

static int64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int64_t end = timeout > 0 ? clock_ns() + timeout * INT64_C(1000000) : 0;
    int result;

    for (;;) {
        REFUSE_WHEN_LEAVING();
        troupe_was_looked_at = 0;
        result = (int)done(REAL(poll)(fds, count, timeout));
        if (EXPECTED(!goes_on(result))) {
            return result;
        }
        if (timeout > 0) {
            timeout = (int)(MAX(end - clock_ns(), 0) / 1000000);
        }
    }
}

ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    REFUSE_WHEN_LEAVING();
    return done(REAL(recv)(fd, buffer, len, flags));
}

ssize_t recvfrom(int fd, void *buffer, size_t len, int flags, struct sockaddr *address, socklen_t *address_len)
{
    REFUSE_WHEN_LEAVING();
    return done(REAL(recvfrom)(fd, buffer, len, flags, address, address_len));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REFUSE_WHEN_LEAVING();
    return done(REAL(recvmsg)(fd, message, flags));
}

int connect(int fd, const struct sockaddr *address, socklen_t address_len)
{
    REFUSE_WHEN_LEAVING();
    return (int)done(REAL(connect)(fd, address, address_len));
}

int accept(int fd, struct sockaddr *address, socklen_t *address_len)
{
    REFUSE_WHEN_LEAVING();
    return (int)done(REAL(accept)(fd, address, address_len));
}

static bool is_regular_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Files answer at once; shutdown functions may still load their classes. */
ssize_t read(int fd, void *buffer, size_t len)
{
    if (UNEXPECTED(troupe_leaving()) && !is_regular_file(fd)) {
        errno = ECANCELED;
        return -1;
    }
    return done(REAL(read)(fd, buffer, len));
}

int flock(int fd, int operation)
{
    if (!(operation & (LOCK_UN | LOCK_NB))) {
        REFUSE_WHEN_LEAVING();
    }
    return (int)done(REAL(flock)(fd, operation));
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    struct timespec wanted = *time, rest = *time;
    int result;

    do {
        REFUSE_WHEN_LEAVING();
        troupe_was_looked_at = 0;
        result = (int)done(REAL(nanosleep)(&wanted, &rest));
        wanted = rest;
    } while (goes_on(result));
    if (result == -1 && left) {
        *left = rest;
    }
    return result;
}

/* SQLite waits for a locked database by it, over and over. */
int usleep(useconds_t microseconds)
{
    return nanosleep(&(struct timespec){microseconds / 1000000, microseconds % 1000000 * 1000L}, NULL);
}

unsigned int sleep(unsigned int seconds)
{
    struct timespec left = {.tv_sec = seconds};

    return nanosleep(&left, &left) == 0 ? 0 : (unsigned int)left.tv_sec + (left.tv_nsec >= 500000000);
}

/* PHP loads extensions so that they find the C library before the executable: all of this would pass them by. */
void *dlopen(const char *file, int mode)
{
    return REAL(dlopen)(file, mode & ~RTLD_DEEPBIND);
}

/* Waits for children. PHP's callers wait for ever, so another thread does it for them and they wait for that
 * thread: a child that outlives its script is still reaped. */
typedef struct reaping {
    pid_t child;  /* of waitpid */
    FILE *pipe;   /* of pclose */
    int status;
    int result;
    int error;
    sem_t ended;
    atomic_int owners; /* the last one frees it */
} reaping;

static void let_go(reaping *it)
{
    if (atomic_fetch_sub(&it->owners, 1) == 1) {
        sem_destroy(&it->ended);
        free(it);
    }
}

static void *reap(void *arg)
{
    reaping *it = arg;

    it->result = it->pipe ? REAL(pclose)(it->pipe) : REAL(waitpid)(it->child, &it->status, 0);
    it->error = errno;
    sem_post(&it->ended);
    let_go(it);
    return NULL;
}

/* False when no thread could be started. */
static bool start_reaping(reaping *it)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    bool started;

    sem_init(&it->ended, 0, 0);
    atomic_init(&it->owners, 2);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&thread, &attributes, reap, it) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static int await_reaping(reaping *it, int *status)
{
    int result = -1;

    while (sem_wait(&it->ended) == -1 && !troupe_leaving()) {
    }
    if (troupe_leaving()) {
        errno = ECANCELED;
    } else {
        result = it->result;
        errno = it->error;
        if (status) {
            *status = it->status;
        }
    }
    let_go(it);
    return result;
}

pid_t waitpid(pid_t child, int *status, int options)
{
    if (troupe_self && child > 0 && options == 0) {
        reaping *it = calloc(1, sizeof(*it));
        if (it) {
            it->child = child;
            if (start_reaping(it)) {
                return await_reaping(it, status);
            }
            free(it);
        }
    }
    return (pid_t)done(REAL(waitpid)(child, status, options));
}

int pclose(FILE *pipe)
{
    if (troupe_self) {
        reaping *it = calloc(1, sizeof(*it));
        if (it) {
            it->pipe = pipe;
            if (start_reaping(it)) {
                return await_reaping(it, NULL);
            }
            free(it);
        }
    }
    return REAL(pclose)(pipe);
}
