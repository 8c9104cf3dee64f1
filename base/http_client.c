#include "base/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/http_guard.h"
#include "base/version.h"

struct http_client {
    CURL *curl;
    char *ca_file;
    char *proxy;
    uint32_t connect_ms;
    uint32_t call_ms;
    bool is_guarded;
    bool guard_refused;  // an address of the present call
    atomic_bool is_stopped;
    const atomic_bool *are_stopped;  // all of its kind; NULL: none
    char words[CURL_ERROR_SIZE];
};

// ---- life

static pthread_once_t libcurl_once = PTHREAD_ONCE_INIT;
static CURLcode libcurl_status;

static void start_libcurl(void) {
    libcurl_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

// A copy, or NULL for NULL. False if memory runs out.
static bool copy_text(const char *text, char **copy) {
    *copy = text == NULL ? NULL : strdup(text);
    return text == NULL || *copy != NULL;
}

bool http_client_create(const struct http_client_options *options, struct http_client **client,
                        struct fault *fault) {
    if (options->is_guarded && options->proxy != NULL) {
        return fault_set(fault, FAULT_INPUT,
                         "addresses cannot be checked through a proxy: set one or the other");
    }
    pthread_once(&libcurl_once, start_libcurl);
    struct http_client *made = calloc(1, sizeof *made);
    if (libcurl_status != CURLE_OK || made == NULL) {
        free(made);
        return fault_set(fault, FAULT_FULL, "no memory for an HTTP client");
    }
    made->curl = curl_easy_init();
    if (made->curl == NULL || !copy_text(options->ca_file, &made->ca_file) ||
        !copy_text(options->proxy, &made->proxy)) {
        http_client_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory for an HTTP client");
    }
    made->connect_ms = options->connect_ms > 0 ? options->connect_ms : HTTP_CLIENT_CONNECT_MS;
    made->call_ms = options->call_ms > 0 ? options->call_ms : HTTP_CLIENT_CALL_MS;
    made->is_guarded = options->is_guarded;
    made->are_stopped = options->is_stopped;
    *client = made;
    return true;
}

void http_client_destroy(struct http_client *client) {
    if (client == NULL) return;
    if (client->curl != NULL) curl_easy_cleanup(client->curl);
    free(client->ca_file);
    free(client->proxy);
    free(client);
}

void http_client_stop(struct http_client *client) {
    atomic_store(&client->is_stopped, true);
}

static bool is_stopped(const struct http_client *client) {
    return atomic_load(&client->is_stopped) ||
           (client->are_stopped != NULL && atomic_load(client->are_stopped));
}

// ---- what libcurl calls

static size_t take_bytes(struct buffer *buffer, const char *bytes, size_t size) {
    buffer_append(buffer, span_of(bytes, size));
    return buffer_overflowed(buffer) ? 0 : size;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user) {
    struct http_client_answer *answer = user;
    return take_bytes(&answer->body, bytes, size * count);
}

static size_t on_head(char *bytes, size_t size, size_t count, void *user) {
    struct http_client_answer *answer = user;
    struct span line = span_of(bytes, size * count);
    // An interim answer (100 Continue) came before: each status line begins anew.
    if (span_starts(line, SPAN_LITERAL("HTTP/"))) {
        buffer_reset(&answer->head);
        return line.size;
    }
    return take_bytes(&answer->head, bytes, line.size);
}

static int on_progress(void *user, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up) {
    const struct http_client *client = user;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return is_stopped(client) ? 1 : 0;
}

static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    struct http_client *client = user;
    (void)purpose;
    if (client->is_guarded && !http_guard_is_public(&address->addr)) {
        client->guard_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// ---- a call

// Host and port of a URL, for messages: what stands there may hold a password before '@'.
static struct span find_host(const char *url) {
    const char *begin = strstr(url, "://");
    begin = begin == NULL ? url : begin + 3;
    struct span host = span_of(begin, strcspn(begin, "/?#"));
    size_t at = span_find(host, '@');
    return at < host.size ? span_from(host, at + 1) : host;
}

// Appends "name: value" to the list; libcurl leaves out a header that has no value unless it is
// written "name;".
static bool add_header(struct curl_slist **list, const struct http_client_header *header) {
    struct buffer line;
    buffer_init(&line, HTTP_CLIENT_HEADER_SIZE_MAX);
    buffer_append(&line, header->name);
    buffer_append_text(&line, header->value.size > 0 ? ": " : ";");
    buffer_append(&line, header->value);
    buffer_append_byte(&line, 0);
    bool is_good = !buffer_overflowed(&line) &&
                   memchr(line.bytes, 0, line.size) == line.bytes + line.size - 1 &&
                   strpbrk((const char *)line.bytes, "\r\n") == NULL;
    struct curl_slist *longer = is_good ? curl_slist_append(*list, (const char *)line.bytes) : NULL;
    buffer_done(&line);
    if (longer != NULL) *list = longer;
    return longer != NULL;
}

static bool make_headers(const struct http_client_call *call, struct curl_slist **list,
                         struct fault *fault) {
    // What libcurl would add by itself: no header with nothing behind its colon is sent.
    *list = NULL;
    struct curl_slist *first = curl_slist_append(NULL, "Expect:");
    *list = first;
    bool has_type = false;
    bool is_good = first != NULL && call->headers_count <= HTTP_CLIENT_HEADERS_MAX;
    for (uint32_t index = 0; is_good && index < call->headers_count; index++) {
        const struct http_client_header *header = &call->headers[index];
        has_type =
            has_type || (header->name.size == 12 &&
                         strncasecmp((const char *)header->name.bytes, "content-type", 12) == 0);
        is_good = add_header(list, header);
    }
    if (is_good && !has_type) {
        struct curl_slist *longer = curl_slist_append(*list, "Content-Type:");
        is_good = longer != NULL;
    }
    if (is_good) return true;
    curl_slist_free_all(*list);
    *list = NULL;
    return fault_set(fault, FAULT_INPUT,
                     "a request has at most %d headers, of at most %d bytes and one line each",
                     HTTP_CLIENT_HEADERS_MAX, HTTP_CLIENT_HEADER_SIZE_MAX);
}

// What holds for every call.
static void set_manners(struct http_client *client) {
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->words);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "orgtrail/" VERSION_TEXT);
    curl_easy_setopt(curl, CURLOPT_PROXY, client->proxy == NULL ? "" : client->proxy);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
        // It may be another one at the next connection; libcurl would keep it for a day.
        curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)client->call_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)HTTP_CLIENT_STALL_MS / 1000);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, client);
}

