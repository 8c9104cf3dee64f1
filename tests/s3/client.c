// client.c: the S3 client for tests: settings as arguments, one call a line on standard input.
//
// A line's parts have tabs between them; the answer to each is one line. A fault is "fault", its
// kind, the store's code and the text.
//
//   bucket NAME                         bucket yes|no REGION
//   put BUCKET KEY FILE [OPTION...]     put            first, sse=s3, kms=KEY, acl=ACL, type=TYPE,
//                                                      name:value is metadata
//   head BUCKET KEY [NAME...]           head no|SIZE SHA256|- ETAG [VALUE...]
//   get BUCKET KEY SIZE_MAX FILE        get no|SIZE SHA256|-
//   range BUCKET KEY OFFSET SIZE FILE   range no|SIZE of all of it
//   list BUCKET PREFIX AFTER MAX        list COUNT, and a line for each object before it
//   folder BUCKET PREFIX AFTER MAX      the same of what is directly below it

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aws/s3.h"

enum { LINE_SIZE = 16384, PARTS_MAX = 24, FILE_SIZE_MAX = 64 * 1024 * 1024 };

static struct s3 *s3;
static struct fault fault;

static void tell_fault(void) {
    printf("fault\t%s\t%s\t%s\n", fault_kind_name(fault.kind), s3_failure(s3)->code, fault.text);
}

static bool is_option(const char *part, const char *name, const char **value) {
    size_t size = strlen(name);
    if (strncmp(part, name, size) != 0) return false;
    *value = part + size;
    return true;
}

static void do_bucket(char **parts) {
    bool exists;
    char region[S3_REGION_SIZE];
    if (!s3_find_bucket(s3, parts[1], &exists, region, &fault)) {
        tell_fault();
        return;
    }
    printf("bucket\t%s\t%s\n", exists ? "yes" : "no", region);
}

static void do_put(char **parts, uint32_t count) {
    struct buffer bytes;
    struct s3_metadata metadata[S3_METADATA_MAX];
    struct s3_put put = {.bucket = parts[1], .key = parts[2], .metadata = metadata};
    for (uint32_t index = 4; index < count; index++) {
        const char *value;
        char *colon = strchr(parts[index], ':');
        if (strcmp(parts[index], "first") == 0) {
            put.is_first = true;
        } else if (strcmp(parts[index], "sse=s3") == 0) {
            put.encryption = S3_ENCRYPTION_S3;
        } else if (is_option(parts[index], "kms=", &value)) {
            put.encryption = S3_ENCRYPTION_KMS;
            put.kms_key = value;
        } else if (is_option(parts[index], "acl=", &value)) {
            put.acl = value;
        } else if (is_option(parts[index], "type=", &value)) {
            put.content_type = value;
        } else if (colon != NULL && put.metadata_count < S3_METADATA_MAX) {
            *colon = 0;
            metadata[put.metadata_count++] = (struct s3_metadata){parts[index], colon + 1};
        }
    }
    buffer_init(&bytes, FILE_SIZE_MAX);
    bool is_good = files_read_whole(files_system(), parts[3], FILE_SIZE_MAX, &bytes, &fault);
    put.bytes = buffer_span(&bytes);
    if (is_good && s3_put(s3, &put, &fault)) {
        printf("put\n");
    } else {
        tell_fault();
    }
    buffer_done(&bytes);
}

static void print_object(const char *call, const struct s3_object *object) {
    char hex[SHA256_HEX_SIZE] = "-";
    if (object->has_sha256) crypto_print_hex(span_of(object->sha256, SHA256_SIZE), hex);
    printf("%s\t%" PRIu64 "\t%s\t%s", call, object->size, hex, object->etag);
}

static void do_head(char **parts, uint32_t count) {
    struct s3_object object;
    if (!s3_head(s3, parts[1], parts[2], &object, &fault)) {
        tell_fault();
        return;
    }
    if (!object.exists) {
        printf("head\tno\n");
        return;
    }
    print_object("head", &object);
    for (uint32_t index = 3; index < count; index++) {
        struct span value = SPAN_LITERAL("-");
        (void)s3_find_metadata(s3, parts[index], &value);
        printf("\t%.*s", SPAN_PRINT(value));
    }
    printf("\n");
}

