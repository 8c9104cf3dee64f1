#include "base/aws/endpoint.h"

#include <stdio.h>
#include <string.h>

bool endpoint_read(const char *text, struct endpoint *endpoint, struct fault *fault) {
    struct endpoint read = {0};
    const char *rest = NULL;
    if (strncmp(text, "https://", 8) == 0) {
        rest = text + 8;
        read.is_tls = true;
    } else if (strncmp(text, "http://", 7) == 0) {
        rest = text + 7;
    }
    size_t size = rest == NULL ? 0 : strcspn(rest, "/?#@ ");
    bool is_good =
        size > 0 && size < sizeof read.host && (rest[size] == 0 || strcmp(rest + size, "/") == 0);
    if (!is_good) {
        return fault_set(fault, FAULT_INPUT,
                         "endpoint \"%s\": write it like https://s3.example.com or "
                         "http://192.0.2.1:9000",
                         text);
    }
    memcpy(read.host, rest, size);
    *endpoint = read;
    return true;
}

void endpoint_of_aws(const char *service, const char *region, struct endpoint *endpoint) {
    // AWS's regions of China are a world of their own.
    const char *end = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
    snprintf(endpoint->host, sizeof endpoint->host, "%s.%s.%s", service, region, end);
    endpoint->is_tls = true;
}
