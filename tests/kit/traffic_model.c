#include "tests/kit/traffic_model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/files.h"
#include "base/gzip.h"
#include "base/json.h"
#include "event/split.h"
#include "tests/kit/traffic_template.h"

enum {
    MODEL_SIZE_MAX = 4 * 1024 * 1024,
    FILE_SIZE_MAX = 8 * 1024 * 1024,
    RECORDS_MAX = 65536,
    WORDS_MAX = 8192,
    WORD_SIZE_MIN = 6,
    WORD_SIZE_MAX = 64,
    OPERATION_TEMPLATES_MAX = 64,  // of one operation; the rest adds little
};

// A real record and the operation it is of.
struct sample {
    struct span source;
    struct span name;
    struct traffic_template template;
};

struct loader {
    const char *directory;
    struct arena *arena;
    struct json_reader *reader;
    struct traffic_model *model;
    struct sample *samples;
    uint32_t samples_count;
    struct fault *fault;
    const char *folder;
};

// Iterating takes values that are not constant; nothing here changes them.
static yyjson_val *any_value(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static double number_of(const struct yyjson_val *value, double otherwise) {
    yyjson_val *any = any_value(value);
    return yyjson_is_num(any) ? yyjson_get_num(any) : otherwise;
}

static double number_at(const struct yyjson_val *object, const char *name, double otherwise) {
    return number_of(json_member(object, span_text(name)), otherwise);
}

static bool truth_at(const struct yyjson_val *object, const char *name) {
    return yyjson_is_true(any_value(json_member(object, span_text(name))));
}

// A copy of a string that outlives the reader; empty if memory is out, which the caller sees later.
static struct span kept(struct loader *loader, struct span text) {
    struct span copy = {NULL, 0};
    if (text.size == 0 || !arena_copy(loader->arena, text, &copy)) return (struct span){NULL, 0};
    return copy;
}

static bool no_memory(struct loader *loader) {
    return fault_set(loader->fault, FAULT_FULL, "no memory for the traffic model");
}

static bool read_shares(struct loader *loader, const struct yyjson_val *object,
                        struct traffic_shares *shares, double *total) {
    yyjson_val *any = any_value(object);
    size_t count = yyjson_is_obj(any) ? yyjson_obj_size(any) : 0;
    if (count == 0) return true;
    shares->items = arena_allocate_array(loader->arena, count, sizeof *shares->items);
    if (shares->items == NULL) return no_memory(loader);
    size_t index, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(any, index, max, key, value) {
        struct traffic_share *share = &shares->items[shares->count++];
        share->name = kept(loader, json_string(key));
        share->share = number_of(value, 0);
        if (total != NULL) *total += share->share;
    }
    return true;
}

static bool read_operation(struct loader *loader, const struct yyjson_val *row, double *weight,
                           struct traffic_operation *operation) {
    yyjson_val *sizes = any_value(json_member(row, SPAN_LITERAL("sz")));
    *weight += number_at(row, "w", 0);
    *operation = (struct traffic_operation){
        .source = kept(loader, json_member_string(row, SPAN_LITERAL("s"))),
        .name = kept(loader, json_member_string(row, SPAN_LITERAL("n"))),
        .weight_end = *weight,
        .is_read_only = truth_at(row, "ro"),
        .is_global = number_at(row, "global", 0) > 0,
        .size_p50 = (uint32_t)number_of(yyjson_arr_get(sizes, 0), 1000),
        .size_p90 = (uint32_t)number_of(yyjson_arr_get(sizes, 1), 1000),
        .size_max = (uint32_t)number_of(yyjson_arr_get(sizes, 2), 1000),
        .request_null = number_at(row, "reqnull", 0),
        .response_null = number_at(row, "respnull", 1),
        .with_resources = number_at(row, "res", 0),
        .with_additional = number_at(row, "add", 0),
        .with_tls = number_at(row, "tls", 0),
        .with_endpoint = number_at(row, "vpce", 0),
        .with_shared_id = number_at(row, "shared", 0),
        .category = kept(loader, json_member_string(row, SPAN_LITERAL("cat"))),
        .type = kept(loader, json_member_string(row, SPAN_LITERAL("type"))),
    };
    return read_shares(loader, json_member(row, SPAN_LITERAL("err")), &operation->errors,
                       &operation->error_share) &&
           read_shares(loader, json_member(row, SPAN_LITERAL("ui")), &operation->identities, NULL);
}

static bool read_archetypes(struct loader *loader, const struct yyjson_val *root) {
    yyjson_val *archetypes = any_value(json_member(root, SPAN_LITERAL("archetypes")));
    size_t index, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(archetypes, index, max, key, value) {
        if (loader->model->archetypes_count == TRAFFIC_ARCHETYPES_MAX) break;
        struct traffic_archetype *archetype =
            &loader->model->archetypes[loader->model->archetypes_count++];
        yyjson_val *rows = any_value(json_member(value, SPAN_LITERAL("ops")));
        size_t count = yyjson_arr_size(rows);
        archetype->name = kept(loader, json_string(key));
        archetype->operations =
            arena_allocate_array(loader->arena, count, sizeof *archetype->operations);
        if (archetype->operations == NULL) return no_memory(loader);
        double weight = 0;
        size_t row_index, row_max;
        yyjson_val *row;
        yyjson_arr_foreach(rows, row_index, row_max, row) {
            struct traffic_operation *operation =
                &archetype->operations[archetype->operations_count++];
            if (!read_operation(loader, row, &weight, operation)) return false;
        }
    }
    return loader->model->archetypes_count > 0 ||
           fault_set(loader->fault, FAULT_INPUT, "the model has no archetypes");
}

static void read_roles(struct loader *loader, const struct yyjson_val *population,
                       const struct yyjson_val *mix) {
    struct traffic_model *model = loader->model;
    const struct yyjson_val *shares =
        json_member(mix, SPAN_LITERAL("archetype_share_by_account_role"));
    yyjson_val *roles = any_value(json_member(population, SPAN_LITERAL("roles")));
    size_t index, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(roles, index, max, key, value) {
        if (model->roles_count == TRAFFIC_ROLES_MAX) break;
        struct traffic_role *role = &model->roles[model->roles_count++];
        role->name = kept(loader, json_string(key));
        role->accounts = (uint32_t)number_of(value, 0);
        const struct yyjson_val *of_role = json_member(shares, role->name);
        double end = 0;
        for (uint32_t each = 0; each < model->archetypes_count; each++) {
            end += number_of(json_member(of_role, model->archetypes[each].name), 0);
            role->archetype_end[each] = end;
        }
    }
}

static void read_regions(struct loader *loader, const struct yyjson_val *population) {
    struct traffic_model *model = loader->model;
    yyjson_val *names = any_value(json_member(population, SPAN_LITERAL("regions")));
    size_t index, max;
    yyjson_val *value;
    yyjson_arr_foreach(names, index, max, value) {
        if (model->regions_count == TRAFFIC_REGIONS_MAX) break;
        model->regions[model->regions_count++] = kept(loader, json_string(value));
    }
    const struct yyjson_val *homes = json_member(population, SPAN_LITERAL("home_region_choice"));
    size_t named = yyjson_obj_size(any_value(homes)) - 1;
    double others = number_at(homes, "others_equal", 0);
    double end = 0;
    for (uint32_t each = 0; each < model->regions_count; each++) {
        double otherwise = others / (double)(model->regions_count - named);
        end += number_of(json_member(homes, model->regions[each]), otherwise);
        model->home_region_end[each] = end;
    }
    const struct yyjson_val *shares =
        json_member(population, SPAN_LITERAL("region_share_of_regional_events"));
    model->share_home = number_at(shares, "home", 0.8);
    model->share_second = number_at(shares, "second", 0.12);
}

static void read_repeats(struct loader *loader, const struct yyjson_val *root) {
    struct traffic_model *model = loader->model;
    const struct yyjson_val *chosen = json_member(json_member(root, SPAN_LITERAL("duplicates")),
                                                  SPAN_LITERAL("chosen_for_generator"));
    model->resend_share = number_at(chosen, "resend_share", 0);
    yyjson_val *copies = any_value(json_member(chosen, SPAN_LITERAL("global_event_copies")));
    double end = 0;
    size_t index, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(copies, index, max, key, value) {
        if (model->copies_count == TRAFFIC_COPIES_MAX) break;
        end += number_of(value, 0);
        model->copies[model->copies_count] = (uint32_t)strtoul(yyjson_get_str(key), NULL, 10);
        model->copies_end[model->copies_count++] = end;
    }
}

static bool read_numbers(struct loader *loader, struct buffer *buffer) {
    struct fault *fault = loader->fault;
    char *path = arena_print(loader->arena, "%s/model.json", loader->directory);
    if (path == NULL) return no_memory(loader);
    if (!files_read_whole(files_system(), path, MODEL_SIZE_MAX, buffer, fault)) return false;
    const struct yyjson_val *root = NULL;
    if (!json_read(loader->reader, buffer_span(buffer), &root, fault)) {
        return fault_add(fault, "%s", path);
    }
    const struct yyjson_val *population = json_member(root, SPAN_LITERAL("population"));
    const struct yyjson_val *mix = json_member(root, SPAN_LITERAL("mix"));
    if (!read_archetypes(loader, root)) return fault_add(fault, "%s", path);
    read_roles(loader, population, mix);
    read_regions(loader, population);
    read_repeats(loader, root);
    loader->model->error_scale = number_at(mix, "error_scale", 1);
    bool whole = loader->model->regions_count > 1 && loader->model->roles_count > 0;
    return whole || fault_set(fault, FAULT_INPUT, "%s: no regions or no roles", path);
}

static void add_word(struct loader *loader, struct traffic_words *words, struct span text) {
    if (text.size == 0 || words->count == WORDS_MAX) return;
    // Only the last few are compared: equal values come in runs.
    for (uint32_t back = 1; back <= 64 && back <= words->count; back++) {
        if (span_equal(words->items[words->count - back], text)) return;
    }
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') return;
    }
    struct span copy = kept(loader, text);
    if (copy.size > 0) words->items[words->count++] = copy;
}

