#include "agent/agent_config.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/config.h"
#include "base/files.h"

enum { PATH_SIZE_MAX = 4096, ARENA_SIZE_MAX = 8 * 1024 * 1024 };

// The file as it is written.
struct file_collector {
    char *address;
    char *name;
};

struct file_certificates {
    char *ca;
    char *certificate;
    char *key;
};

struct file_spool {
    char *directory;
    char *size_max;
};

struct file_http {
    char *listen;
};

enum file_kind { KIND_DIRECTORY, KIND_TAIL };
enum file_from { FROM_BEGINNING, FROM_END };

struct file_source {
    char *name;
    enum file_kind kind;
    char *path;
    char **paths;
    uint32_t paths_count;
    uint32_t poll_ms;
    char *file_size_max;
    enum file_from from;
};

struct file {
    char *organization;
    struct file_collector collector;
    struct file_certificates certificates;
    struct file_spool spool;
    struct file_http http;
    char *event_selectors;
    struct file_source *sources;
    uint32_t sources_count;
};

struct loaded {
    struct agent_config config;  // first, so that a pointer to it is a pointer to this
    struct file *file;
    struct arena *arena;
    struct span text;
    const char *path;
};

#define NEEDED CYAML_FLAG_POINTER
#define OPTIONAL (CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t collector_fields[] = {
    CYAML_FIELD_STRING_PTR("address", NEEDED, struct file_collector, address, 1, 256),
    CYAML_FIELD_STRING_PTR("name", OPTIONAL, struct file_collector, name, 1, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t certificates_fields[] = {
    CYAML_FIELD_STRING_PTR("ca", NEEDED, struct file_certificates, ca, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("certificate", NEEDED, struct file_certificates, certificate, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("key", NEEDED, struct file_certificates, key, 1, PATH_SIZE_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t spool_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", NEEDED, struct file_spool, directory, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("size_max", OPTIONAL, struct file_spool, size_max, 1, 32),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t http_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", NEEDED, struct file_http, listen, 1, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t path_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, PATH_SIZE_MAX),
};

static const cyaml_strval_t kind_names[] = {{"directory", KIND_DIRECTORY}, {"tail", KIND_TAIL}};
static const cyaml_strval_t from_names[] = {{"beginning", FROM_BEGINNING}, {"end", FROM_END}};

static const cyaml_schema_field_t source_fields[] = {
    CYAML_FIELD_STRING_PTR("name", NEEDED, struct file_source, name, 1, SPOOL_NAME_SIZE - 1),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct file_source, kind, kind_names, 2),
    CYAML_FIELD_STRING_PTR("path", OPTIONAL, struct file_source, path, 1, PATH_SIZE_MAX),
    CYAML_FIELD_SEQUENCE("paths", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_source,
                         paths, &path_schema, 1, AGENT_CONFIG_PATHS_MAX),
    CONFIG_FIELD_RANGE("poll_ms", struct file_source, poll_ms, AGENT_CONFIG_POLL_MS_MIN,
                       AGENT_CONFIG_POLL_MS_MAX),
    CYAML_FIELD_STRING_PTR("file_size_max", OPTIONAL, struct file_source, file_size_max, 1, 32),
    CYAML_FIELD_ENUM("from", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct file_source, from,
                     from_names, 2),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t source_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_source, source_fields),
};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_STRING_PTR("organization", OPTIONAL, struct file, organization, 1, 64),
    CYAML_FIELD_MAPPING("collector", CYAML_FLAG_DEFAULT, struct file, collector, collector_fields),
    CYAML_FIELD_MAPPING("certificates", CYAML_FLAG_DEFAULT, struct file, certificates,
                        certificates_fields),
    CYAML_FIELD_MAPPING("spool", CYAML_FLAG_DEFAULT, struct file, spool, spool_fields),
    CYAML_FIELD_MAPPING("http", CYAML_FLAG_OPTIONAL, struct file, http, http_fields),
    CYAML_FIELD_STRING_PTR("event_selectors", OPTIONAL, struct file, event_selectors, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_SEQUENCE("sources", CYAML_FLAG_POINTER, struct file, sources, &source_schema, 1,
                         AGENT_CONFIG_SOURCES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields),
};

static const struct config_help helps[] = {
    {"organization", NULL, "any", "Refuse a collector of another organization."},
    {"collector.address", "HOST:PORT", NULL, "Where the collector is."},
    {"collector.name", NULL, "the host", "The name in the collector's certificate."},
    {"certificates.ca", "path", NULL, "The CAs that the collector's certificate comes from, PEM."},
    {"certificates.certificate", "path", NULL,
     "The agent's certificate, PEM. It says whose events the agent may bring."},
    {"certificates.key", "path", NULL, "Its key, PEM; readable by the agent's user only."},
    {"spool.directory", "path", NULL, "Where events wait for the collector. One agent each."},
    {"spool.size_max", "size, 64MiB or more", "1GiB",
     "When it is full, sources are not read until the collector has acknowledged."},
    {"http.listen", "address", "no HTTP", "Where /metrics and /healthz are, without TLS."},
    {"event_selectors", "path", "every record",
     "A JSON file of advanced event selectors: only records that one of them selects are sent."},
    {"sources[].name", NULL, NULL,
     "Letters, digits, '.', '_' and '-'. Keep it: the spool knows the source by it."},
    {"sources[].kind", NULL, NULL,
     "A folder of CloudTrail's files, or a growing file with one record a line."},
    {"sources[].path", "path", "`paths`",
     "The folder or file; a tail's may be a pattern, or `-` for standard input."},
    {"sources[].paths", "list of paths", "`path`", "Several paths or patterns of a tail."},
    {"sources[].poll_ms", NULL, "1000", "A directory: how often it is looked at."},
    {"sources[].file_size_max", "size", "256MiB", "A directory: the inflated size of one file."},
    {"sources[].from", NULL, "`beginning`",
     "A tail: where to begin in files that are there at the very first start."},
};

bool agent_config_print_reference(struct buffer *text, struct fault *fault) {
    return config_print_reference(&file_schema, helps, sizeof helps / sizeof helps[0], text, fault);
}

// Adds the line where a value stands.
static bool refuse(const struct loaded *loaded, const char *key, const char *value,
                   struct fault *fault) {
    return config_refuse(loaded->text, loaded->path, key, value, fault);
}

static bool out_of_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "out of memory for the settings");
}

