/* PHP values that cross threads.
 *
 * A value is checked, then copied into persistent memory that no thread's memory manager owns, and is never
 * written again. Arrays carry GC_IMMUTABLE and strings IS_STR_INTERNED, with hashes computed, so that a reader
 * may use them in place while it holds the value: PHP copies such arrays before it writes and counts no
 * references of either. Enum cases are objects of one thread; they travel as names and are looked up again.
 *
 * Checking and copying never bail out: they allocate persistent memory only. Restoring does what PHP code does
 * and may throw or bail out.
 */
#include "shim.h"

#include <ext/spl/spl_exceptions.h>
#include <zend_enum.h>
#include <zend_smart_str.h>

#define MAX_DEPTH 512

struct troupe_value {
    zval root;
    bool in_place; /* no enum case inside: readers may use it without a copy */
    size_t bytes;
};

/* An enum case in transit. Stands in the tree as IS_PTR. */
typedef struct enum_case {
    zend_string *class_name;
    zend_string *case_name;
} enum_case;

/* --- check --- */

static void name_path(smart_str *path, zend_ulong index, const zend_string *key)
{
    smart_str_appendc(path, '[');
    if (key) {
        smart_str_appendc(path, '\'');
        smart_str_append(path, key);
        smart_str_appendc(path, '\'');
    } else {
        smart_str_append_long(path, (zend_long)index);
    }
    smart_str_appendc(path, ']');
}

/* NULL when the value may travel; else what is wrong, and `path` names the place from the inside out. */
static const char *check(const zval *value, int depth, smart_str *path);

static const char *check_array(HashTable *array, int depth, smart_str *path)
{
    const char *wrong = NULL;
    zend_ulong index;
    zend_string *key;
    zval *element;

    if (depth >= MAX_DEPTH) {
        return "arrays nested deeper than 512 levels are not supported";
    }
    if (GC_IS_RECURSIVE(array)) {
        return "recursive arrays are not supported";
    }
    GC_TRY_PROTECT_RECURSION(array);
    ZEND_HASH_FOREACH_KEY_VAL(array, index, key, element) {
        wrong = check(element, depth + 1, path);
        if (wrong) {
            smart_str outer = {0};
            name_path(&outer, index, key);
            smart_str_append_smart_str(&outer, path);
            smart_str_free(path);
            *path = outer;
            break;
        }
    } ZEND_HASH_FOREACH_END();
    GC_TRY_UNPROTECT_RECURSION(array);
    return wrong;
}

static const char *check(const zval *value, int depth, smart_str *path)
{
    switch (Z_TYPE_P(value)) {
    case IS_UNDEF:
    case IS_NULL:
    case IS_FALSE:
    case IS_TRUE:
    case IS_LONG:
    case IS_DOUBLE:
    case IS_STRING:
        return NULL;
    case IS_ARRAY:
        return check_array(Z_ARRVAL_P(value), depth, path);
    case IS_INDIRECT:
        return check(Z_INDIRECT_P(value), depth, path);
    case IS_REFERENCE:
        /* A reference that nobody else holds is how PHP leaves a value behind; it is a value. */
        return Z_REFCOUNT_P(value) == 1 ? check(Z_REFVAL_P(value), depth, path) : "references are not supported";
    case IS_OBJECT:
        return Z_OBJCE_P(value)->ce_flags & ZEND_ACC_ENUM ? NULL : "objects are not supported";
    case IS_RESOURCE:
        return "resources are not supported";
    default:
        return "this type is not supported";
    }
}

/* Throws a ValueError that names the place, and returns false, when the value may not travel. */
bool troupe_value_check(zval *value, uint32_t argument)
{
    smart_str path = {0};
    const char *wrong = check(value, 0, &path);

    if (wrong) {
        smart_str_0(&path);
        zend_argument_value_error(argument, "must hold only values that can be sent: %s, at %s", wrong,
                                  path.s ? ZSTR_VAL(path.s) : "the top");
    }
    smart_str_free(&path);
    return !wrong;
}

/* --- copy --- */

static void freeze(zend_string *string)
{
    zend_string_hash_val(string);
    GC_ADD_FLAGS(string, IS_STR_INTERNED);
}

static zend_string *copy_string(const zend_string *string, size_t *bytes)
{
    zend_string *copy = zend_string_init(ZSTR_VAL(string), ZSTR_LEN(string), 1);
    freeze(copy);
    *bytes += _ZSTR_STRUCT_SIZE(ZSTR_LEN(string));
    return copy;
}

static void copy_value(zval *to, const zval *from, troupe_value *value);

