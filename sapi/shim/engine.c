/* Starts and stops PHP in this process: the SAPI's description, ini settings, versions. */
#include "shim.h"

#include <build-defs.h>
#include <signal.h>

ZEND_TSRMLS_CACHE_DEFINE()

const troupe_callbacks *troupe_rust;
static const troupe_engine_config *engine_config;

/* What php_admin_value is elsewhere: the script may read it but not change it. */
static void lock_ini(const char *names)
{
    char *lines = strdup(names);
    char *rest = lines, *name;

    while (lines && (name = strsep(&rest, "\n")) != NULL) {
        zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), name, strlen(name));
        if (entry) {
            entry->modifiable = ZEND_INI_SYSTEM;
        }
    }
    free(lines);
}

/* When every extension has started, OPcache too, and no thread has copied the tables of functions and settings yet. */
static zend_result install(void)
{
    troupe_observe_errors();
    troupe_signals_install();
    troupe_fork_install();
    troupe_select_install();
    troupe_opcache_install();
    troupe_interrupt_install();
    troupe_stack_install();
    troupe_limit_install();
    troupe_server_vars_install(engine_config->names, engine_config->name_count);
    troupe_query_install();
    troupe_superglobals_install();
    troupe_worker_install();
    troupe_leftovers_install();
    troupe_modes_install();
    troupe_last_calls_install();
    troupe_trace_install();
    /* Every thread gets a copy of the table as it is now, this one too. */
    lock_ini(engine_config->ini_locked);
    return SUCCESS;
}

static int module_startup(sapi_module_struct *module)
{
    zend_post_startup_cb = install;
    return php_module_startup(module, &troupe_module);
}

/* Called with the table that php.ini is read into, before it is: whatever is set there wins. */
static void set_ini_defaults(HashTable *table)
{
    char *lines = strdup(engine_config->ini_defaults);
    char *rest = lines, *line;

    while (lines && (line = strsep(&rest, "\n")) != NULL) {
        char *value = strchr(line, '=');
        if (value) {
            zval setting;
            *value++ = '\0';
            ZVAL_NEW_STR(&setting, zend_string_init(value, strlen(value), 1));
            zend_hash_str_update(table, line, strlen(line), &setting);
        }
    }
    free(lines);
}

static void log_message(const char *message, int syslog_level)
{
    if (troupe_forked) {
        troupe_fork_write(STDERR_FILENO, message, strlen(message));
        troupe_fork_write(STDERR_FILENO, "\n", 1);
        return;
    }
    troupe_rust->log(troupe_self_rust(), syslog_level, (troupe_bytes){message, strlen(message)});
}

static zend_result request_time(double *time)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    return SUCCESS;
}

static char *no_environment(const char *name, size_t len)
{
    return NULL;
}

/* OPcache accepts SAPIs by name, and frameworks detect theirs by it. */
sapi_module_struct troupe_sapi_module = {
    .name = "frankenphp",
    .pretty_name = "Troupe",
    .startup = module_startup,
    .shutdown = php_module_shutdown_wrapper,
    .activate = troupe_activate,
    .ub_write = troupe_ub_write,
    .flush = troupe_flush,
    .getenv = no_environment,
    .sapi_error = php_error,
    .send_headers = troupe_send_headers,
    .read_post = troupe_read_post,
    .read_cookies = troupe_read_cookies,
    .register_server_variables = troupe_register_server_variables,
    .log_message = log_message,
    .get_request_time = request_time,
};

const char *troupe_engine_start(const troupe_engine_config *config, const troupe_callbacks *callbacks)
{
    char *ini_entries; /* the SAPI's own is const from 8.4 on */

    troupe_rust = callbacks;
    engine_config = config;

#if defined(ZEND_SIGNALS)
    return "this PHP was built with Zend signals, which do not work in a multi-threaded server: "
           "configure it with --disable-zend-signals";
#endif
#if !defined(ZEND_MAX_EXECUTION_TIMERS)
    return "this PHP was built without per-thread timers: configure it with --enable-zend-max-execution-timers";
#endif
    signal(SIGPIPE, SIG_IGN);
    if (!php_tsrm_startup()) {
        return "PHP's thread-safe resource manager did not start";
    }
    ZEND_TSRMLS_CACHE_UPDATE();

    sapi_startup(&troupe_sapi_module);
    /* PHP_BINARY: scripts start it as `php`. */
    troupe_sapi_module.executable_location = PHP_BINDIR "/php";
    troupe_sapi_module.php_ini_path_override = config->php_ini ? strdup(config->php_ini) : NULL;
    /* OPcache would kill the process that keeps it from a restart: this one. */
    if (asprintf(&ini_entries, "%sopcache.force_restart_timeout=0\n", config->ini_entries) < 0) {
        return "there is not enough memory for its settings";
    }
    troupe_sapi_module.ini_entries = ini_entries;
    troupe_sapi_module.ini_defaults = set_ini_defaults;
    if (troupe_sapi_module.startup(&troupe_sapi_module) == FAILURE) {
        return "PHP's module start-up failed; the messages before this one say why";
    }
    troupe_opcache_started();
    return NULL;
}

void troupe_engine_stop(void)
{
    php_module_shutdown();
    sapi_shutdown();
    tsrm_shutdown();
}

const char *troupe_php_version(void)
{
    return PHP_VERSION;
}

const char *troupe_zend_version(void)
{
    return ZEND_VERSION;
}

size_t troupe_extensions(const char **names, const char **versions, size_t capacity)
{
    zend_module_entry *module;
    size_t count = 0;

    ZEND_HASH_FOREACH_PTR(&module_registry, module) {
        if (count < capacity) {
            names[count] = module->name;
            versions[count] = module->version;
        }
        count++;
    } ZEND_HASH_FOREACH_END();
    return count;
}
