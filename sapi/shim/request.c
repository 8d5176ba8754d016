/* One request: what the SAPI tells PHP about it, and what PHP sends back. */
#include "shim.h"

/* Points SG(request_info) at the request. Plain assignments: nothing here can bail out. */
void troupe_request_bind(const troupe_request *request)
{
    troupe_self->request = request;
    SG(server_context) = troupe_self;
    SG(sapi_headers).http_response_code = 200;
    SG(request_info).request_method = request->method;
    SG(request_info).query_string = (char *)request->query;
    SG(request_info).request_uri = (char *)request->uri;
    SG(request_info).path_translated = (char *)request->script;
    SG(request_info).content_type = request->content_type;
    SG(request_info).content_length = request->content_length < 0 ? 0 : request->content_length;
    SG(request_info).argc = 0;
    SG(request_info).argv = NULL;
}

void troupe_request_unbind(void)
{
    troupe_self->request = NULL;
    SG(server_context) = NULL;
    SG(request_info).request_method = NULL;
    SG(request_info).query_string = NULL;
    SG(request_info).request_uri = NULL;
    SG(request_info).path_translated = NULL;
    SG(request_info).content_type = NULL;
    SG(request_info).content_type_dup = NULL; /* PHP has freed it, and would again for a script without a request */
    SG(request_info).content_length = 0;
    SG(request_info).cookie_data = NULL;
    SG(request_info).argc = 0;
    SG(request_info).argv = NULL;
}

bool troupe_request_startup(void)
{
    bool begun;

    troupe_limit_before_startup();
    begun = php_request_startup() == SUCCESS;
    troupe_limit_at_activation(); /* which it may not have reached */
    return begun;
}

bool troupe_run_request(troupe_thread *self)
{
    bool begun = false;

    troupe_request_bind(&self->run->request);
    if (troupe_request_startup() && !self->body_cut) {
        begun = true;
        troupe_limit_begin(troupe_limit_of_script());
        troupe_execute(self->run->request.script, NULL);
    }
    php_request_shutdown(NULL);
    troupe_request_unbind();
    troupe_environment_clear();
    return begun;
}

/* The part of sapi_activate that knows the request. Runs inside its try. */
int troupe_activate(void)
{
    const troupe_request *request = troupe_self ? troupe_self->request : NULL;

    troupe_limit_at_activation();
    if (request) {
        SG(request_info).proto_num = (int)request->protocol;
        if (request->authorization) {
            php_handle_auth_data(request->authorization);
        }
    }
    return SUCCESS;
}

size_t troupe_ub_write(const char *bytes, size_t len)
{
    if (troupe_forked) {
        troupe_fork_write(STDOUT_FILENO, bytes, len);
        return len;
    }
    if (!troupe_self || !troupe_self->request) {
        troupe_rust->stray_output(troupe_self_rust(), (troupe_bytes){bytes, len});
        return len;
    }
    if (troupe_rust->write(troupe_self->rust, bytes, len) == TROUPE_IO_GONE) {
        php_handle_aborted_connection();
    }
    return len;
}

void troupe_flush(void *server_context)
{
    if (!troupe_self || !troupe_self->request) {
        return;
    }
    if (!SG(headers_sent)) {
        sapi_send_headers();
    }
    if (troupe_rust->flush(troupe_self->rust) == TROUPE_IO_GONE) {
        php_handle_aborted_connection();
    }
}

/* Cuts "Name: value" at its colon. False for lines that are none. */
static bool split_header(const sapi_header_struct *line, troupe_header *header)
{
    const char *end = line->header + line->header_len;
    const char *colon = memchr(line->header, ':', line->header_len);
    const char *value;

    if (!colon) {
        return false;
    }
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++) {
    }
    header->name = (troupe_bytes){line->header, (size_t)(colon - line->header)};
    header->value = (troupe_bytes){value, (size_t)(end - value)};
    return true;
}

void troupe_with_headers(sapi_headers_struct *headers, void (*send)(const troupe_header *, size_t, void *), void *arg)
{
    troupe_header few[32], *list = few;
    size_t lines = zend_llist_count(&headers->headers), count = 0;
    zend_llist_position position;
    sapi_header_struct *line;

    if (lines > sizeof(few) / sizeof(*few)) {
        list = pemalloc(lines * sizeof(*list), 1);
    }
    for (line = zend_llist_get_first_ex(&headers->headers, &position); line;
         line = zend_llist_get_next_ex(&headers->headers, &position)) {
        count += split_header(line, &list[count]);
    }
    send(list, count, arg);
    if (list != few) {
        pefree(list, 1);
    }
}

static void send_head(const troupe_header *list, size_t count, void *arg)
{
    troupe_rust->set_head(troupe_self->rust, *(int *)arg, list, count);
}

int troupe_send_headers(sapi_headers_struct *headers)
{
    int status = headers->http_response_code;

    if (!troupe_self || !troupe_self->request) {
        return SAPI_HEADER_SENT_SUCCESSFULLY;
    }
    /* header("HTTP/1.1 404 Not here") leaves the code in the line only. */
    if (headers->http_status_line && status == 200) {
        const char *space = strchr(headers->http_status_line, ' ');
        int given = space ? atoi(space + 1) : 0;
        if (given >= 100 && given <= 999) {
            status = given;
        }
    }
    troupe_with_headers(headers, send_head, &status);
    return SAPI_HEADER_SENT_SUCCESSFULLY;
}

size_t troupe_read_post(char *buffer, size_t len)
{
    size_t read = 0;
    troupe_io io;

    if (!troupe_self || !troupe_self->request || len == 0) {
        return 0;
    }
    io = troupe_rust->read_body(troupe_self->rust, buffer, len, &read);
    if (io != TROUPE_IO_OK) {
        /* PHP takes a short read for the end of the body. During start-up the script is not run; later it
         * finds its connection aborted, or is ended. */
        troupe_self->body_cut = true;
        if (io == TROUPE_IO_GONE) {
            PG(connection_status) |= PHP_CONNECTION_ABORTED;
        }
        if (!SG(headers_sent)) {
            SG(sapi_headers).http_response_code = 500;
        }
    }
    return read;
}

char *troupe_read_cookies(void)
{
    return troupe_self && troupe_self->request ? (char *)troupe_self->request->cookie : NULL;
}
