#include "base/files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/syncer.h"

enum {
    FILE_MODE = 0640,
    PRIVATE_MODE = 0600,
    DIRECTORY_MODE = 0750,
    LIST_COUNT_MIN = 64,     // entries a listing begins with room for
    RENEW_SIZE = 16 * 1024,  // bytes that are written again at once
    PATH_SIZE = 4096,        // bytes with the final zero, as Linux's PATH_MAX
};

static enum fault_kind kind_of(int error) {
    switch (error) {
        case ENOSPC:
        case EDQUOT:
            return FAULT_FULL;
        case ENOENT:
        case ENOTDIR:
        case EEXIST:
        case EISDIR:
        case ENOTEMPTY:
        case ENAMETOOLONG:
            return FAULT_INPUT;
        case EACCES:
        case EPERM:
            return FAULT_DENIED;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return FAULT_RETRY;
        default:
            return FAULT_IO;
    }
}

static bool set_path_fault(struct fault *fault, int error, const char *operation,
                           const char *path) {
    return fault_set_errno(fault, kind_of(error), error, "%s %s", operation, path);
}

// Names an open file by asking the kernel: a handle is its descriptor.
static bool system_find_path(void *context, int handle, char *path, size_t path_size) {
    (void)context;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, path, path_size - 1);
    if (size >= 0) path[size] = 0;
    return size >= 0;
}

static bool set_handle_fault(struct fault *fault, int error, const char *operation, int handle) {
    char path[PATH_SIZE];
    if (!system_find_path(NULL, handle, path, sizeof path)) path[0] = 0;
    return set_path_fault(fault, error, operation, path);
}

static void fill_entry(struct files_entry *entry, const char *name, const struct stat *status) {
    *entry = (struct files_entry){
        .name = name,
        .is_directory = S_ISDIR(status->st_mode),
        .size = (uint64_t)status->st_size,
        .modified_ns =
            (int64_t)status->st_mtim.tv_sec * 1000000000 + (int64_t)status->st_mtim.tv_nsec,
        .inode = status->st_ino,
        .device = status->st_dev,
        .mode = status->st_mode & 07777,
    };
}

static bool check_regular(int descriptor, const char *path, struct fault *fault) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) return set_path_fault(fault, errno, "open", path);
    if (S_ISDIR(status.st_mode)) return set_path_fault(fault, EISDIR, "open", path);
    if (S_ISREG(status.st_mode)) return true;
    return fault_set(fault, FAULT_DENIED, "open %s: it is no regular file", path);
}

static bool system_open(void *context, const char *path, enum files_mode mode, int *handle,
                        struct fault *fault) {
    (void)context;
    int flags = O_CLOEXEC;
    // Opening a pipe to read it would wait for somebody to write.
    if (mode == FILES_READ) flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY;
    if (mode != FILES_READ) flags |= O_RDWR | O_APPEND | O_CREAT;
    if (mode == FILES_CREATE || mode == FILES_CREATE_PRIVATE) flags |= O_EXCL;
    int descriptor = open(path, flags, mode == FILES_CREATE_PRIVATE ? PRIVATE_MODE : FILE_MODE);
    if (descriptor < 0) return set_path_fault(fault, errno, "open", path);
    if (mode == FILES_READ && !check_regular(descriptor, path, fault)) {
        close(descriptor);
        return false;
    }
    *handle = descriptor;
    return true;
}

static void system_close(void *context, int handle) {
    (void)context;
    // What had to be kept was synced before; Linux closes the descriptor whatever it returns.
    close(handle);
}

static bool system_read_at(void *context, int handle, uint64_t offset, void *bytes, size_t size,
                           size_t *got, struct fault *fault) {
    (void)context;
    uint8_t *to = bytes;
    size_t total = 0;
    while (total < size) {
        ssize_t part = pread(handle, to + total, size - total, (off_t)(offset + total));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return set_handle_fault(fault, errno, "read", handle);
        if (part == 0) break;
        total += (size_t)part;
    }
    *got = total;
    return true;
}

static bool system_append(void *context, int handle, struct span bytes, struct fault *fault) {
    (void)context;
    while (bytes.size > 0) {
        ssize_t part = write(handle, bytes.bytes, bytes.size);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return set_handle_fault(fault, errno, "append to", handle);
        bytes = span_from(bytes, (size_t)part);
    }
    return true;
}