// Every string value below a value, as filler. Depth is bounded by the reader.
static void add_filler(struct loader *loader, const struct yyjson_val *value) {
    yyjson_val *any = any_value(value);
    size_t index, max;
    yyjson_val *key, *item;
    if (yyjson_is_obj(any)) {
        yyjson_obj_foreach(any, index, max, key, item) add_filler(loader, item);
    } else if (yyjson_is_arr(any)) {
        yyjson_arr_foreach(any, index, max, item) add_filler(loader, item);
    } else {
        struct span text = json_string(value);
        if (text.size < WORD_SIZE_MIN || text.size > WORD_SIZE_MAX) return;
        add_word(loader, &loader->model->filler, text);
    }
}

static bool add_sample(struct loader *loader, struct span text) {
    if (loader->samples_count == RECORDS_MAX) return true;
    struct traffic_model *model = loader->model;
    struct sample *sample = &loader->samples[loader->samples_count];
    const struct yyjson_val *root = NULL;
    if (!json_read(loader->reader, text, &root, loader->fault)) return false;
    struct span source = json_member_string(root, SPAN_LITERAL("eventSource"));
    sample->source = kept(loader, span_of(source.bytes, span_find(source, '.')));
    sample->name = kept(loader, json_member_string(root, SPAN_LITERAL("eventName")));

    const struct yyjson_val *identity = json_member(root, SPAN_LITERAL("userIdentity"));
    const struct yyjson_val *context = json_member(identity, SPAN_LITERAL("sessionContext"));
    const struct yyjson_val *issuer = json_member(context, SPAN_LITERAL("sessionIssuer"));
    add_word(loader, &model->users, json_member_string(identity, SPAN_LITERAL("userName")));
    add_word(loader, &model->users, json_member_string(issuer, SPAN_LITERAL("userName")));
    add_word(loader, &model->agents, json_member_string(root, SPAN_LITERAL("userAgent")));
    add_filler(loader, json_member(root, SPAN_LITERAL("requestParameters")));
    add_filler(loader, json_member(root, SPAN_LITERAL("responseElements")));

    loader->samples_count++;
    return traffic_template_read(loader->reader, loader->arena, text, &sample->template,
                                 loader->fault);
}

