// Files that are read or replaced whole, over any files.
#include <stdio.h>
#include <string.h>

#include "base/files.h"

enum {
    READ_SIZE = 64 * 1024,  // bytes of one read
    PATH_SIZE = 4096,       // bytes with the final zero, as Linux's PATH_MAX
};

// Appends all that the open file holds. The caller mends the buffer on failure.
static bool read_open(const struct files *files, int handle, size_t size_max, struct buffer *buffer,
                      struct fault *fault) {
    uint64_t offset = 0;
    for (;;) {
        // Where the buffer ends, one more byte is tried to see whether the file ends there too.
        size_t room = buffer->size_max - buffer->size;
        size_t part = room < READ_SIZE ? room : READ_SIZE;
        uint8_t last;
        uint8_t *to = room == 0 ? &last : buffer_reserve(buffer, part);
        if (to == NULL) return fault_set(fault, FAULT_FULL, "no memory");
        if (room == 0) part = 1;
        size_t got;
        if (!files_read_at(files, handle, offset, to, part, &got, fault)) return false;
        offset += got;
        if (offset > size_max) {
            return fault_set(fault, FAULT_INPUT, "larger than the %zu bytes allowed", size_max);
        }
        if (room == 0 && got > 0) return fault_set(fault, FAULT_FULL, "no room in the buffer");
        buffer->size += got;
        if (got < part) return true;
    }
}

bool files_read_whole(const struct files *files, const char *path, size_t size_max,
                      struct buffer *buffer, struct fault *fault) {
    int handle;
    if (!files_open(files, path, FILES_READ, &handle, fault)) return false;
    size_t before = buffer->size;
    bool read = read_open(files, handle, size_max, buffer, fault);
    files_close(files, handle);
    if (read) return true;
    buffer->size = before;
    return fault_add(fault, "%s", path);
}

// Writes the file beside the one to be replaced and makes it durable.
static bool write_new(const struct files *files, const char *path, struct span bytes, uint32_t mode,
                      struct fault *fault) {
    int handle;
    // One may have been left by a crash.
    if (!files_remove(files, path, fault)) return false;
    if (!files_open(files, path, FILES_CREATE_PRIVATE, &handle, fault)) return false;
    bool written = files_append(files, handle, bytes, fault) &&
                   files_set_mode(files, handle, mode, fault) && files_sync(files, handle, fault);
    files_close(files, handle);
    return written;
}

bool files_write_whole(const struct files *files, const char *path, struct span bytes,
                       uint32_t mode, struct fault *fault) {
    char beside[PATH_SIZE], folder[PATH_SIZE];
    int length = snprintf(beside, sizeof beside, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof beside) {
        return fault_set(fault, FAULT_INPUT, "the path is too long: %s", path);
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof folder, ".");
    } else {
        // The slash itself stays if it is the root.
        int size = slash == path ? 1 : (int)(slash - path);
        snprintf(folder, sizeof folder, "%.*s", size, path);
    }
    if (write_new(files, beside, bytes, mode, fault) && files_rename(files, beside, path, fault)) {
        return files_sync_directory(files, folder, fault);
    }
    // The fault to report is the first one; a file left behind is removed by the next write.
    struct fault second = {0};
    if (!files_remove(files, beside, &second)) fault_add(fault, "left behind %s", beside);
    return false;
}
