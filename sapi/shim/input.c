/* The end of php://input with the request of a worker script.
 *
 * PHP leaves a body to the end of the script, where it ends with all other resources. Streams of php://input read from
 * it without owning it: those that the script has kept are at their end from here on.
 *
 * Nothing here bails out.
 */
#include "shim.h"

static ssize_t write_nothing(php_stream *stream, const char *buffer, size_t count)
{
    return -1;
}

static ssize_t read_nothing(php_stream *stream, char *buffer, size_t count)
{
    stream->eof = 1;
    return 0;
}

static int close_nothing(php_stream *stream, int close_handle)
{
    efree(stream->abstract);
    return 0;
}

static const php_stream_ops ended = {
    .write = write_nothing,
    .read = read_nothing,
    .close = close_nothing,
    .label = "Ended input",
};

void troupe_input_ends(void)
{
    zend_resource *resource;

    if (!SG(request_info).request_body) {
        return;
    }
    ZEND_HASH_FOREACH_PTR(&EG(regular_list), resource) {
        php_stream *stream = resource->type == php_file_le_stream() ? resource->ptr : NULL;
        if (stream && strcmp(stream->ops->label, "Input") == 0) {
            stream->ops = &ended;
        }
    } ZEND_HASH_FOREACH_END();
    php_stream_close(SG(request_info).request_body);
    SG(request_info).request_body = NULL;
}