static bool split_file(struct loader *loader, struct gzip_reader *gzip, struct split *split,
                       struct span packed) {
    uint8_t piece[65536];
    bool more = true;
    while (more) {
        size_t written = 0;
        if (!gzip_reader_step(gzip, &packed, piece, sizeof piece, &written, loader->fault)) {
            return false;
        }
        more = written == sizeof piece;
        struct span input = span_of(piece, written);
        for (;;) {
            struct span record;
            uint64_t offset;
            enum split_result result = split_step(split, &input, &record, &offset, loader->fault);
            if (result == SPLIT_BAD) return false;
            if (result == SPLIT_MORE) break;
            if (result == SPLIT_RECORD && !add_sample(loader, record)) return false;
        }
    }
    return true;
}

static bool read_file(struct loader *loader, const char *path) {
    struct buffer packed;
    buffer_init(&packed, FILE_SIZE_MAX);
    struct gzip_reader *gzip = gzip_reader_create(64 * FILE_SIZE_MAX);
    struct split *split = split_create(1024 * 1024, false);
    bool read = gzip != NULL && split != NULL ? true : no_memory(loader);
    read = read && files_read_whole(files_system(), path, FILE_SIZE_MAX, &packed, loader->fault) &&
           split_file(loader, gzip, split, buffer_span(&packed));
    if (!read) fault_add(loader->fault, "%s", path);
    split_destroy(split);
    gzip_reader_destroy(gzip);
    buffer_done(&packed);
    return read;
}

