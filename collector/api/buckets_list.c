// Lists of buckets and objects.

#include <stdlib.h>
#include <string.h>

#include "base/crypto_rsa.h"
#include "base/xml.h"
#include "collector/api/buckets_internal.h"

#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

// ---- what is asked for

struct listing {
    struct bucket_call *call;
    struct span prefix;
    struct span after;   // keys up to this one are not wanted
    bool has_delimiter;  // '/'
    bool is_second;      // version 2
    bool is_encoded;
    bool has_owner;  // of each object
    uint32_t max;
    // What is found.
    struct item *items;
    uint32_t count;
    bool is_more;
    bool is_good;
    uint32_t depth;
};

// An object, or the common beginning of several.
struct item {
    struct span key;
    bool is_prefix;
    struct files_entry entry;  // without its name
};

enum { DEPTH_MAX = 64 };

static bool refuse_memory(struct listing *listing) {
    return bucket_refuse(listing->call, 503, "ServiceUnavailable",
                         "There is no memory for this now.");
}

// ---- a folder

struct folder {
    struct listing *listing;
    struct item *items;  // names, of folders with a slash behind
    uint32_t count;
    uint32_t capacity;
    bool is_full;
};

static bool on_entry(void *user, const struct files_entry *entry) {
    struct folder *folder = user;
    struct arena *arena = folder->listing->call->arena;
    if (entry->name[0] == '.') return true;
    if (folder->count == folder->capacity) {
        uint32_t larger = folder->capacity == 0 ? 64 : 2 * folder->capacity;
        struct item *grown = arena_allocate_array(arena, larger, sizeof *grown);
        folder->is_full = grown == NULL || larger > BUCKETS_FOLDER_MAX;
        if (folder->is_full) return false;
        if (folder->count > 0) memcpy(grown, folder->items, folder->count * sizeof *grown);
        folder->items = grown;
        folder->capacity = larger;
    }
    const char *name = arena_print(arena, "%s%s", entry->name, entry->is_directory ? "/" : "");
    folder->is_full = name == NULL;
    if (folder->is_full) return false;
    struct item *item = &folder->items[folder->count++];
    *item = (struct item){.key = span_text(name), .entry = *entry};
    item->entry.name = NULL;
    return true;
}

static int compare(const void *left, const void *right) {
    const struct item *one = left, *other = right;
    return span_compare(one->key, other->key);
}

static bool read_folder(struct listing *listing, struct span key, struct folder *folder) {
    struct fault fault;
    char path[OBJECTS_PATH_SIZE];
    const struct objects_directory *directory = listing->call->buckets->directory;
    if (key.size > 0) key.size--;  // its slash
    if (!objects_directory_path(directory, listing->call->bucket, key, path)) return true;
    if (!files_list(directory->files, path, on_entry, folder, &fault)) {
        // It went meanwhile.
        if (fault.kind == FAULT_INPUT) return true;
        return bucket_refuse(listing->call, fault.kind == FAULT_DENIED ? 403 : 503,
                             fault.kind == FAULT_DENIED ? "AccessDenied" : "SlowDown",
                             "A folder of the bucket cannot be read.");
    }
    if (folder->is_full) return refuse_memory(listing);
    if (folder->count > 0) qsort(folder->items, folder->count, sizeof *folder->items, compare);
    return true;
}

// ---- the walk

static bool add(struct listing *listing, const struct item *item) {
    if (listing->count == listing->max) {
        listing->is_more = true;
        return false;
    }
    listing->items[listing->count++] = *item;
    return true;
}

static bool walk(struct listing *listing, struct span folder);

// Whether keys that begin so can be wanted at all.
static bool may_hold(const struct listing *listing, struct span key) {
    bool is_on_way = span_starts(listing->prefix, key) || span_starts(key, listing->prefix);
    bool is_over = span_compare(key, listing->after) <= 0 && !span_starts(listing->after, key);
    return is_on_way && !is_over && bucket_sees_folder(listing->call, key);
}

// Goes on with an entry of a folder; false: that was all.
static bool visit(struct listing *listing, struct item *item) {
    bool is_folder = item->key.bytes[item->key.size - 1] == '/';
    if (is_folder && !may_hold(listing, item->key)) return true;
    bool is_wanted = span_starts(item->key, listing->prefix) && item->key.size > 0;
    if (is_folder && listing->has_delimiter && is_wanted && item->key.size > listing->prefix.size) {
        item->is_prefix = true;
        // What was answered before stands for all in it.
        return span_starts(listing->after, item->key) || add(listing, item);
    }
    if (is_folder) return walk(listing, item->key);
    if (!is_wanted || span_compare(item->key, listing->after) <= 0) return true;
    return !bucket_sees(listing->call, item->key) || add(listing, item);
}