// Writing has begun when the call returns; what goes wrong then is files_sync's to tell.
static void system_hasten(void *context, int handle) {
    (void)context;
    (void)sync_file_range(handle, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static bool system_sync(void *context, int handle, struct fault *fault) {
    (void)context;
    if (fdatasync(handle) != 0) return set_handle_fault(fault, errno, "sync", handle);
    return true;
}

static void system_sync_begin(void *context, int handle) {
    (void)context;
    syncer_begin(handle);
}

static bool system_sync_is_done(void *context, int handle) {
    (void)context;
    (void)handle;
    return syncer_is_done();
}

static bool system_sync_end(void *context, int handle, struct fault *fault) {
    (void)context;
    int error = syncer_end();
    if (error != 0) return set_handle_fault(fault, error, "sync", handle);
    return true;
}

static bool write_at(int handle, uint64_t offset, const uint8_t *bytes, size_t size) {
    size_t written = 0;
    while (written < size) {
        ssize_t part = pwrite(handle, bytes + written, size - written, (off_t)(offset + written));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return false;
        written += (size_t)part;
    }
    return true;
}

static bool system_renew(void *context, int handle, uint64_t offset, struct fault *fault) {
    uint8_t bytes[RENEW_SIZE];
    // With O_APPEND everything goes to the end, wherever it was meant to.
    int flags = fcntl(handle, F_GETFL);
    if (flags < 0 || fcntl(handle, F_SETFL, flags & ~O_APPEND) != 0) {
        return set_handle_fault(fault, errno, "renew", handle);
    }
    bool is_good = true;
    size_t got = sizeof bytes;
    while (is_good && got == sizeof bytes) {
        is_good = system_read_at(context, handle, offset, bytes, sizeof bytes, &got, fault);
        if (!is_good) break;
        is_good = write_at(handle, offset, bytes, got);
        if (!is_good) set_handle_fault(fault, errno, "renew", handle);
        offset += got;
    }
    if (fcntl(handle, F_SETFL, flags) == 0 || !is_good) return is_good;
    return set_handle_fault(fault, errno, "renew", handle);
}

static bool system_truncate(void *context, int handle, uint64_t size, struct fault *fault) {
    (void)context;
    if (ftruncate(handle, (off_t)size) != 0) {
        return set_handle_fault(fault, errno, "truncate", handle);
    }
    return true;
}

static bool system_describe(void *context, int handle, struct files_entry *entry,
                            struct fault *fault) {
    (void)context;
    struct stat status;
    if (fstat(handle, &status) != 0) return set_handle_fault(fault, errno, "describe", handle);
    fill_entry(entry, NULL, &status);
    return true;
}

static bool system_find(void *context, const char *path, bool *exists, struct files_entry *entry,
                        struct fault *fault) {
    (void)context;
    struct stat status;
    if (stat(path, &status) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) return set_path_fault(fault, errno, "find", path);
        *exists = false;
        return true;
    }
    *exists = true;
    fill_entry(entry, NULL, &status);
    return true;
}

static bool system_remove(void *context, const char *path, struct fault *fault) {
    (void)context;
    if (remove(path) != 0 && errno != ENOENT) return set_path_fault(fault, errno, "remove", path);
    return true;
}

static bool system_rename(void *context, const char *from, const char *to, struct fault *fault) {
    (void)context;
    if (rename(from, to) == 0) return true;
    set_path_fault(fault, errno, "to", to);
    return fault_add(fault, "rename %s", from);
}

static bool system_make_directory(void *context, const char *path, struct fault *fault) {
    (void)context;
    if (mkdir(path, DIRECTORY_MODE) == 0) return true;
    int error = errno;
    struct stat status;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    return set_path_fault(fault, error, "make folder", path);
}

static bool system_sync_directory(void *context, const char *path, struct fault *fault) {
    (void)context;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return set_path_fault(fault, errno, "open folder", path);
    bool synced = fsync(descriptor) == 0;
    int error = errno;
    close(descriptor);
    if (!synced) return set_path_fault(fault, error, "sync folder", path);
    return true;
}

// A folder's names while they are read and sorted.
struct names {
    char **texts;
    size_t count;
    size_t capacity;
};

static void names_done(struct names *names) {
    for (size_t index = 0; index < names->count; index++) free(names->texts[index]);
    free(names->texts);
}

static bool names_push(struct names *names, const char *text) {
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? LIST_COUNT_MIN : names->capacity * 2;
        char **texts = reallocarray(names->texts, capacity, sizeof *texts);
        if (texts == NULL) return false;
        names->texts = texts;
        names->capacity = capacity;
    }
    char *copy = strdup(text);
    if (copy == NULL) return false;
    names->texts[names->count++] = copy;
    return true;
}

