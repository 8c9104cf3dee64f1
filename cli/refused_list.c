#include "cli/refused_list.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>

enum { PIECE_SIZE = 64 * 1024 };

struct refused_list_item {
    int64_t last_ms;
    uint64_t offset;
    uint64_t size;
};

static bool set_file_fault(struct fault *fault) {
    return fault_set_errno(fault, FAULT_IO, errno, "a temporary file for the entries");
}

bool refused_list_add(struct refused_list *list, int64_t last_ms, struct span text,
                      struct fault *fault) {
    if (list->texts == NULL) list->texts = tmpfile();
    if (list->texts == NULL) return set_file_fault(fault);
    if (list->items_count == list->items_capacity) {
        size_t larger = list->items_capacity == 0 ? 1024 : list->items_capacity * 2;
        void *grown = realloc(list->items, larger * sizeof *list->items);
        if (grown == NULL) return fault_set(fault, FAULT_FULL, "no memory");
        list->items = grown;
        list->items_capacity = larger;
    }
    if (fwrite(text.bytes, 1, text.size, list->texts) != text.size) return set_file_fault(fault);
    list->items[list->items_count++] =
        (struct refused_list_item){.last_ms = last_ms, .offset = list->size, .size = text.size};
    list->size += text.size;
    return true;
}

// Newest first; those of one moment stay in the order of their keys.
static int compare(const void *left, const void *right) {
    const struct refused_list_item *a = left;
    const struct refused_list_item *b = right;
    if (a->last_ms != b->last_ms) return a->last_ms > b->last_ms ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static bool print_item(FILE *texts, const struct refused_list_item *item, struct fault *fault) {
    static uint8_t piece[PIECE_SIZE];
    if (fseeko(texts, (off_t)item->offset, SEEK_SET) != 0) return set_file_fault(fault);
    for (uint64_t left = item->size; left > 0;) {
        size_t size = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
        if (fread(piece, 1, size, texts) != size) return set_file_fault(fault);
        fwrite(piece, 1, size, stdout);
        left -= size;
    }
    return true;
}

bool refused_list_print(struct refused_list *list, size_t limit, struct fault *fault) {
    size_t count = limit == 0 || limit > list->items_count ? list->items_count : limit;
    if (list->items_count == 0) return true;
    qsort(list->items, list->items_count, sizeof *list->items, compare);
    // Standard output's errors are told at the program's end.
    for (size_t index = 0; index < count && ferror(stdout) == 0; index++) {
        if (!print_item(list->texts, &list->items[index], fault)) return false;
    }
    return true;
}

void refused_list_done(struct refused_list *list) {
    if (list->texts != NULL) fclose(list->texts);
    free(list->items);
    *list = (struct refused_list){0};
}