// Walks a folder in order of keys. Calls itself at most DEPTH_MAX times.
static bool walk(struct listing *listing, struct span folder) {
    struct folder found = {.listing = listing};
    if (listing->depth == DEPTH_MAX) return true;
    listing->depth++;
    listing->is_good = listing->is_good && read_folder(listing, folder, &found);
    bool goes_on = listing->is_good;
    for (uint32_t index = 0; goes_on && index < found.count; index++) {
        struct item *item = &found.items[index];
        const char *key = arena_print(listing->call->arena, "%.*s%.*s", SPAN_PRINT(folder),
                                      SPAN_PRINT(item->key));
        if (key == NULL) {
            listing->is_good = refuse_memory(listing);
            return false;
        }
        item->key = span_text(key);
        goes_on = visit(listing, item);
    }
    listing->depth--;
    return goes_on && listing->is_good;
}

// ---- the answer

static void append_key(const struct listing *listing, struct span key) {
    static const char plain[] = "-._~/";
    struct buffer *body = &listing->call->response->body;
    if (!listing->is_encoded) {
        xml_append(body, key);
        return;
    }
    for (size_t at = 0; at < key.size; at++) {
        uint8_t byte = key.bytes[at];
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9') || (byte != 0 && strchr(plain, byte) != NULL);
        if (is_plain) {
            buffer_append_byte(body, byte);
        } else {
            buffer_print(body, "%%%02X", byte);
        }
    }
}

static void append_element(const struct listing *listing, const char *name, struct span key) {
    struct buffer *body = &listing->call->response->body;
    buffer_print(body, "<%s>", name);
    append_key(listing, key);
    buffer_print(body, "</%s>", name);
}

static void append_item(const struct listing *listing, const struct item *item) {
    struct buffer *body = &listing->call->response->body;
    char tag[BUCKET_TAG_SIZE];
    if (item->is_prefix) {
        buffer_append_text(body, "<CommonPrefixes>");
        append_element(listing, "Prefix", item->key);
        buffer_append_text(body, "</CommonPrefixes>");
        return;
    }
    bucket_print_tag(&item->entry, tag);
    buffer_append_text(body, "<Contents>");
    append_element(listing, "Key", item->key);
    buffer_append_text(body, "<LastModified>");
    bucket_append_time(body, item->entry.modified_ns);
    buffer_append_text(body, "</LastModified><ETag>");
    xml_append(body, span_text(tag));
    buffer_print(body, "</ETag><Size>%llu</Size>", (unsigned long long)item->entry.size);
    if (listing->has_owner) bucket_append_owner(listing->call);
    buffer_append_text(body, "<StorageClass>STANDARD</StorageClass></Contents>");
}

static void append_next(const struct listing *listing) {
    struct buffer *body = &listing->call->response->body;
    if (!listing->is_more || listing->count == 0) return;
    struct span last = listing->items[listing->count - 1].key;
    if (!listing->is_second) {
        append_element(listing, "NextMarker", last);
        return;
    }
    buffer_append_text(body, "<NextContinuationToken>");
    crypto_append_base64(body, last);
    buffer_append_text(body, "</NextContinuationToken>");
}