static void set_call(CURL *curl, const struct http_client_call *call,
                     struct http_client_answer *answer, struct curl_slist *headers) {
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
        return;
    }
    bool is_sending = call->body.size > 0 || strcmp(call->method, "PUT") == 0 ||
                      strcmp(call->method, "POST") == 0;
    if (is_sending) {
        // POSTFIELDS is not copied, and an empty body is still one (Content-Length: 0).
        const void *bytes = call->body.size > 0 ? (const void *)call->body.bytes : "";
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, bytes);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
}

// Whose certificate is not trusted, and what to do about it.
static bool refuse_tls(const struct http_client *client, struct span host, struct fault *fault) {
    return fault_set(fault, FAULT_DENIED,
                     "TLS does not trust %.*s (%s): give the PEM file of the CA that signed its "
                     "certificate, or correct the name",
                     SPAN_PRINT(host), client->words);
}

static bool explain(const struct http_client *client, CURLcode status, struct span host,
                    const struct http_client_answer *answer, struct fault *fault) {
    long error = 0;
    curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &error);
    switch (status) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
            return fault_set(fault, FAULT_RETRY, "host not found: %.*s (%s)", SPAN_PRINT(host),
                             client->words);
        case CURLE_COULDNT_CONNECT:
            if (client->guard_refused) {
                return fault_set(fault, FAULT_DENIED,
                                 "%.*s has an address that is not public, which is not allowed",
                                 SPAN_PRINT(host));
            }
            if (error == 0) break;
            return fault_set_errno(fault, FAULT_RETRY, (int)error, "connect to %.*s",
                                   SPAN_PRINT(host));
        case CURLE_OPERATION_TIMEDOUT:
            return fault_set(fault, FAULT_RETRY, "%.*s: timed out (%s)", SPAN_PRINT(host),
                             client->words);
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
            return refuse_tls(client, host, fault);
        case CURLE_SSL_CACERT_BADFILE:
            return fault_set(fault, FAULT_INPUT, "CA file %s: no certificate can be read from it",
                             client->ca_file == NULL ? "of the system" : client->ca_file);
        case CURLE_SSL_CONNECT_ERROR:
            return fault_set(fault, FAULT_RETRY, "%.*s: TLS failed (%s)", SPAN_PRINT(host),
                             client->words);
        case CURLE_WRITE_ERROR:
            if (!buffer_overflowed(&answer->body) && !buffer_overflowed(&answer->head)) break;
            return fault_set(
                fault, FAULT_FULL, "%.*s: its answer is larger than %zu bytes", SPAN_PRINT(host),
                buffer_overflowed(&answer->body) ? answer->body.size_max : answer->head.size_max);
        case CURLE_ABORTED_BY_CALLBACK:
            return fault_set(fault, FAULT_RETRY, "%.*s: stopped before its answer",
                             SPAN_PRINT(host));
        case CURLE_PARTIAL_FILE:
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
            return fault_set(fault, FAULT_RETRY, "%.*s: the connection ended before the answer did",
                             SPAN_PRINT(host));
        case CURLE_UNSUPPORTED_PROTOCOL:
            // So libcurl calls an answer that is no HTTP, too.
            if (strstr(client->words, "HTTP/0.9") != NULL) break;
            return fault_set(fault, FAULT_INPUT, "%.*s: not a URL of http or https",
                             SPAN_PRINT(host));
        case CURLE_URL_MALFORMAT:
            return fault_set(fault, FAULT_INPUT, "%.*s: not a URL of http or https",
                             SPAN_PRINT(host));
        default:
            break;
    }
    return fault_set(fault, FAULT_RETRY, "%.*s: %s", SPAN_PRINT(host),
                     client->words[0] != 0 ? client->words : curl_easy_strerror(status));
}