// A size; what is absent leaves *size as it is.
static bool parse_size(const struct loaded *loaded, const char *key, const char *text,
                       uint64_t *size, struct fault *fault) {
    if (text == NULL || config_parse_size(text, size, fault)) return true;
    fault_add(fault, "%s", key);
    return refuse(loaded, key, text, fault);
}

// A path as the program opens it: relative ones count from the settings' folder.
static bool resolve(struct loaded *loaded, const char *path, const char **resolved,
                    struct fault *fault) {
    char text[PATH_SIZE_MAX];
    if (!config_resolve(loaded->path, path, text, sizeof text, fault)) return false;
    *resolved = arena_print(loaded->arena, "%s", text);
    return *resolved != NULL || out_of_memory(fault);
}

static bool check_name(const struct loaded *loaded, uint32_t index, struct fault *fault) {
    const char *name = loaded->file->sources[index].name;
    bool is_good = isalnum((unsigned char)name[0]) != 0;
    for (const char *at = name; *at != 0; at++) {
        is_good = is_good && (isalnum((unsigned char)*at) != 0 || strchr("._-", *at) != NULL);
    }
    if (!is_good) {
        fault_set(fault, FAULT_INPUT,
                  "source name \"%s\": begin with a letter or digit, then use letters, digits, "
                  "'.', '_' and '-'",
                  name);
        return refuse(loaded, "name", name, fault);
    }
    for (uint32_t other = 0; other < index; other++) {
        if (strcmp(loaded->file->sources[other].name, name) != 0) continue;
        fault_set(fault, FAULT_INPUT, "two sources have the name \"%s\": each needs its own", name);
        return refuse(loaded, "name", name, fault);
    }
    return true;
}

// What a source of one kind must not have.
static bool check_kind(const struct loaded *loaded, const struct file_source *source,
                       struct fault *fault) {
    if ((source->path == NULL) == (source->paths_count == 0)) {
        fault_set(fault, FAULT_INPUT, "source \"%s\" needs either path or paths", source->name);
        return refuse(loaded, "name", source->name, fault);
    }
    bool is_directory = source->kind == KIND_DIRECTORY;
    if (is_directory && (source->paths_count > 0 || source->from == FROM_END)) {
        fault_set(fault, FAULT_INPUT,
                  "source \"%s\": a directory has one path, and neither paths nor from",
                  source->name);
        return refuse(loaded, "name", source->name, fault);
    }
    if (!is_directory && (source->poll_ms != 0 || source->file_size_max != NULL)) {
        fault_set(fault, FAULT_INPUT,
                  "source \"%s\": poll_ms and file_size_max are settings of a directory",
                  source->name);
        return refuse(loaded, "name", source->name, fault);
    }
    return true;
}