static zend_array *copy_array(const zend_array *array, troupe_value *value)
{
    zend_array *copy = pemalloc(sizeof(*copy), 1);
    zend_ulong index;
    zend_string *key;
    zval *element;

    zend_hash_init(copy, zend_hash_num_elements(array), NULL, NULL, 1);
    ZEND_HASH_FOREACH_KEY_VAL_IND((zend_array *)array, index, key, element) {
        zval element_copy;
        copy_value(&element_copy, element, value);
        if (key) {
            zend_string *key_copy = copy_string(key, &value->bytes);
            zend_hash_add_new(copy, key_copy, &element_copy);
        } else {
            zend_hash_index_add_new(copy, index, &element_copy);
        }
    } ZEND_HASH_FOREACH_END();
    copy->nNextFreeElement = array->nNextFreeElement;
    value->bytes += sizeof(*copy) + (HT_IS_PACKED(copy) ? HT_PACKED_SIZE(copy) : HT_SIZE(copy));
    GC_SET_REFCOUNT(copy, 2);
    GC_ADD_FLAGS(copy, GC_IMMUTABLE);
    return copy;
}

static void copy_value(zval *to, const zval *from, troupe_value *value)
{
    switch (Z_TYPE_P(from)) {
    case IS_UNDEF:
        ZVAL_NULL(to);
        break;
    case IS_STRING:
        if (ZSTR_LEN(Z_STR_P(from)) == 0) {
            ZVAL_EMPTY_STRING(to);
        } else {
            ZVAL_INTERNED_STR(to, copy_string(Z_STR_P(from), &value->bytes));
        }
        break;
    case IS_ARRAY:
        if (zend_hash_num_elements(Z_ARRVAL_P(from)) == 0) {
            ZVAL_EMPTY_ARRAY(to);
        } else {
            ZVAL_ARR(to, copy_array(Z_ARRVAL_P(from), value));
            Z_TYPE_FLAGS_P(to) = 0; /* immutable: nobody counts */
        }
        break;
    case IS_REFERENCE:
        copy_value(to, Z_REFVAL_P(from), value);
        break;
    case IS_OBJECT: {
        enum_case *travelling = pemalloc(sizeof(*travelling), 1);
        travelling->class_name = copy_string(Z_OBJCE_P(from)->name, &value->bytes);
        travelling->case_name = copy_string(Z_STR_P(zend_enum_fetch_case_name(Z_OBJ_P(from))), &value->bytes);
        ZVAL_PTR(to, travelling);
        value->in_place = false;
        break;
    }
    default:
        ZVAL_COPY_VALUE(to, from);
    }
}

/* The value must have been checked. */
troupe_value *troupe_value_copy(const zval *value)
{
    troupe_value *copy = pemalloc(sizeof(*copy), 1);

    copy->in_place = true;
    copy->bytes = sizeof(*copy);
    copy_value(&copy->root, value, copy);
    return copy;
}

/* --- free --- */

static void free_string(zend_string *string)
{
    /* Permanent interned strings (the empty one, single characters) are never ours: copies carry no
     * IS_STR_PERMANENT. */
    if (!(GC_FLAGS(string) & IS_STR_PERMANENT)) {
        pefree(string, 1);
    }
}

static void free_value(zval *value)
{
    switch (Z_TYPE_P(value)) {
    case IS_STRING:
        free_string(Z_STR_P(value));
        break;
    case IS_PTR: {
        enum_case *travelling = Z_PTR_P(value);
        free_string(travelling->class_name);
        free_string(travelling->case_name);
        pefree(travelling, 1);
        break;
    }
    case IS_ARRAY: {
        zend_array *array = Z_ARRVAL_P(value);
        zend_string *key;
        zval *element;
        if (array == &zend_empty_array) {
            break;
        }
        ZEND_HASH_FOREACH_STR_KEY_VAL(array, key, element) {
            if (key) {
                free_string(key);
            }
            free_value(element);
        } ZEND_HASH_FOREACH_END();
        if (!(HT_FLAGS(array) & HASH_FLAG_UNINITIALIZED)) {
            pefree(HT_GET_DATA_ADDR(array), 1);
        }
        pefree(array, 1);
        break;
    }
    default:
        break;
    }
}

void troupe_value_free(troupe_value *value)
{
    free_value(&value->root);
    pefree(value, 1);
}

size_t troupe_value_bytes(const troupe_value *value)
{
    return value->bytes;
}

/* --- compare --- */

static bool equals(const zval *stored, const zval *value)
{
    if (Z_TYPE_P(value) == IS_REFERENCE) {
        value = Z_REFVAL_P(value);
    }
    if (Z_TYPE_P(stored) == IS_PTR) {
        const enum_case *travelling = Z_PTR_P(stored);
        return Z_TYPE_P(value) == IS_OBJECT &&
               zend_string_equals(travelling->class_name, Z_OBJCE_P(value)->name) &&
               zend_string_equals(travelling->case_name, Z_STR_P(zend_enum_fetch_case_name(Z_OBJ_P(value))));
    }
    if (Z_TYPE_P(stored) != Z_TYPE_P(value)) {
        return false;
    }
    if (Z_TYPE_P(stored) != IS_ARRAY) {
        return zend_is_identical((zval *)stored, (zval *)value);
    }
    const zend_array *left = Z_ARRVAL_P(stored), *right = Z_ARRVAL_P(value);
    HashPosition at_left = 0, at_right = 0;
    if (zend_hash_num_elements(left) != zend_hash_num_elements(right)) {
        return false;
    }
    for (;;) {
        zend_string *left_key, *right_key;
        zend_ulong left_index, right_index;
        int left_type = zend_hash_get_current_key_ex(left, &left_key, &left_index, &at_left);
        int right_type = zend_hash_get_current_key_ex(right, &right_key, &right_index, &at_right);
        if (left_type != right_type) {
            return false;
        }
        if (left_type == HASH_KEY_NON_EXISTENT) {
            return true;
        }
        if (left_type == HASH_KEY_IS_STRING ? !zend_string_equals(left_key, right_key) : left_index != right_index) {
            return false;
        }
        if (!equals(zend_hash_get_current_data_ex((zend_array *)left, &at_left),
                    zend_hash_get_current_data_ex((zend_array *)right, &at_right))) {
            return false;
        }
        zend_hash_move_forward_ex((zend_array *)left, &at_left);
        zend_hash_move_forward_ex((zend_array *)right, &at_right);
    }
}

