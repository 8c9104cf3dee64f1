// files.h: the file system, as an interface small enough that a simulator can be one.
//
// Paths are text with slashes. A handle is a small number that belongs to the files it came from.
// What was appended survives a power cut only after files_sync; a created, renamed or removed name
// only after files_sync_directory of its folder. All calls but
// files_sync_begin wait for the disk. Fault kinds:
// FAULT_FULL for no space or quota, FAULT_INPUT when a name is missing where it must exist or taken
// where it must not, FAULT_DENIED for missing permission, FAULT_RETRY for too many open files or no
// memory, FAULT_IO otherwise; texts hold operation and path. New files have mode 0640.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum files_mode {
    FILES_READ,            // must exist
    FILES_APPEND,          // created if missing; writes go to the end
    FILES_CREATE,          // must not exist
    FILES_CREATE_PRIVATE,  // must not exist; nobody but its owner can read it (mode 0600)
};

struct files_entry {
    const char *name;  // borrowed for the call
    bool is_directory;
    uint64_t size;
    int64_t modified_ns;  // since the Unix epoch
    uint64_t inode;
    uint64_t device;  // the file system's
    uint32_t mode;    // permissions, as in chmod
};

struct files_operations {
    bool (*open)(void *context, const char *path, enum files_mode mode, int *handle,
                 struct fault *fault);
    void (*close)(void *context, int handle);
    bool (*read_at)(void *context, int handle, uint64_t offset, void *bytes, size_t size,
                    size_t *got, struct fault *fault);
    bool (*append)(void *context, int handle, struct span bytes, struct fault *fault);
    bool (*sync)(void *context, int handle, struct fault *fault);
    void (*hasten)(void *context, int handle);  // NULL: nothing to gain
    void (*sync_begin)(void *context, int handle);
    bool (*sync_is_done)(void *context, int handle);
    bool (*sync_end)(void *context, int handle, struct fault *fault);
    bool (*renew)(void *context, int handle, uint64_t offset, struct fault *fault);
    bool (*truncate)(void *context, int handle, uint64_t size, struct fault *fault);
    bool (*describe)(void *context, int handle, struct files_entry *entry, struct fault *fault);
    bool (*find)(void *context, const char *path, bool *exists, struct files_entry *entry,
                 struct fault *fault);
    bool (*remove)(void *context, const char *path, struct fault *fault);
    bool (*rename)(void *context, const char *from, const char *to, struct fault *fault);
    bool (*make_directory)(void *context, const char *path, struct fault *fault);
    bool (*sync_directory)(void *context, const char *path, struct fault *fault);
    bool (*open_disk)(void *context, const char *path, int *handle, struct fault *fault);
    bool (*sync_disk)(void *context, int handle, struct fault *fault);
    bool (*list)(void *context, const char *path,
                 bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                 struct fault *fault);
    bool (*measure_free)(void *context, const char *path, uint64_t *free_size, uint64_t *total_size,
                         struct fault *fault);
    bool (*lock)(void *context, const char *path, int *handle, struct fault *fault);
    bool (*set_mode)(void *context, int handle, uint32_t mode, struct fault *fault);
    bool (*find_path)(void *context, int handle, char *path, size_t path_size);  // NULL: unknown
};

struct files {
    const struct files_operations *operations;
    void *context;
};

// The system's files. Lives for ever.
const struct files *files_system(void);

// Opens a file. FAULT_INPUT if it is missing (read) or exists (create). To read, only regular
// files: FAULT_INPUT for a folder, FAULT_DENIED for a pipe (which is not waited for), socket or
// device.
MUST_CHECK bool files_open(const struct files *files, const char *path, enum files_mode mode,
                           int *handle, struct fault *fault);

// Closes what files_open or files_lock gave. Syncs nothing.
void files_close(const struct files *files, int handle);

// Reads up to size bytes; *got is less only at the end of the file.
MUST_CHECK bool files_read_at(const struct files *files, int handle, uint64_t offset, void *bytes,
                              size_t size, size_t *got, struct fault *fault);

// Appends all bytes. On failure some may have been written: truncate back before going on.
MUST_CHECK bool files_append(const struct files *files, int handle, struct span bytes,
                             struct fault *fault);

// Has the disk begin to write what was appended, and neither waits nor promises anything: a
// files_sync of it later waits less, and those of several files together much less.
void files_hasten(const struct files *files, int handle);

