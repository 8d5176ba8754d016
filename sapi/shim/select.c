/* stream_select() and socket_select() by poll(2): descriptors may have any number.
 *
 * PHP's own use select(2), whose sets end at 1,023; a server with many connections is soon beyond that. What
 * scripts see is the same: keys are kept, buffered data counts, timeouts, warnings and errors read as PHP's.
 *
 * A bailout may come from a warning's handler only; what is waited for is in request memory, which it frees.
 */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#if defined(HAVE_SOCKETS) && !defined(COMPILE_DL_SOCKETS)
#include <ext/sockets/php_sockets.h>
#define WITH_SOCKETS 1
#endif

enum { READ, WRITE, EXCEPT, SETS };

/* What select(2) calls readable, writable and exceptional: to ask for, and as an answer. */
static const short asked_for[SETS] = {POLLIN, POLLOUT, POLLPRI};
static const short answered_by[SETS] = {POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI};

/* One call. User code may run while descriptors are gathered: what it does to the arrays comes too late. */
typedef struct selection {
    zval *arrays[SETS];        /* the script's variables; NULL where it gave none */
    HashTable *elements[SETS]; /* what was in them */
    struct pollfd *fds;        /* one for each element, in order; negative where it does not take part */
    nfds_t count;
    int highest;               /* descriptor; -1 when none takes part */
} selection;

static void gather(selection *it, int (*descriptor)(zval *element))
{
    size_t capacity = 0;
    zval *element;

    it->highest = -1;
    for (int set = 0; set < SETS; set++) {
        if (it->arrays[set]) {
            it->elements[set] = zend_array_dup(Z_ARRVAL_P(it->arrays[set]));
            capacity += zend_hash_num_elements(it->elements[set]);
        }
    }
    it->fds = safe_emalloc(capacity, sizeof(*it->fds), 1);
    for (int set = 0; set < SETS; set++) {
        if (it->elements[set]) {
            ZEND_HASH_FOREACH_VAL(it->elements[set], element) {
                ZVAL_DEREF(element);
                int fd = descriptor(element);
                it->fds[it->count++] = (struct pollfd){.fd = fd, .events = asked_for[set]};
                it->highest = MAX(it->highest, fd);
            } ZEND_HASH_FOREACH_END();
        }
    }
}

static void release(selection *it)
{
    efree(it->fds);
    for (int set = 0; set < SETS; set++) {
        if (it->elements[set]) {
            zend_array_destroy(it->elements[set]);
        }
    }
}

static void give_back(zval *array, HashTable *elements)
{
    zval_ptr_dtor(array);
    ZVAL_ARR(array, elements);
}

static void keep(HashTable *kept, zend_string *name, zend_ulong index, zval *element)
{
    Z_TRY_ADDREF_P(element);
    if (name) {
        zend_hash_add_new(kept, name, element);
    } else {
        zend_hash_index_add_new(kept, index, element);
    }
}

/* Leaves what is ready in the script's variables and counts it. */
static zend_long take_ready(selection *it)
{
    zend_long ready = 0;
    nfds_t next = 0;
    zend_string *name;
    zend_ulong index;
    zval *element;

    for (int set = 0; set < SETS; set++) {
        if (it->elements[set]) {
            HashTable *kept = zend_new_array(0);
            ZEND_HASH_FOREACH_KEY_VAL(it->elements[set], index, name, element) {
                if (it->fds[next++].revents & answered_by[set]) {
                    keep(kept, name, index, element);
                    ready++;
                }
            } ZEND_HASH_FOREACH_END();
            give_back(it->arrays[set], kept);
        }
    }
    return ready;
}

/* How many answer what they were asked. The others that poll(2) reported, for a hang-up that select(2) would not
 * tell, are left out of the next wait. EBADF is -1. */
