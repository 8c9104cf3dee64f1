#include "base/xml.h"

#include <assert.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    XML_Parser parser;
    bool (*on_end)(void *user, const char *path, struct span text);
    void *user;
    const char *refusal;  // static; NULL: none
    char path[XML_PATH_SIZE];
    size_t path_size;
    uint32_t depth;
    size_t text_begins[XML_DEPTH_MAX];  // of the open elements' texts, in `text`
    struct buffer text;
};

static void refuse(struct reading *reading, const char *refusal) {
    reading->refusal = refusal;
    XML_StopParser(reading->parser, XML_FALSE);
}

static const char *bare_name(const char *name) {
    const char *colon = strrchr(name, ':');
    return colon == NULL ? name : colon + 1;
}

static void on_begin(void *user, const char *name, const char **attributes) {
    struct reading *reading = user;
    (void)attributes;
    name = bare_name(name);
    size_t size = strlen(name);
    size_t slash = reading->depth > 0 ? 1 : 0;
    if (reading->depth == XML_DEPTH_MAX) {
        refuse(reading, "too many elements in one another");
        return;
    }
    if (reading->path_size + slash + size >= sizeof reading->path) {
        refuse(reading, "names are too long");
        return;
    }
    if (slash > 0) reading->path[reading->path_size++] = '/';
    memcpy(reading->path + reading->path_size, name, size + 1);
    reading->path_size += size;
    reading->text_begins[reading->depth++] = reading->text.size;
}

static void on_element_end(void *user, const char *name) {
    struct reading *reading = user;
    if (reading->refusal != NULL) return;
    assert(reading->depth > 0);
    size_t begin = reading->text_begins[--reading->depth];
    struct span text = span_from(buffer_span(&reading->text), begin);
    bool goes_on = reading->on_end(reading->user, reading->path, text);
    reading->text.size = begin;
    size_t size = strlen(bare_name(name)) + (reading->depth > 0 ? 1 : 0);
    assert(size <= reading->path_size);
    reading->path_size -= size;
    reading->path[reading->path_size] = 0;
    if (!goes_on) XML_StopParser(reading->parser, XML_FALSE);
}

// The text of an element that has others in it stands before theirs: it is kept until its own end.
static void on_text(void *user, const char *bytes, int size) {
    struct reading *reading = user;
    if (reading->depth == 0 || reading->refusal != NULL) return;
    buffer_append(&reading->text, span_of(bytes, (size_t)size));
    if (buffer_overflowed(&reading->text)) refuse(reading, "a text is too long");
}

static void on_document_type(void *user, const char *name, const char *system_id,
                             const char *public_id, int has_subset) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    refuse(user, "it has a document type");
}

static bool parse(struct reading *reading, struct span document, struct fault *fault) {
    enum XML_Status status =
        XML_Parse(reading->parser, (const char *)document.bytes, (int)document.size, 1);
    if (reading->refusal != NULL) {
        return fault_set(fault, FAULT_INPUT, "XML is refused: %s", reading->refusal);
    }
    enum XML_Error error = XML_GetErrorCode(reading->parser);
    if (status == XML_STATUS_OK || error == XML_ERROR_ABORTED) return true;
    return fault_set(fault, FAULT_INPUT, "line %lu: not XML: %s",
                     XML_GetCurrentLineNumber(reading->parser), XML_ErrorString(error));
}

bool xml_read(struct span document, bool (*on_end)(void *user, const char *path, struct span text),
              void *user, struct fault *fault) {
    if (document.size == 0 || document.size > INT_MAX) {
        return fault_set(fault, FAULT_INPUT, "not XML: %s",
                         document.size == 0 ? "it is empty" : "it is too large");
    }
    struct reading reading = {.on_end = on_end, .user = user};
    buffer_init(&reading.text, XML_TEXT_SIZE_MAX);
    reading.parser = XML_ParserCreate("UTF-8");
    bool is_good = false;
    if (reading.parser == NULL) {
        fault_put(fault, FAULT_FULL, "no memory to read XML");
    } else {
        XML_SetUserData(reading.parser, &reading);
        XML_SetElementHandler(reading.parser, on_begin, on_element_end);
        XML_SetCharacterDataHandler(reading.parser, on_text);
        XML_SetStartDoctypeDeclHandler(reading.parser, on_document_type);
        is_good = parse(&reading, document, fault);
        XML_ParserFree(reading.parser);
    }
    buffer_done(&reading.text);
    return is_good;
}

void xml_append(struct buffer *output, struct span text) {
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        if (byte == '&') {
            buffer_append_text(output, "&amp;");
        } else if (byte == '<') {
            buffer_append_text(output, "&lt;");
        } else if (byte == '>') {
            buffer_append_text(output, "&gt;");
        } else if (byte == '"') {
            buffer_append_text(output, "&quot;");
        } else if (byte >= ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
            buffer_append_byte(output, byte);
        }
    }
}
