/* What PHP remembers of its last calls, and forgets at the end of a request: what went wrong, what strtok() cuts. A
 * worker script's request finds nothing of the one before it. (Errors of preg_*(), OpenSSL and sockets PHP itself keeps
 * from one request to the next.)
 *
 * Nearly no request leaves any of it, so that all there is to do between two of them is to look.
 */
#include "shim.h"

#include <dlfcn.h>

#include <ext/date/php_date.h>

static void (*forget_xml_error)(void);
static zend_module_entry *date_module, *intl_module, *json_module;

void troupe_last_calls_install(void)
{
    forget_xml_error = (__typeof__(forget_xml_error))dlsym(RTLD_DEFAULT, "xmlResetLastError");
    date_module = troupe_module_of("date");
    intl_module = troupe_module_of("intl");
    json_module = troupe_module_of("json");
}

/* A date that is right has no errors. */
static void forget_date_errors(void)
{
    if (UNEXPECTED(TSRMG_BULK(*date_module->globals_id_ptr, zend_date_globals *)->last_errors)) {
        zval date;
        troupe_call("date_create", &date, 0, NULL);
        zval_ptr_dtor(&date);
    }
}

static void forget_strtok(void)
{
    if (UNEXPECTED(BG(strtok_string))) {
        zend_string_release(BG(strtok_string));
        BG(strtok_string) = NULL;
    }
}

void troupe_last_calls_forget(void)
{
    troupe_begin_request_of(json_module);
    troupe_end_request_of(intl_module);
    if (forget_xml_error) {
        forget_xml_error();
    }
    forget_date_errors();
    forget_strtok();
}
