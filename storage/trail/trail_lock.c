#include "storage/trail/trail_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = 4096,
    LOCK_MODE = 0660,
};

bool trail_lock_take(const char *directory, int *result, struct fault *fault) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/writer.lock", directory);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LOCK_MODE);
    if (lock < 0) {
        enum fault_kind kind = errno == EACCES || errno == EROFS ? FAULT_DENIED : FAULT_IO;
        if (errno == ENOENT || errno == ENOTDIR) kind = FAULT_INPUT;
        if (errno == ENOSPC) kind = FAULT_FULL;
        return fault_set_errno(fault, kind, errno, "trail: open %s", path);
    }
    char text[32] = "";
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t size = read(lock, text, sizeof text - 1);
        text[size > 0 ? size : 0] = '\0';
        close(lock);
        return fault_set(fault, FAULT_RETRY, "trail in %s: process %ld writes it already",
                         directory, strtol(text, NULL, 10));
    }
    fchmod(lock, LOCK_MODE);
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    // Only for the message of another process: what cannot be written is not missed.
    if (ftruncate(lock, 0) == 0) (void)!pwrite(lock, text, (size_t)size, 0);
    *result = lock;
    return true;
}