static bool on_file(void *user, const struct files_entry *entry) {
    struct loader *loader = user;
    if (!span_ends(span_text(entry->name), SPAN_LITERAL(".json.gz"))) return true;
    char *path =
        arena_print(loader->arena, "%s/%s/%s", loader->directory, loader->folder, entry->name);
    return path == NULL ? no_memory(loader) : read_file(loader, path);
}

static bool on_folder(void *user, const struct files_entry *entry) {
    struct loader *loader = user;
    if (!entry->is_directory) return true;
    char *path = arena_print(loader->arena, "%s/%s", loader->directory, entry->name);
    loader->folder = arena_copy_text(loader->arena, span_text(entry->name));
    if (path == NULL || loader->folder == NULL) return no_memory(loader);
    return files_list(files_system(), path, on_file, loader, loader->fault) &&
           loader->fault->kind == FAULT_NONE;
}

// Real records where there are any of the operation, invented ones otherwise.
static bool fill_operation(struct loader *loader, struct traffic_operation *operation) {
    uint32_t good = 0, failed = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        good = 0;
        failed = 0;
        for (uint32_t index = 0; index < loader->samples_count; index++) {
            const struct sample *sample = &loader->samples[index];
            if (!span_equal(sample->name, operation->name)) continue;
            if (!span_equal(sample->source, operation->source)) continue;
            struct traffic_template *templates =
                sample->template.is_error ? operation->failed : operation->good;
            uint32_t *count = sample->template.is_error ? &failed : &good;
            if (*count == OPERATION_TEMPLATES_MAX) continue;
            if (pass == 1) templates[*count] = sample->template;
            (*count)++;
        }
        if (good + failed == 0) {
            return traffic_template_invent(loader->reader, loader->arena, &loader->model->agents,
                                           operation, loader->fault);
        }
        if (pass == 1) break;
        size_t size = sizeof(struct traffic_template);
        operation->good = arena_allocate_array(loader->arena, good + 1, size);
        operation->failed = arena_allocate_array(loader->arena, failed + 1, size);
        if (operation->good == NULL || operation->failed == NULL) return no_memory(loader);
    }
    operation->good_count = good;
    operation->failed_count = failed;
    return true;
}

static bool load(struct loader *loader, struct buffer *buffer) {
    struct traffic_model *model = loader->model;
    struct traffic_words *words[] = {&model->users, &model->agents, &model->filler};
    for (size_t index = 0; index < 3; index++) {
        words[index]->items =
            arena_allocate_array(loader->arena, WORDS_MAX, sizeof *words[index]->items);
        if (words[index]->items == NULL) return no_memory(loader);
    }
    loader->samples = arena_allocate_array(loader->arena, RECORDS_MAX, sizeof *loader->samples);
    if (loader->samples == NULL) return no_memory(loader);
    if (!read_numbers(loader, buffer)) return false;
    if (!files_list(files_system(), loader->directory, on_folder, loader, loader->fault) ||
        loader->fault->kind != FAULT_NONE) {
        return false;
    }
    // The model works without the records; names and fillers then need something to stand on.
    add_word(loader, &model->users, SPAN_LITERAL("operator"));
    add_word(loader, &model->filler, SPAN_LITERAL("parameter"));
    for (uint32_t each = 0; each < model->archetypes_count; each++) {
        struct traffic_archetype *archetype = &model->archetypes[each];
        for (uint32_t index = 0; index < archetype->operations_count; index++) {
            if (!fill_operation(loader, &archetype->operations[index])) return false;
        }
    }
    return true;
}

bool traffic_model_read(const char *directory, struct arena *arena, struct traffic_model *model,
                        struct fault *fault) {
    assert(directory != NULL);
    // Listing goes on after a callback stops it: the fault itself says whether all went well.
    struct fault inner = {.kind = FAULT_NONE};
    struct loader loader = {
        .directory = directory,
        .arena = arena,
        .reader = json_reader_create(),
        .model = model,
        .fault = &inner,
    };
    *model = (struct traffic_model){0};
    struct buffer buffer;
    buffer_init(&buffer, MODEL_SIZE_MAX);
    bool read = loader.reader != NULL ? load(&loader, &buffer) : no_memory(&loader);
    buffer_done(&buffer);
    json_reader_destroy(loader.reader);
    if (read) return true;
    *fault = inner;
    return fault_add(fault, "traffic model in %s", directory);
}
