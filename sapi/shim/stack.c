/* The end of a PHP thread's stack: a fatal error of the script that came there, not the end of the process.
 *
 * Before 8.3 PHP does not watch the C stack, which recursion through internal functions and conversions uses up.
 * So the last part of each thread's stack is a reserve that may not be touched. The first access opens it: the
 * handler makes it usable, asks for an interrupt and returns, so that whatever was going on goes on with what is
 * left, and PHP ends the script at the next function it enters. Nothing is left half done, no lock stays held.
 * Once the stack is unwound the reserve is closed again.
 *
 * What never enters a function on its way (the destruction of a chain of millions of objects) goes through the
 * reserve to the guard page behind it, and so do fibers, which have small stacks of their own.
 *
 * Nothing here bails out.
 */
#include "shim.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* For what C code does before it calls PHP again, and then for the error's way to log and client. */
#define RESERVE ((size_t)8 * 1024 * 1024)

static const bool PHP_WATCHES = PHP_VERSION_ID >= 80300;

/* Frames that may lie below the caller's when the stack is said to be unwound. */
#define MARGIN ((size_t)64 * 1024)

typedef enum reserve_state { NO_RESERVE, CLOSED, OPENED, REPORTED } reserve_state;

static _Thread_local struct {
    char *lowest; /* what of the stack's end is left out belongs to the guard */
    size_t size; /* of the whole stack */
    zend_atomic_bool *vm_interrupt;
    volatile reserve_state state;
} reserve;

static struct sigaction next_handler;

static bool protect(int protection)
{
    return mprotect(reserve.lowest, RESERVE, protection) == 0;
}

/* Async-signal-safe; on the thread's signal stack. */
static void on_fault(int signal, siginfo_t *fault, void *context)
{
    const char *address = fault->si_addr;

    if (reserve.state == CLOSED && address >= reserve.lowest && address < reserve.lowest + RESERVE &&
        protect(PROT_READ | PROT_WRITE)) {
        reserve.state = OPENED;
        zend_atomic_bool_store_ex(reserve.vm_interrupt, true);
        return;
    }
    if (next_handler.sa_flags & SA_SIGINFO) {
        next_handler.sa_sigaction(signal, fault, context);
    } else {
        /* The fault, met again, ends the process. */
        sigaction(signal, &next_handler, NULL);
    }
}

/* Once, before any other PHP thread exists. */
void troupe_stack_install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigfillset(&action.sa_mask);
    if (!PHP_WATCHES) {
        sigaction(SIGSEGV, &action, &next_handler);
    }
}

/* The thread has its PHP context. */
void troupe_stack_enter(void)
{
    pthread_attr_t attributes;
    stack_t signals;
    void *lowest;
    size_t size, guard;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    /* Without a stack of their own signal handlers could not run at the end of this one. */
    if (PHP_WATCHES || sigaltstack(NULL, &signals) != 0 || (signals.ss_flags & SS_DISABLE) ||
        pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return;
    }
    if (pthread_attr_getstack(&attributes, &lowest, &size) == 0 &&
        pthread_attr_getguardsize(&attributes, &guard) == 0 && size > guard + 4 * RESERVE) {
        /* Older C libraries count the guard as part of the stack. */
        reserve.lowest = (char *)(((uintptr_t)lowest + guard + page - 1) & ~(page - 1));
        reserve.size = size;
        reserve.vm_interrupt = &EG(vm_interrupt);
        reserve.state = protect(PROT_NONE) ? CLOSED : NO_RESERVE;
    }
    pthread_attr_destroy(&attributes);
}

/* At an interrupt: true once for each time that the reserve was opened. */
bool troupe_stack_is_spent(void)
{
    if (reserve.state != OPENED) {
        return false;
    }
    reserve.state = REPORTED;
    return true;
}

/* The script is left: gives back what its recursion took, and closes the reserve. */
void troupe_stack_unwound(void)
{
    char here;
    uintptr_t page, end;

    if (EXPECTED(reserve.state < OPENED)) {
        return;
    }
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    end = ((uintptr_t)&here - MARGIN) & ~(page - 1);
    madvise(reserve.lowest, end - (uintptr_t)reserve.lowest, MADV_DONTNEED);
    reserve.state = protect(PROT_NONE) ? CLOSED : NO_RESERVE;
}

/* The C library may give the stack to another thread. */
void troupe_stack_leave(void)
{
    if (reserve.state == CLOSED) {
        protect(PROT_READ | PROT_WRITE);
    }
    reserve.state = NO_RESERVE;
}

size_t troupe_stack_size(void)
{
    return reserve.size;
}