static bool fill_source(struct loaded *loaded, uint32_t index, struct fault *fault) {
    const struct file_source *from = &loaded->file->sources[index];
    struct agent_config_source *to = &loaded->config.sources[index];
    if (!check_name(loaded, index, fault) || !check_kind(loaded, from, fault)) return false;
    to->name = from->name;
    to->is_tail = from->kind == KIND_TAIL;
    to->poll_ms = from->poll_ms;
    to->from_end = from->from == FROM_END;
    if (!parse_size(loaded, "file_size_max", from->file_size_max, &to->file_size_max, fault)) {
        return false;
    }
    to->paths_count = from->path != NULL ? 1 : from->paths_count;
    const char **paths = arena_allocate_array(loaded->arena, to->paths_count, sizeof *paths);
    if (paths == NULL) return out_of_memory(fault);
    to->paths = paths;
    for (uint32_t path = 0; path < to->paths_count; path++) {
        const char *text = from->path != NULL ? from->path : from->paths[path];
        if (to->is_tail && strcmp(text, "-") == 0) {
            to->is_standard_input = true;
            paths[path] = text;
        } else if (!resolve(loaded, text, &paths[path], fault)) {
            return false;
        }
    }
    if (to->is_standard_input && to->paths_count > 1) {
        fault_set(fault, FAULT_INPUT, "source \"%s\": \"-\" must be its only path", to->name);
        return refuse(loaded, "name", to->name, fault);
    }
    return true;
}

static bool fill_sources(struct loaded *loaded, struct fault *fault) {
    struct agent_config *config = &loaded->config;
    config->sources_count = loaded->file->sources_count;
    config->sources =
        arena_allocate_array(loaded->arena, config->sources_count, sizeof *config->sources);
    if (config->sources == NULL) return out_of_memory(fault);
    uint32_t standard_inputs = 0;
    for (uint32_t index = 0; index < config->sources_count; index++) {
        if (!fill_source(loaded, index, fault)) return false;
        standard_inputs += config->sources[index].is_standard_input;
    }
    if (standard_inputs < 2) return true;
    fault_set(fault, FAULT_INPUT, "two sources read standard input (\"-\")");
    return refuse(loaded, "path", "-", fault);
}

static bool fill(struct loaded *loaded, struct fault *fault) {
    const struct file *file = loaded->file;
    struct agent_config *config = &loaded->config;
    config->organization = file->organization == NULL ? "" : file->organization;
    config->collector_address = file->collector.address;
    config->collector_name = file->collector.name;
    config->http_listen = file->http.listen;
    const char *colon = strrchr(config->collector_address, ':');
    if (colon == NULL || colon == config->collector_address || colon[1] == 0 ||
        colon[1 + strspn(colon + 1, "0123456789")] != 0) {
        fault_set(fault, FAULT_INPUT,
                  "collector.address: \"%s\" is no address: write HOST:PORT, as in "
                  "collector.example:7443",
                  config->collector_address);
        return refuse(loaded, "address", config->collector_address, fault);
    }
    if (!parse_size(loaded, "size_max", file->spool.size_max, &config->spool_size_max, fault)) {
        return false;
    }
    if (config->spool_size_max != 0 && config->spool_size_max < AGENT_CONFIG_SPOOL_SIZE_MIN) {
        fault_set(fault, FAULT_INPUT, "spool.size_max: \"%s\" is less than 64MiB",
                  file->spool.size_max);
        return refuse(loaded, "size_max", file->spool.size_max, fault);
    }
    if (file->event_selectors != NULL &&
        !resolve(loaded, file->event_selectors, &config->event_selectors, fault)) {
        return false;
    }
    return resolve(loaded, file->certificates.ca, &config->ca_path, fault) &&
           resolve(loaded, file->certificates.certificate, &config->certificate_path, fault) &&
           resolve(loaded, file->certificates.key, &config->key_path, fault) &&
           resolve(loaded, file->spool.directory, &config->spool_directory, fault) &&
           fill_sources(loaded, fault);
}

bool agent_config_parse(struct span text, const char *path, struct agent_config **config,
                        struct fault *fault) {
    struct loaded *loaded = calloc(1, sizeof *loaded);
    if (loaded == NULL) return out_of_memory(fault);
    loaded->text = text;
    loaded->path = path;
    loaded->arena = arena_create(ARENA_SIZE_MAX);
    void *file = NULL;
    bool is_good = loaded->arena == NULL ? out_of_memory(fault)
                                         : config_load(text, path, &file_schema, &file, fault);
    loaded->file = file;
    if (!is_good || !fill(loaded, fault)) {
        agent_config_destroy(&loaded->config);
        return false;
    }
    // Only needed for messages of parsing; the caller's memory goes.
    loaded->text = (struct span){NULL, 0};
    loaded->path = NULL;
    *config = &loaded->config;
    return true;
}

bool agent_config_load(const char *path, struct agent_config **config, struct fault *fault) {
    struct buffer text;
    buffer_init(&text, CONFIG_SIZE_MAX);
    bool is_good = files_read_whole(files_system(), path, CONFIG_SIZE_MAX, &text, fault) &&
                   agent_config_parse(buffer_span(&text), path, config, fault);
    buffer_done(&text);
    return is_good;
}

void agent_config_destroy(struct agent_config *config) {
    if (config == NULL) return;
    struct loaded *loaded = (struct loaded *)config;
    config_free(&file_schema, loaded->file);
    arena_destroy(loaded->arena);
    free(loaded);
}