static int count_ready(selection *it)
{
    nfds_t next = 0;
    int ready = 0;

    for (int set = 0; set < SETS; set++) {
        nfds_t end = next + (it->elements[set] ? zend_hash_num_elements(it->elements[set]) : 0);
        for (; next < end; next++) {
            struct pollfd *fd = &it->fds[next];
            if (fd->revents & POLLNVAL) {
                errno = EBADF;
                return -1;
            }
            if (fd->revents & answered_by[set]) {
                ready++;
            } else if (fd->revents) {
                fd->fd = -1;
            }
        }
    }
    return ready;
}

static int64_t now_in_milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until something is ready, for `timeout` milliseconds or, when that is negative, for ever. The number of
 * ready elements, or -1 with errno. */
static int wait_for_any(selection *it, int64_t timeout)
{
    int64_t end = timeout < 0 ? 0 : now_in_milliseconds() + timeout;
    int64_t left = timeout;

    for (;;) {
        int ready = poll(it->fds, it->count, timeout < 0 ? -1 : (int)MIN(left, INT_MAX));
        if (ready > 0) {
            ready = count_ready(it);
        }
        if (ready != 0) {
            return ready;
        }
        left = end - now_in_milliseconds();
        if (timeout >= 0 && left <= 0) {
            return 0;
        }
    }
}

/* poll(2) counts in milliseconds, and a wait must not end early. */
static int64_t in_milliseconds(zend_long seconds, zend_long microseconds)
{
    const zend_long century = 3155760000;

    seconds = MIN(seconds, century) + MIN(microseconds / 1000000, century);
    return (int64_t)seconds * 1000 + (microseconds % 1000000 + 999) / 1000;
}

static int stream_descriptor(zval *element)
{
    php_stream *stream;
    php_socket_t fd = -1;

    php_stream_from_zval_no_verify(stream, element);
    /* "Internal" keeps PHP from warning of buffered data, which is looked at before. */
    if (!stream ||
        php_stream_cast(stream, PHP_STREAM_AS_FD_FOR_SELECT | PHP_STREAM_CAST_INTERNAL, (void *)&fd, 1) != SUCCESS) {
        return -1;
    }
    return fd;
}

/* Streams with data in PHP's own buffer are readable, whatever their descriptor says. When there are any, leaves
 * these in the script's variables and nothing else. */
static zend_long take_buffered(selection *it)
{
    HashTable *kept;
    zend_string *name;
    zend_ulong index;
    zval *element;
    zend_long buffered;

    if (!it->elements[READ]) {
        return 0;
    }
    kept = zend_new_array(0);
    ZEND_HASH_FOREACH_KEY_VAL(it->elements[READ], index, name, element) {
        php_stream *stream;
        zval *plain = element;
        ZVAL_DEREF(plain);
        php_stream_from_zval_no_verify(stream, plain);
        if (stream && stream->writepos > stream->readpos) {
            keep(kept, name, index, element);
        }
    } ZEND_HASH_FOREACH_END();
    buffered = zend_hash_num_elements(kept);
    if (buffered == 0) {
        zend_array_destroy(kept);
        return 0;
    }
    give_back(it->arrays[READ], kept);
    for (int set = WRITE; set < SETS; set++) {
        if (it->arrays[set]) {
            zval_ptr_dtor(it->arrays[set]);
            ZVAL_EMPTY_ARRAY(it->arrays[set]);
        }
    }
    return buffered;
}

