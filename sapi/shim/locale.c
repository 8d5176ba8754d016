/* setlocale() per thread.
 *
 * The C library's changes the locale of the whole process, under the feet of threads that format or compare. The
 * executable's own, which PHP and its libraries get, changes that of the calling PHP thread (uselocale) and answers
 * from it. Threads that run no PHP share the process's locale, which nobody changes once PHP has started.
 *
 * Nothing here enters PHP.
 */
#include "shim.h"

#include <dlfcn.h>
#include <langinfo.h>
#include <locale.h>

/* glibc's order, in which it also spells the name of a mixture. */
static const struct {
    int category;
    int mask;
    const char *name;
} categories[] = {
    {LC_CTYPE, LC_CTYPE_MASK, "LC_CTYPE"},
    {LC_NUMERIC, LC_NUMERIC_MASK, "LC_NUMERIC"},
    {LC_TIME, LC_TIME_MASK, "LC_TIME"},
    {LC_COLLATE, LC_COLLATE_MASK, "LC_COLLATE"},
    {LC_MONETARY, LC_MONETARY_MASK, "LC_MONETARY"},
    {LC_MESSAGES, LC_MESSAGES_MASK, "LC_MESSAGES"},
    {LC_PAPER, LC_PAPER_MASK, "LC_PAPER"},
    {LC_NAME, LC_NAME_MASK, "LC_NAME"},
    {LC_ADDRESS, LC_ADDRESS_MASK, "LC_ADDRESS"},
    {LC_TELEPHONE, LC_TELEPHONE_MASK, "LC_TELEPHONE"},
    {LC_MEASUREMENT, LC_MEASUREMENT_MASK, "LC_MEASUREMENT"},
    {LC_IDENTIFICATION, LC_IDENTIFICATION_MASK, "LC_IDENTIFICATION"},
};
#define CATEGORIES (sizeof(categories) / sizeof(*categories))

static _Thread_local locale_t own;
static _Thread_local char mixture[2048];

void troupe_locale_clear(void)
{
    if (own) {
        uselocale(LC_GLOBAL_LOCALE);
        freelocale(own);
        own = NULL;
    }
}

static const char *name_of(int category)
{
    return nl_langinfo(NL_LOCALE_NAME(category));
}

/* One name when all categories have the same, else "LC_CTYPE=...;LC_NUMERIC=...;...". */
static char *name_of_all(void)
{
    bool same = true;
    size_t len = 0;

    for (size_t i = 1; i < CATEGORIES; i++) {
        same = same && strcmp(name_of(categories[i].category), name_of(LC_CTYPE)) == 0;
    }
    if (same) {
        return (char *)name_of(LC_CTYPE);
    }
    for (size_t i = 0; i < CATEGORIES && len < sizeof(mixture); i++) {
        len += (size_t)snprintf(mixture + len, sizeof(mixture) - len, "%s%s=%s", i > 0 ? ";" : "", categories[i].name,
                                name_of(categories[i].category));
    }
    return mixture;
}

static int mask_of(int category)
{
    for (size_t i = 0; i < CATEGORIES; i++) {
        if (categories[i].category == category) {
            return categories[i].mask;
        }
    }
    return category == LC_ALL ? LC_ALL_MASK : 0;
}

/* False when there is no such locale; then nothing has changed. */
static bool change(int mask, const char *name)
{
    locale_t copy = mask ? duplocale(uselocale(NULL)) : NULL;
    locale_t changed = copy ? newlocale(mask, name, copy) : NULL;

    if (!changed) {
        if (copy) {
            freelocale(copy);
        }
        return false;
    }
    uselocale(changed);
    if (own) {
        freelocale(own);
    }
    own = changed;
    return true;
}

char *setlocale(int category, const char *name)
{
    static __typeof__(&setlocale) real;
    __typeof__(&setlocale) found = __atomic_load_n(&real, __ATOMIC_RELAXED);

    if (UNEXPECTED(!found)) {
        found = (__typeof__(&setlocale))dlsym(RTLD_NEXT, "setlocale");
        __atomic_store_n(&real, found, __ATOMIC_RELAXED);
    }
    if (!troupe_self) {
        return found(category, name);
    }
    if (name && !change(mask_of(category), name)) {
        return NULL;
    }
    if (category == LC_ALL) {
        return name_of_all();
    }
    return mask_of(category) ? (char *)name_of(category) : NULL;
}
