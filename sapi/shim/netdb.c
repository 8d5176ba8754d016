/* The databases of protocols and services, with an answer for each thread.
 *
 * The C library keeps what it has found in one place for all threads, and PHP reads it there. So the executable
 * defines these functions itself, as it does those of interpose.c, by the C library's own that leave the answer to
 * the caller. It holds until the thread's next question. Nothing here enters PHP, so nothing bails out.
 */
#include "shim.h"

#include <netdb.h>

/* More than any line of /etc/services takes. */
static _Thread_local char buffer[8192];
static _Thread_local struct protoent protocol;
static _Thread_local struct servent service;

struct protoent *getprotobyname(const char *name)
{
    struct protoent *found;

    return getprotobyname_r(name, &protocol, buffer, sizeof(buffer), &found) == 0 ? found : NULL;
}

struct protoent *getprotobynumber(int number)
{
    struct protoent *found;

    return getprotobynumber_r(number, &protocol, buffer, sizeof(buffer), &found) == 0 ? found : NULL;
}

struct servent *getservbyname(const char *name, const char *transport)
{
    struct servent *found;

    return getservbyname_r(name, transport, &service, buffer, sizeof(buffer), &found) == 0 ? found : NULL;
}

struct servent *getservbyport(int port, const char *transport)
{
    struct servent *found;

    return getservbyport_r(port, transport, &service, buffer, sizeof(buffer), &found) == 0 ? found : NULL;
}