static void append_answer(const struct listing *listing, struct span start) {
    struct buffer *body = &listing->call->response->body;
    listing->call->response->content_type = "application/xml";
    buffer_append_text(body,
                       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult" XMLNS ">");
    buffer_append_text(body, "<Name>");
    xml_append(body, listing->call->bucket);
    buffer_append_text(body, "</Name>");
    append_element(listing, "Prefix", listing->prefix);
    append_element(listing, listing->is_second ? "StartAfter" : "Marker", start);
    if (listing->has_delimiter) buffer_append_text(body, "<Delimiter>/</Delimiter>");
    if (listing->is_encoded) buffer_append_text(body, "<EncodingType>url</EncodingType>");
    buffer_print(body, "<MaxKeys>%u</MaxKeys><IsTruncated>%s</IsTruncated>", (unsigned)listing->max,
                 listing->is_more ? "true" : "false");
    if (listing->is_second) buffer_print(body, "<KeyCount>%u</KeyCount>", (unsigned)listing->count);
    for (uint32_t index = 0; index < listing->count; index++) {
        append_item(listing, &listing->items[index]);
    }
    append_next(listing);
    buffer_append_text(body, "</ListBucketResult>\n");
}

// ---- parameters

static bool refuse_argument(struct listing *listing, const char *text) {
    return bucket_refuse(listing->call, 400, "InvalidArgument", text);
}

static bool read_max(struct listing *listing) {
    struct span value;
    bool found;
    listing->max = BUCKETS_PAGE_MAX;
    if (!bucket_parameter(listing->call, "max-keys", &found, &value)) return false;
    if (!found) return true;
    uint32_t max = 0;
    for (size_t at = 0; at < value.size; at++) {
        bool is_digit = value.bytes[at] >= '0' && value.bytes[at] <= '9';
        if (!is_digit || value.size > 9) {
            return refuse_argument(listing,
                                   "Provided max-keys not an integer or within integer range");
        }
        max = max * 10 + (uint32_t)(value.bytes[at] - '0');
    }
    if (max < listing->max) listing->max = max;
    return true;
}

// Where the page begins.
static bool read_start(struct listing *listing, struct span *start) {
    struct span token = {NULL, 0};
    struct buffer plain;
    bool found = false;
    *start = (struct span){NULL, 0};
    if (!bucket_parameter(listing->call, listing->is_second ? "start-after" : "marker", &found,
                          start)) {
        return false;
    }
    listing->after = *start;
    if (!listing->is_second) return true;
    if (!bucket_parameter(listing->call, "continuation-token", &found, &token)) return false;
    if (!found) return true;
    buffer_init(&plain, OBJECT_KEY_SIZE_MAX + 16);
    bool is_good = crypto_parse_base64(token, &plain) && plain.size > 0;
    bool is_kept =
        is_good && arena_copy(listing->call->arena, buffer_span(&plain), &listing->after);
    buffer_done(&plain);
    if (!is_good) return refuse_argument(listing, "The continuation token provided is incorrect");
    return is_kept || refuse_memory(listing);
}

static bool read_parameters(struct listing *listing, struct span *start) {
    struct bucket_call *call = listing->call;
    struct span value = {NULL, 0};
    bool found;
    if (!bucket_parameter(call, "list-type", &found, &value)) return false;
    listing->is_second = found && span_is(value, "2");
    if (!bucket_parameter(call, "prefix", &found, &value)) return false;
    if (found) listing->prefix = value;
    if (!bucket_parameter(call, "delimiter", &found, &value)) return false;
    listing->has_delimiter = found && span_is(value, "/");
    if (found && value.size > 0 && !listing->has_delimiter) {
        return bucket_refuse(call, 501, "NotImplemented", "The only delimiter is a slash.");
    }
    if (!bucket_parameter(call, "encoding-type", &found, &value)) return false;
    listing->is_encoded = found && span_is(value, "url");
    // The second version tells it to whoever asks.
    if (!bucket_parameter(call, "fetch-owner", &found, &value)) return false;
    listing->has_owner = !listing->is_second || (found && span_is(value, "true"));
    return read_max(listing) && read_start(listing, start);
}

bool bucket_list_objects(struct bucket_call *call) {
    struct listing listing = {.call = call, .is_good = true};
    struct span start;
    if (!read_parameters(&listing, &start)) return false;
    listing.items = arena_allocate_array(call->arena, listing.max + 1, sizeof *listing.items);
    if (listing.items == NULL) return refuse_memory(&listing);
    if (listing.max > 0) (void)walk(&listing, (struct span){NULL, 0});
    if (listing.is_good) append_answer(&listing, start);
    return listing.is_good;
}

static bool on_bucket(void *user, const struct files_entry *entry) {
    struct bucket_call *call = user;
    char path[OBJECTS_PATH_SIZE];
    struct buffer *body = &call->response->body;
    if (!entry->is_directory ||
        !objects_directory_path(call->buckets->directory, span_text(entry->name),
                                (struct span){NULL, 0}, path)) {
        return true;
    }
    buffer_append_text(body, "<Bucket><Name>");
    xml_append(body, span_text(entry->name));
    buffer_append_text(body, "</Name><CreationDate>");
    bucket_append_time(body, entry->modified_ns);
    buffer_append_text(body, "</CreationDate></Bucket>");
    return true;
}

bool bucket_list_all(struct bucket_call *call) {
    struct fault fault;
    struct buffer *body = &call->response->body;
    const struct objects_directory *directory = call->buckets->directory;
    call->response->content_type = "application/xml";
    buffer_append_text(
        body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListAllMyBucketsResult" XMLNS ">");
    bucket_append_owner(call);
    buffer_append_text(body, "<Buckets>");
    if (!files_list(directory->files, directory->root, on_bucket, call, &fault)) {
        return bucket_refuse(call, 503, "SlowDown", "The buckets cannot be listed.");
    }
    buffer_append_text(body, "</Buckets></ListAllMyBucketsResult>\n");
    return true;
}
