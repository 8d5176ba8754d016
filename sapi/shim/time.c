/* The time of day spelled out, with an answer for each thread: OPcache does so for each script of
 * opcache_get_status(), in memory that the C library has once for all threads.
 *
 * Nothing here enters PHP, so nothing bails out. sapi/build.rs lists these names for the linker.
 */
#include <time.h>

struct tm *localtime(const time_t *at)
{
    static _Thread_local struct tm parts;

    tzset(); /* which localtime_r() need not do */
    return localtime_r(at, &parts);
}

char *asctime(const struct tm *parts)
{
    static _Thread_local char text[26];

    return asctime_r(parts, text);
}