static int compare_names(const void *left, const void *right) {
    const char *const *one = left, *const *other = right;
    return strcmp(*one, *other);
}

static bool read_names(DIR *directory, const char *path, struct names *names, struct fault *fault) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL && errno != 0) return set_path_fault(fault, errno, "list", path);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!names_push(names, entry->d_name)) {
            return fault_set(fault, FAULT_FULL, "list %s: no memory", path);
        }
    }
    if (names->count > 0) qsort(names->texts, names->count, sizeof *names->texts, compare_names);
    return true;
}

// Before Linux 5.17 syncfs says nothing of a file system that could not commit its journal.
static bool kernel_tells_of_syncs(void) {
    struct utsname name;
    int major, minor;
    return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 17));
}

// These write and wait for everything with syncfs, and tell of what failed. One that lies over
// another, or is at the other end of a network, does not for sure.
static bool syncs_disk(unsigned long kind) {
    bool is_known =
        kind == EXT4_SUPER_MAGIC || kind == XFS_SUPER_MAGIC || kind == BTRFS_SUPER_MAGIC;
    return is_known && kernel_tells_of_syncs();
}

static bool system_open_disk(void *context, const char *path, int *handle, struct fault *fault) {
    (void)context;
    struct statfs status;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return set_path_fault(fault, errno, "open folder", path);
    if (fstatfs(descriptor, &status) == 0 && syncs_disk((unsigned long)status.f_type)) {
        *handle = descriptor;
        return true;
    }
    close(descriptor);
    *handle = -1;
    return true;
}

static bool system_sync_disk(void *context, int handle, struct fault *fault) {
    (void)context;
    if (syncfs(handle) != 0) return set_handle_fault(fault, errno, "sync all of", handle);
    return true;
}

static bool system_list(void *context, const char *path,
                        bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                        struct fault *fault) {
    (void)context;
    DIR *directory = opendir(path);
    if (directory == NULL) return set_path_fault(fault, errno, "list", path);
    struct names names = {0};
    bool good = read_names(directory, path, &names, fault);
    for (size_t index = 0; good && index < names.count; index++) {
        struct stat status;
        if (fstatat(dirfd(directory), names.texts[index], &status, 0) != 0) {
            // Removed since, or a link to nothing: it is as if it had not been there.
            if (errno == ENOENT || errno == ELOOP) continue;
            good = set_path_fault(fault, errno, "list", path);
            break;
        }
        struct files_entry entry;
        fill_entry(&entry, names.texts[index], &status);
        if (!on_entry(user, &entry)) break;
    }
    names_done(&names);
    closedir(directory);
    return good;
}

static bool system_measure_free(void *context, const char *path, uint64_t *free_size,
                                uint64_t *total_size, struct fault *fault) {
    (void)context;
    struct statvfs status;
    if (statvfs(path, &status) != 0) return set_path_fault(fault, errno, "measure", path);
    *free_size = (uint64_t)status.f_bavail * status.f_frsize;
    *total_size = (uint64_t)status.f_blocks * status.f_frsize;
    return true;
}

static bool system_lock(void *context, const char *path, int *handle, struct fault *fault) {
    (void)context;
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (descriptor < 0) return set_path_fault(fault, errno, "open lock", path);
    // A lock of the open file, not of the process: closing another descriptor does not drop it.
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &lock) == 0) {
        *handle = descriptor;
        return true;
    }
    int error = errno;
    close(descriptor);
    if (error == EAGAIN || error == EACCES) {
        return fault_set(fault, FAULT_RETRY, "lock %s: another process holds it", path);
    }
    return set_path_fault(fault, error, "lock", path);
}

static bool system_set_mode(void *context, int handle, uint32_t mode, struct fault *fault) {
    (void)context;
    if (fchmod(handle, (mode_t)mode) != 0) {
        return set_handle_fault(fault, errno, "set mode of", handle);
    }
    return true;
}

