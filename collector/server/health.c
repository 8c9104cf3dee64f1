#include "collector/server/health.h"

#include <string.h>

#include "base/json.h"
#include "base/metric.h"

static void answer_health(struct server *server, struct http_response *response) {
    const char *complaint = server_complaint(server);
    response->content_type = "application/json";
    if (complaint == NULL) {
        buffer_append_text(&response->body, "{\"status\":\"ok\"}\n");
        return;
    }
    response->status = 503;
    buffer_append_text(&response->body, "{\"status\":\"failing\",\"reason\":");
    json_append_string(&response->body, span_text(complaint));
    buffer_append_text(&response->body, "}\n");
}

void health_handle(void *context, const struct http_request *request,
                   struct http_response *response) {
    struct server *server = context;
    bool is_read = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if (!is_read) {
        response->status = 405;
        buffer_append_text(&response->body, "only GET and HEAD are understood here\n");
    } else if (strcmp(request->path, "/metrics") == 0) {
        response->content_type = "text/plain; version=0.0.4; charset=utf-8";
        server_measure(server);
        metric_print(&response->body);
    } else if (strcmp(request->path, "/healthz") == 0) {
        answer_health(server, response);
    } else {
        response->status = 404;
        buffer_append_text(&response->body, "there are /metrics and /healthz here\n");
    }
}