static void do_get(char **parts) {
    struct s3_object object;
    struct span bytes;
    uint64_t size_max = strtoull(parts[3], NULL, 10);
    if (!s3_get(s3, parts[1], parts[2], size_max, &object, &bytes, &fault) ||
        (object.exists && !files_write_whole(files_system(), parts[4], bytes, 0600, &fault))) {
        tell_fault();
        return;
    }
    if (!object.exists) {
        printf("get\tno\n");
        return;
    }
    print_object("get", &object);
    printf("\n");
}

static void do_range(char **parts) {
    struct s3_object object;
    struct span bytes;
    if (!s3_get_range(s3, parts[1], parts[2], strtoull(parts[3], NULL, 10),
                      strtoull(parts[4], NULL, 10), &object, &bytes, &fault) ||
        (object.exists && !files_write_whole(files_system(), parts[5], bytes, 0600, &fault))) {
        tell_fault();
    } else if (object.exists) {
        printf("range\t%" PRIu64 "\n", object.size);
    } else {
        printf("range\tno\n");
    }
}

struct listing {
    uint64_t count;
    uint64_t count_max;
};

static bool print_entry(void *user, const struct s3_entry *entry) {
    struct listing *listing = user;
    printf("%.*s\t%" PRIu64 "\t%" PRId64 "\t%.*s\n", SPAN_PRINT(entry->key), entry->size,
           entry->modified, SPAN_PRINT(entry->etag));
    return ++listing->count < listing->count_max;
}

static void do_list(char **parts) {
    struct listing listing = {0, strtoull(parts[4], NULL, 10)};
    const char *after = parts[3][0] == 0 ? NULL : parts[3];
    bool is_folder = strcmp(parts[0], "folder") == 0;
    if ((is_folder ? s3_list_folder : s3_list)(s3, parts[1], parts[2], after, print_entry, &listing,
                                               &fault)) {
        printf("list\t%" PRIu64 "\n", listing.count);
    } else {
        tell_fault();
    }
}

static void do_line(char *line) {
    char *parts[PARTS_MAX] = {0};
    uint32_t count = 0;
    line[strcspn(line, "\n")] = 0;
    while (count < PARTS_MAX && line != NULL) parts[count++] = strsep(&line, "\t");
    if (strcmp(parts[0], "bucket") == 0 && count == 2) {
        do_bucket(parts);
    } else if (strcmp(parts[0], "put") == 0 && count >= 4) {
        do_put(parts, count);
    } else if (strcmp(parts[0], "head") == 0 && count >= 3) {
        do_head(parts, count);
    } else if (strcmp(parts[0], "get") == 0 && count == 5) {
        do_get(parts);
    } else if (strcmp(parts[0], "range") == 0 && count == 6) {
        do_range(parts);
    } else if ((strcmp(parts[0], "list") == 0 || strcmp(parts[0], "folder") == 0) && count == 5) {
        do_list(parts);
    } else {
        printf("what?\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct s3_options options = {.clock = clock_system(), .files = files_system()};
    const char *value;
    signal(SIGPIPE, SIG_IGN);
    for (int index = 1; index < argc; index++) {
        if (is_option(argv[index], "endpoint=", &options.endpoint)) continue;
        if (is_option(argv[index], "region=", &options.region)) continue;
        if (is_option(argv[index], "credentials=", &options.credentials_file)) continue;
        if (is_option(argv[index], "profile=", &options.profile)) continue;
        if (is_option(argv[index], "ca=", &options.http.ca_file)) continue;
        if (is_option(argv[index], "call_ms=", &value)) {
            options.http.call_ms = (uint32_t)strtoul(value, NULL, 10);
        } else if (is_option(argv[index], "style=", &value)) {
            options.style = strcmp(value, "virtual") == 0 ? S3_STYLE_VIRTUAL : S3_STYLE_PATH;
        } else {
            fprintf(stderr, "what is %s?\n", argv[index]);
            return 2;
        }
    }
    if (!s3_create(&options, &s3, &fault)) {
        printf("fault\t%s\t\t%s\n", fault_kind_name(fault.kind), fault.text);
        return fault_exit_code(fault.kind);
    }
    static char line[LINE_SIZE];
    while (fgets(line, sizeof line, stdin) != NULL) do_line(line);
    s3_destroy(s3);
    return 0;
}