const struct files *files_system(void) {
    static const struct files_operations operations = {
        .open = system_open,
        .close = system_close,
        .read_at = system_read_at,
        .append = system_append,
        .sync = system_sync,
        .hasten = system_hasten,
        .sync_begin = system_sync_begin,
        .sync_is_done = system_sync_is_done,
        .sync_end = system_sync_end,
        .renew = system_renew,
        .truncate = system_truncate,
        .describe = system_describe,
        .find = system_find,
        .remove = system_remove,
        .rename = system_rename,
        .make_directory = system_make_directory,
        .sync_directory = system_sync_directory,
        .open_disk = system_open_disk,
        .sync_disk = system_sync_disk,
        .list = system_list,
        .measure_free = system_measure_free,
        .lock = system_lock,
        .set_mode = system_set_mode,
        .find_path = system_find_path,
    };
    static const struct files files = {&operations, NULL};
    return &files;
}

bool files_open(const struct files *files, const char *path, enum files_mode mode, int *handle,
                struct fault *fault) {
    return files->operations->open(files->context, path, mode, handle, fault);
}

void files_close(const struct files *files, int handle) {
    files->operations->close(files->context, handle);
}

bool files_read_at(const struct files *files, int handle, uint64_t offset, void *bytes, size_t size,
                   size_t *got, struct fault *fault) {
    return files->operations->read_at(files->context, handle, offset, bytes, size, got, fault);
}

bool files_append(const struct files *files, int handle, struct span bytes, struct fault *fault) {
    return files->operations->append(files->context, handle, bytes, fault);
}

void files_hasten(const struct files *files, int handle) {
    if (files->operations->hasten != NULL) files->operations->hasten(files->context, handle);
}

bool files_sync(const struct files *files, int handle, struct fault *fault) {
    return files->operations->sync(files->context, handle, fault);
}

void files_sync_begin(const struct files *files, int handle) {
    files->operations->sync_begin(files->context, handle);
}

bool files_sync_is_done(const struct files *files, int handle) {
    return files->operations->sync_is_done(files->context, handle);
}

bool files_sync_end(const struct files *files, int handle, struct fault *fault) {
    return files->operations->sync_end(files->context, handle, fault);
}

bool files_renew(const struct files *files, int handle, uint64_t offset, struct fault *fault) {
    return files->operations->renew(files->context, handle, offset, fault);
}

bool files_truncate(const struct files *files, int handle, uint64_t size, struct fault *fault) {
    return files->operations->truncate(files->context, handle, size, fault);
}

bool files_describe(const struct files *files, int handle, struct files_entry *entry,
                    struct fault *fault) {
    return files->operations->describe(files->context, handle, entry, fault);
}

bool files_find(const struct files *files, const char *path, bool *exists,
                struct files_entry *entry, struct fault *fault) {
    return files->operations->find(files->context, path, exists, entry, fault);
}

bool files_remove(const struct files *files, const char *path, struct fault *fault) {
    return files->operations->remove(files->context, path, fault);
}

bool files_rename(const struct files *files, const char *from, const char *to,
                  struct fault *fault) {
    return files->operations->rename(files->context, from, to, fault);
}

bool files_make_directory(const struct files *files, const char *path, struct fault *fault) {
    return files->operations->make_directory(files->context, path, fault);
}

bool files_sync_directory(const struct files *files, const char *path, struct fault *fault) {
    return files->operations->sync_directory(files->context, path, fault);
}

bool files_open_disk(const struct files *files, const char *path, int *handle,
                     struct fault *fault) {
    return files->operations->open_disk(files->context, path, handle, fault);
}

bool files_sync_disk(const struct files *files, int handle, struct fault *fault) {
    return files->operations->sync_disk(files->context, handle, fault);
}

bool files_list(const struct files *files, const char *path,
                bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                struct fault *fault) {
    return files->operations->list(files->context, path, on_entry, user, fault);
}

bool files_measure_free(const struct files *files, const char *path, uint64_t *free_size,
                        uint64_t *total_size, struct fault *fault) {
    return files->operations->measure_free(files->context, path, free_size, total_size, fault);
}

bool files_lock(const struct files *files, const char *path, int *handle, struct fault *fault) {
    return files->operations->lock(files->context, path, handle, fault);
}

bool files_set_mode(const struct files *files, int handle, uint32_t mode, struct fault *fault) {
    return files->operations->set_mode(files->context, handle, mode, fault);
}

bool files_find_path(const struct files *files, int handle, char *path, size_t path_size) {
    return files->operations->find_path != NULL &&
           files->operations->find_path(files->context, handle, path, path_size);
}