// Makes what was appended durable. After FAULT_IO nobody knows what the disk holds: never retried.
// The next sync may succeed without a write of what this one was about, also in another process:
// files_renew is what helps.
MUST_CHECK bool files_sync(const struct files *files, int handle, struct fault *fault);

// Begins to make durable what was appended until now, and does not wait: files_sync_end does, once
// and before anything else is begun or the handle closed. What is appended in between may be made
// durable too. One file of the process at a time, by one thread.
void files_sync_begin(const struct files *files, int handle);

// Whether files_sync_end would not have to wait.
bool files_sync_is_done(const struct files *files, int handle);

// Waits for it. Faults as files_sync.
MUST_CHECK bool files_sync_end(const struct files *files, int handle, struct fault *fault);

// Writes what a file that is open to append holds from this offset on again, in place, so that the
// next sync is about it whatever became of one before.
MUST_CHECK bool files_renew(const struct files *files, int handle, uint64_t offset,
                            struct fault *fault);

// Cuts an open file to this size.
MUST_CHECK bool files_truncate(const struct files *files, int handle, uint64_t size,
                               struct fault *fault);

// Size, time and inode of an open file (name is NULL), also after it was renamed or removed.
MUST_CHECK bool files_describe(const struct files *files, int handle, struct files_entry *entry,
                               struct fault *fault);

// Whether a path exists, and what it is (name is NULL).
MUST_CHECK bool files_find(const struct files *files, const char *path, bool *exists,
                           struct files_entry *entry, struct fault *fault);

// Removes a file or an empty folder; a missing one is no failure.
MUST_CHECK bool files_remove(const struct files *files, const char *path, struct fault *fault);

// Renames; replaces the target.
MUST_CHECK bool files_rename(const struct files *files, const char *from, const char *to,
                             struct fault *fault);

// Makes one folder (mode 0750); an existing one is no failure.
MUST_CHECK bool files_make_directory(const struct files *files, const char *path,
                                     struct fault *fault);

// Makes what was created, renamed and removed in a folder durable. After FAULT_IO never retried.
MUST_CHECK bool files_sync_directory(const struct files *files, const char *path,
                                     struct fault *fault);

// Opens the file system that a folder is on, for files_sync_disk; files_close closes it. *handle
// -1: it is of a kind that syncs its files and folders one by one alone.
MUST_CHECK bool files_open_disk(const struct files *files, const char *path, int *handle,
                                struct fault *fault);

// Makes everything on it durable, files and folders, and tells of every failure to write since it
// was opened: of many files that costs far less than syncs of each. It waits for what others wrote,
// too. After FAULT_IO nobody knows what the disk holds: never retried.
MUST_CHECK bool files_sync_disk(const struct files *files, int handle, struct fault *fault);

// Calls on_entry for each entry but . and .., links followed, in byte order of names, until it
// returns false.
MUST_CHECK bool files_list(const struct files *files, const char *path,
                           bool (*on_entry)(void *user, const struct files_entry *entry),
                           void *user, struct fault *fault);

// Bytes free for this process and in all, on the file system of the path.
MUST_CHECK bool files_measure_free(const struct files *files, const char *path, uint64_t *free_size,
                                   uint64_t *total_size, struct fault *fault);

// Takes an exclusive lock on the path (created if missing), held until the handle is closed or the
// process ends. FAULT_RETRY if another process holds it.
MUST_CHECK bool files_lock(const struct files *files, const char *path, int *handle,
                           struct fault *fault);

// Sets the permissions of an open file, as chmod does.
MUST_CHECK bool files_set_mode(const struct files *files, int handle, uint32_t mode,
                               struct fault *fault);

// Puts the path an open file has now, without links in it, into text with final zero. False if that
// is not known: the files are no system's, or there is no /proc.
MUST_CHECK bool files_find_path(const struct files *files, int handle, char *path,
                                size_t path_size);

// Reads a whole file of at most size_max bytes, appending to the buffer. FAULT_INPUT if larger,
// FAULT_FULL if the buffer does not hold it.
MUST_CHECK bool files_read_whole(const struct files *files, const char *path, size_t size_max,
                                 struct buffer *buffer, struct fault *fault);

// Replaces a file durably: write PATH.new (readable by its owner only until it has its mode), sync,
// rename, sync the folder. mode as in chmod. One writer of a path at a time.
MUST_CHECK bool files_write_whole(const struct files *files, const char *path, struct span bytes,
                                  uint32_t mode, struct fault *fault);
