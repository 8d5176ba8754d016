/* Modes that functions set and php.ini does not know: what a worker script's request makes of one is put back.
 *
 * When the loop begins each function is asked for its mode; after that all there is to do is to notice when one is
 * called to change it. Signals are many: what their handler was is asked before the first change.
 */
#include "shim.h"

/* Asked without an argument they tell the mode, with one they set it. */
#define EACH_MODE(of) \
    of(mb_internal_encoding) \
    of(mb_http_output) \
    of(mb_detect_order) \
    of(mb_substitute_character) \
    of(mb_regex_encoding) \
    of(mb_regex_set_options) \
    of(pcntl_async_signals) \
    of(spl_autoload_extensions)

#define NUMBER(function) MODE_##function,
enum { EACH_MODE(NUMBER) MODES };
#define NAME(function) #function,
static const char *const names[] = {EACH_MODE(NAME)};

#define ASSERT_CALLBACK 2
/* From 8.3 on PHP advises against it, whoever calls it. */
#define HAS_ASSERT_OPTIONS (PHP_VERSION_ID < 80300)

/* As they were when the loop began. */
static _Thread_local struct {
    zval modes[MODES];
    zval assert_callback;
    zval mysqli_report; /* undefined where there is no such extension */
    HashTable *signals; /* number => handler, of those that have changed since */
} kept;

/* Since then. */
static _Thread_local bool changed;

#define CHANGES_MODE(function) \
    static zif_handler php_##function; \
    static ZEND_FUNCTION(function) \
    { \
        changed |= ZEND_NUM_ARGS() > 0; \
        php_##function(INTERNAL_FUNCTION_PARAM_PASSTHRU); \
    }
EACH_MODE(CHANGES_MODE)
CHANGES_MODE(assert_options)
CHANGES_MODE(mysqli_report)

static void keep_signal(zend_long signal)
{
    zval number, handler;

    if (!kept.signals) {
        ALLOC_HASHTABLE(kept.signals);
        zend_hash_init(kept.signals, 8, NULL, ZVAL_PTR_DTOR, 0);
    }
    if (!zend_hash_index_exists(kept.signals, (zend_ulong)signal)) {
        ZVAL_LONG(&number, signal);
        troupe_call("pcntl_signal_get_handler", &handler, 1, &number);
        zend_hash_index_add_new(kept.signals, (zend_ulong)signal, &handler);
    }
}

static zif_handler php_pcntl_signal;

static ZEND_FUNCTION(pcntl_signal)
{
    zval *signal = ZEND_NUM_ARGS() > 1 ? ZEND_CALL_ARG(execute_data, 1) : NULL;

    if (troupe_self && troupe_self->kept && signal && Z_TYPE_P(signal) == IS_LONG && Z_LVAL_P(signal) > 0 &&
        Z_LVAL_P(signal) < NSIG) {
        changed = true;
        keep_signal(Z_LVAL_P(signal));
    }
    php_pcntl_signal(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

void troupe_modes_install(void)
{
#define WRAP(function) troupe_wrap(#function, ZEND_FN(function), &php_##function);
    EACH_MODE(WRAP)
    WRAP(assert_options)
    WRAP(mysqli_report)
    WRAP(pcntl_signal)
#undef WRAP
}

static void get_mysqli_report(zval *mode)
{
    zend_class_entry *class = zend_hash_str_find_ptr(CG(class_table), ZEND_STRL("mysqli_driver"));
    zval driver, room;

    if (class) {
        object_init_ex(&driver, class);
        ZVAL_LONG(mode, zval_get_long(zend_read_property(class, Z_OBJ(driver), ZEND_STRL("report_mode"), true, &room)));
        zval_ptr_dtor(&driver);
    }
}

void troupe_modes_keep(void)
{
    zval callback;

    for (int i = 0; i < MODES; i++) {
        troupe_call(names[i], &kept.modes[i], 0, NULL);
    }
    if (HAS_ASSERT_OPTIONS) {
        ZVAL_LONG(&callback, ASSERT_CALLBACK);
        troupe_call("assert_options", &kept.assert_callback, 1, &callback);
    }
    get_mysqli_report(&kept.mysqli_report);
    changed = false;
}

/* `which`, if there is one, comes before the mode. */
static void set(const char *function, zval *which, const zval *mode)
{
    zval arguments[2], *given = arguments, result;

    if (which) {
        ZVAL_COPY_VALUE(given++, which);
    }
    ZVAL_COPY_VALUE(given++, mode);
    troupe_call(function, &result, (uint32_t)(given - arguments), arguments);
    zval_ptr_dtor(&result);
}

static void restore_signals(HashTable *signals)
{
    zend_ulong number;
    zval *handler;

    ZEND_HASH_FOREACH_NUM_KEY_VAL(signals, number, handler) {
        zval signal;
        ZVAL_LONG(&signal, (zend_long)number);
        set("pcntl_signal", &signal, handler);
    } ZEND_HASH_FOREACH_END();
    zend_array_destroy(signals);
}

/* Destructors of what a request has set may bail out. */
void troupe_modes_restore(void)
{
    HashTable *signals = kept.signals;
    zval callback;

    if (EXPECTED(!changed)) {
        return;
    }
    changed = false;
    for (int i = 0; i < MODES; i++) {
        set(names[i], NULL, &kept.modes[i]);
    }
    if (HAS_ASSERT_OPTIONS) {
        ZVAL_LONG(&callback, ASSERT_CALLBACK);
        set("assert_options", &callback, &kept.assert_callback);
    }
    if (!Z_ISUNDEF(kept.mysqli_report)) {
        set("mysqli_report", NULL, &kept.mysqli_report);
    }
    kept.signals = NULL;
    if (signals) {
        restore_signals(signals);
    }
}

/* The script ends. */
void troupe_modes_release(void)
{
    for (int i = 0; i < MODES; i++) {
        zval_ptr_dtor(&kept.modes[i]);
    }
    zval_ptr_dtor(&kept.assert_callback);
    if (kept.signals) {
        zend_array_destroy(kept.signals);
    }
    memset(&kept, 0, sizeof(kept));
}
