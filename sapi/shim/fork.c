/* The child of a script that forks: it has one thread, and must not touch what belonged to the others.
 *
 * Locks may have been held by threads that are no more, so the child never enters Rust again: without a pointer to
 * its Rust side every callback fails at once. Its output goes where a program's goes, and at the end of its script
 * the process ends. What proc_open() starts passes here too, on its way to exec.
 */
#include "shim.h"

#include <pthread.h>
#include <unistd.h>

bool troupe_forked;

static void in_child(void)
{
    if (troupe_self) {
        troupe_forked = true;
        troupe_self->rust = NULL;
        troupe_self->request = NULL;
    }
}

void troupe_fork_install(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

void troupe_fork_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written <= 0) {
            return;
        }
        bytes += written;
        len -= (size_t)written;
    }
}

/* The end of the run, in whichever process. */
void troupe_fork_end(void)
{
    if (troupe_forked) {
        _exit(EG(exit_status));
    }
}