bool http_client_send(struct http_client *client, const struct http_client_call *call,
                      struct http_client_answer *answer, struct fault *fault) {
    struct curl_slist *headers;
    answer->status = 0;
    buffer_reset(&answer->head);
    buffer_reset(&answer->body);
    if (!make_headers(call, &headers, fault)) return false;
    // Forgets the options of the call before, and keeps its connections.
    curl_easy_reset(client->curl);
    client->guard_refused = false;
    client->words[0] = 0;
    set_manners(client);
    set_call(client->curl, call, answer, headers);
    CURLcode status = curl_easy_perform(client->curl);
    long code = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &code);
    // Nothing of the call is left with libcurl once its memory goes.
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (status != CURLE_OK) return explain(client, status, find_host(call->url), answer, fault);
    assert(code >= 0);
    answer->status = (uint32_t)code;
    return true;
}

// ---- an answer

void http_client_answer_init(struct http_client_answer *answer, uint64_t body_size_max) {
    *answer = (struct http_client_answer){0};
    buffer_init(&answer->head, HTTP_CLIENT_ANSWER_HEAD_MAX);
    buffer_init(&answer->body, body_size_max);
}

void http_client_answer_done(struct http_client_answer *answer) {
    buffer_done(&answer->head);
    buffer_done(&answer->body);
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

bool http_client_find(const struct http_client_answer *answer, const char *name,
                      struct span *value) {
    struct span rest = buffer_span(&answer->head);
    size_t name_size = strlen(name);
    while (rest.size > 0) {
        size_t end = span_find(rest, '\n');
        struct span line = span_of(rest.bytes, end);
        rest = end < rest.size ? span_from(rest, end + 1) : (struct span){NULL, 0};
        size_t colon = span_find(line, ':');
        if (colon == line.size || colon != name_size ||
            strncasecmp((const char *)line.bytes, name, name_size) != 0) {
            continue;
        }
        struct span found = span_from(line, colon + 1);
        while (found.size > 0 && is_blank(found.bytes[0])) found = span_from(found, 1);
        while (found.size > 0 && is_blank(found.bytes[found.size - 1])) found.size--;
        *value = found;
        return true;
    }
    return false;
}