/* As === would say. */
bool troupe_value_equals(const troupe_value *stored, const zval *value)
{
    return equals(&stored->root, value);
}

/* --- restore --- */

static bool restore_enum(zval *to, const enum_case *travelling)
{
    /* Names of our own: an autoloader may keep what it is given, and the frozen ones go with the value. */
    zend_string *class_name = zend_string_init(ZSTR_VAL(travelling->class_name), ZSTR_LEN(travelling->class_name), 0);
    zend_class_entry *class = zend_lookup_class(class_name);
    zend_class_constant *constant;

    zend_string_release(class_name);
    if (EG(exception)) {
        return false;
    }
    if (!class || !(class->ce_flags & ZEND_ACC_ENUM)) {
        zend_throw_exception_ex(spl_ce_LogicException, 0, "enum \"%s\" is not known here",
                                ZSTR_VAL(travelling->class_name));
        return false;
    }
    constant = zend_hash_find_ptr(CE_CONSTANTS_TABLE(class), travelling->case_name);
    if (!constant || !(ZEND_CLASS_CONST_FLAGS(constant) & ZEND_CLASS_CONST_IS_CASE)) {
        zend_throw_exception_ex(spl_ce_LogicException, 0, "enum \"%s\" has no case \"%s\" here", ZSTR_VAL(class->name),
                                ZSTR_VAL(travelling->case_name));
        return false;
    }
    zend_string *case_name = zend_string_init(ZSTR_VAL(travelling->case_name), ZSTR_LEN(travelling->case_name), 0);
    ZVAL_OBJ_COPY(to, zend_enum_get_case(class, case_name));
    zend_string_release(case_name);
    return true;
}

/* On failure `to` holds what could be restored, to be destroyed by the caller. */
static bool restore_value(zval *to, const zval *from)
{
    switch (Z_TYPE_P(from)) {
    case IS_STRING:
        if (GC_FLAGS(Z_STR_P(from)) & IS_STR_PERMANENT) {
            ZVAL_COPY_VALUE(to, from);
        } else {
            ZVAL_STRINGL(to, Z_STRVAL_P(from), Z_STRLEN_P(from));
        }
        return true;
    case IS_PTR:
        ZVAL_NULL(to);
        return restore_enum(to, Z_PTR_P(from));
    case IS_ARRAY: {
        zend_ulong index;
        zend_string *key;
        zval *element;
        if (Z_ARRVAL_P(from) == &zend_empty_array) {
            ZVAL_EMPTY_ARRAY(to);
            return true;
        }
        array_init_size(to, zend_hash_num_elements(Z_ARRVAL_P(from)));
        ZEND_HASH_FOREACH_KEY_VAL(Z_ARRVAL_P(from), index, key, element) {
            zval restored;
            bool whole = restore_value(&restored, element);
            if (key) {
                /* A key of our own: the frozen one goes with the value. */
                zend_string *own = zend_string_init(ZSTR_VAL(key), ZSTR_LEN(key), 0);
                zend_hash_add_new(Z_ARRVAL_P(to), own, &restored);
                zend_string_release(own);
            } else {
                zend_hash_index_add_new(Z_ARRVAL_P(to), index, &restored);
            }
            if (!whole) {
                return false;
            }
        } ZEND_HASH_FOREACH_END();
        Z_ARRVAL_P(to)->nNextFreeElement = Z_ARRVAL_P(from)->nNextFreeElement;
        return true;
    }
    default:
        ZVAL_COPY_VALUE(to, from);
        return true;
    }
}

/* A copy in this thread's memory. False with an exception when an enum case is unknown here. */
bool troupe_value_restore(zval *to, const troupe_value *value)
{
    if (!restore_value(to, &value->root)) {
        zval_ptr_dtor(to);
        ZVAL_NULL(to);
        return false;
    }
    return true;
}

/* The value itself, without a copy; false where that is not possible. The caller keeps the value alive until the
 * request has been shut down. */
bool troupe_value_use(zval *to, const troupe_value *value)
{
    if (value->in_place) {
        ZVAL_COPY_VALUE(to, &value->root);
    }
    return value->in_place;
}
