/* The end of a stack that PHP runs on: a fatal error of the script that came there, not the end of the process.
 *
 * Before 8.3 PHP does not watch the C stack, which recursion through internal functions and conversions uses up.
 * So the last part of each PHP thread's stack, and of each fiber's, is a reserve that may not be touched. The first
 * access opens it: the handler makes it usable, asks for an interrupt and returns, so that whatever was going on
 * goes on with what is left, and PHP ends the script at the next function it enters. Nothing is left half done, no
 * lock stays held. Once a thread's stack is unwound its reserve is closed again; a fiber's goes with the fiber.
 *
 * What never enters a function on its way (the destruction of a chain of millions of objects) goes through the
 * reserve to the guard page behind it.
 *
 * Nothing here bails out.
 */
#include "shim.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zend_fibers.h>

/* For what C code does before it calls PHP again, and then for the error's way to log and client. */
#define RESERVE ((size_t)8 * 1024 * 1024)

/* Of a fiber's stack, which is 2 MiB unless fiber.stack_size says otherwise. */
#define RESERVE_OF_FIBER(size) ((size) / 4)

/* Frames that may lie below the caller's when the stack is said to be unwound. */
#define MARGIN ((size_t)64 * 1024)

static const bool PHP_WATCHES = PHP_VERSION_ID >= 80300;

typedef enum reserve_state { NO_RESERVE, CLOSED, OPENED, REPORTED } reserve_state;

typedef struct reserve {
    char *lowest;
    size_t size;
    size_t stack; /* the size of all of it */
    volatile reserve_state state;
} reserve;

/* The beginning of PHP's own struct _zend_fiber_stack, which no header tells. The same in all of 8.2. */
typedef struct fiber_stack {
    char *lowest;
    size_t size;
} fiber_stack;

/* The thread's, and that of the fiber it is in. */
static _Thread_local reserve of_thread, of_fiber;
static _Thread_local zend_atomic_bool *vm_interrupt;

static struct sigaction next_handler;

static bool protect(const reserve *part, int protection)
{
    return mprotect(part->lowest, part->size, protection) == 0;
}

/* True when the fault was an access to this closed reserve, which is open now. */
static bool opens(reserve *part, const char *address)
{
    if (part->state != CLOSED || address < part->lowest || address >= part->lowest + part->size ||
        !protect(part, PROT_READ | PROT_WRITE)) {
        return false;
    }
    part->state = OPENED;
    zend_atomic_bool_store_ex(vm_interrupt, true);
    return true;
}

/* Async-signal-safe; on the thread's signal stack. */
static void on_fault(int signal, siginfo_t *fault, void *context)
{
    if (opens(&of_thread, fault->si_addr) || opens(&of_fiber, fault->si_addr)) {
        return;
    }
    if (next_handler.sa_flags & SA_SIGINFO) {
        next_handler.sa_sigaction(signal, fault, context);
    } else {
        /* The fault, met again, ends the process. */
        sigaction(signal, &next_handler, NULL);
    }
}

static reserve reserve_of(const zend_fiber_context *fiber)
{
    const fiber_stack *stack = (const fiber_stack *)fiber->stack;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    if (!stack || !vm_interrupt) {
        return (reserve){.state = NO_RESERVE}; /* the thread itself, or one without a signal stack */
    }
    return (reserve){
        .lowest = stack->lowest,
        .size = RESERVE_OF_FIBER(stack->size) & ~(page - 1),
        .stack = stack->size,
        .state = CLOSED,
    };
}

static void on_fiber_created(zend_fiber_context *fiber)
{
    reserve part = reserve_of(fiber);

    if (part.state == CLOSED && part.size > 0) {
        protect(&part, PROT_NONE);
    }
}

static void on_fiber_switch(zend_fiber_context *from, zend_fiber_context *to)
{
    of_fiber = reserve_of(to);
}

/* Once, before any other PHP thread exists. */
void troupe_stack_install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigfillset(&action.sa_mask);
    if (!PHP_WATCHES) {
        sigaction(SIGSEGV, &action, &next_handler);
        zend_observer_fiber_init_register(on_fiber_created);
        zend_observer_fiber_switch_register(on_fiber_switch);
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
        of_thread.lowest = (char *)(((uintptr_t)lowest + guard + page - 1) & ~(page - 1));
        of_thread.size = RESERVE;
        of_thread.stack = size;
        vm_interrupt = &EG(vm_interrupt);
        of_thread.state = protect(&of_thread, PROT_NONE) ? CLOSED : NO_RESERVE;
    }
    pthread_attr_destroy(&attributes);
}

/* At an interrupt: the size of the stack that is used up, once for each time that a reserve was opened; or 0. */
size_t troupe_stack_spent(void)
{
    reserve *part = of_fiber.state == OPENED ? &of_fiber : &of_thread;

    if (part->state != OPENED) {
        return 0;
    }
    part->state = REPORTED;
    return part->stack;
}

/* The script is left: gives back what its recursion took, and closes the reserve. */
void troupe_stack_unwound(void)
{
    char here;
    uintptr_t page, end;

    of_fiber.state = NO_RESERVE;
    if (EXPECTED(of_thread.state < OPENED)) {
        return;
    }
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    end = ((uintptr_t)&here - MARGIN) & ~(page - 1);
    madvise(of_thread.lowest, end - (uintptr_t)of_thread.lowest, MADV_DONTNEED);
    of_thread.state = protect(&of_thread, PROT_NONE) ? CLOSED : NO_RESERVE;
}

/* The C library may give the stack to another thread. */
void troupe_stack_leave(void)
{
    if (of_thread.state == CLOSED) {
        protect(&of_thread, PROT_READ | PROT_WRITE);
    }
    of_thread.state = NO_RESERVE;
    vm_interrupt = NULL;
}