static ZEND_FUNCTION(stream_select)
{
    selection it = {0};
    zend_long seconds, microseconds = 0, ready = 0;
    bool for_ever, no_microseconds = true;

    ZEND_PARSE_PARAMETERS_START(4, 5)
        Z_PARAM_ARRAY_EX2(it.arrays[READ], 1, 1, 0)
        Z_PARAM_ARRAY_EX2(it.arrays[WRITE], 1, 1, 0)
        Z_PARAM_ARRAY_EX2(it.arrays[EXCEPT], 1, 1, 0)
        Z_PARAM_LONG_OR_NULL(seconds, for_ever)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG_OR_NULL(microseconds, no_microseconds)
    ZEND_PARSE_PARAMETERS_END();

    gather(&it, stream_descriptor);
    if (it.highest < 0) {
        zend_value_error("No stream arrays were passed");
    } else if (EG(exception)) {
        /* An element was no stream, or a user's stream_cast() threw. */
    } else if (for_ever && !no_microseconds && microseconds != 0) {
        zend_argument_value_error(5, "must be null when argument #4 ($seconds) is null");
    } else if (!for_ever && seconds < 0) {
        zend_argument_value_error(4, "must be greater than or equal to 0");
    } else if (!for_ever && microseconds < 0) {
        zend_argument_value_error(5, "must be greater than or equal to 0");
    } else if ((ready = take_buffered(&it)) == 0) {
        ready = wait_for_any(&it, for_ever ? -1 : in_milliseconds(seconds, microseconds));
        if (ready >= 0) {
            take_ready(&it);
        } else if (!troupe_leaving()) {
            php_error_docref(NULL, E_WARNING, "Unable to select [%d]: %s (max_fd=%d)", errno, strerror(errno),
                             it.highest);
        }
    }
    release(&it);
    if (EG(exception)) {
        RETURN_THROWS();
    }
    if (ready < 0) {
        RETURN_FALSE;
    }
    RETURN_LONG(ready);
}

#ifdef WITH_SOCKETS
static int socket_descriptor(zval *element)
{
    return Z_SOCKET_P(element)->bsd_socket;
}

/* False with an exception where an element is no open socket. */
static bool are_sockets(zval *array, uint32_t argument)
{
    zval *element;

    ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(array), element) {
        ZVAL_DEREF(element);
        if (Z_TYPE_P(element) != IS_OBJECT || Z_OBJCE_P(element) != socket_ce) {
            zend_argument_type_error(argument, "must only have elements of type Socket, %s given",
                                     zend_zval_type_name(element));
            return false;
        }
        if (socket_descriptor(element) < 0) {
            zend_argument_type_error(argument, "contains a closed socket");
            return false;
        }
    } ZEND_HASH_FOREACH_END();
    return true;
}

static ZEND_FUNCTION(socket_select)
{
    selection it = {0};
    zend_long seconds, microseconds = 0, ready = -1;
    bool for_ever = false;

    if (zend_parse_parameters(ZEND_NUM_ARGS(), "a!a!a!l!|l", &it.arrays[READ], &it.arrays[WRITE], &it.arrays[EXCEPT],
                              &seconds, &for_ever, &microseconds) == FAILURE) {
        RETURN_THROWS();
    }
    for (int set = 0; set < SETS; set++) {
        if (it.arrays[set] && !are_sockets(it.arrays[set], (uint32_t)set + 1)) {
            RETURN_THROWS();
        }
    }
    gather(&it, socket_descriptor);
    if (it.count == 0) {
        release(&it);
        zend_value_error("socket_select(): At least one array argument must be passed");
        RETURN_THROWS();
    }
    if (!for_ever && (seconds < 0 || microseconds < 0)) {
        errno = EINVAL;
    } else {
        ready = wait_for_any(&it, for_ever ? -1 : in_milliseconds(seconds, microseconds));
    }
    if (ready >= 0) {
        take_ready(&it);
    } else {
        SOCKETS_G(last_error) = errno;
        if (!troupe_leaving()) {
            php_error_docref(NULL, E_WARNING, "Unable to select [%d]: %s", errno, sockets_strerror(errno));
        }
    }
    release(&it);
    if (ready < 0) {
        RETURN_FALSE;
    }
    RETURN_LONG(ready);
}
#endif

/* Once, before any other PHP thread exists. */
void troupe_select_install(void)
{
    troupe_replace("stream_select", ZEND_FN(stream_select));
#ifdef WITH_SOCKETS
    troupe_replace("socket_select", ZEND_FN(socket_select));
#endif
}
