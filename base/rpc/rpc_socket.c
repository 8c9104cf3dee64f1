#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/rpc/rpc_internal.h"

enum { BACKLOG = 64, PATH_SIZE_MAX = 4096 };

// The address of a path. One too long for it is reached through its folder, whose descriptor must
// stay open meanwhile (-1: none is needed).
static bool make_address(const char *path, struct sockaddr_un *address, int *folder,
                         struct fault *fault) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *folder = -1;
    size_t size = strlen(path);
    if (size == 0 || size >= PATH_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "\"%.200s\" is no path for a socket", path);
    }
    if (size < sizeof address->sun_path) {
        memcpy(address->sun_path, path, size);
        return true;
    }
    char parent[PATH_SIZE_MAX];
    memcpy(parent, path, size + 1);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) return fault_set(fault, FAULT_INPUT, "the name %s is too long", path);
    *slash = 0;
    *folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) return fault_set_errno(fault, FAULT_INPUT, errno, "open %s", parent);
    int printed = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s",
                           *folder, slash + 1);
    if (printed > 0 && (size_t)printed < sizeof address->sun_path) return true;
    close(*folder);
    return fault_set(fault, FAULT_INPUT, "the name of %s is too long", path);
}

static enum fault_kind kind_of(int error) {
    if (error == EACCES || error == EPERM) return FAULT_DENIED;
    return error == ENOENT || error == ENOTDIR ? FAULT_INPUT : FAULT_IO;
}

static bool connect_to(const struct sockaddr_un *address, int *descriptor, struct fault *fault) {
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) return fault_set_errno(fault, FAULT_IO, errno, "make a socket");
    if (connect(made, (const struct sockaddr *)address, sizeof *address) != 0) {
        int error = errno;
        close(made);
        if (error == ENOENT || error == ECONNREFUSED) {
            return fault_set(fault, FAULT_RETRY, "nobody serves there: is its program running?");
        }
        if (error == EACCES) {
            return fault_set_errno(fault, FAULT_DENIED, error,
                                   "be root or a member of the socket's group");
        }
        return fault_set_errno(fault, kind_of(error), error, "connect");
    }
    *descriptor = made;
    return true;
}

bool rpc_socket_connect(const char *path, int *descriptor, struct fault *fault) {
    struct sockaddr_un address;
    int folder;
    if (!make_address(path, &address, &folder, fault)) return false;
    int made = -1;
    bool is_good = connect_to(&address, &made, fault);
    if (folder >= 0) close(folder);
    // gRPC wants it so.
    if (is_good && fcntl(made, F_SETFL, O_NONBLOCK) != 0) {
        is_good = fault_set_errno(fault, FAULT_IO, errno, "set the socket up");
        close(made);
    }
    if (!is_good) return fault_add(fault, "%s", path);
    *descriptor = made;
    return true;
}

// Removes what a process that is no more left behind. False if somebody serves there.
static bool remove_stale(const struct sockaddr_un *address, struct fault *fault) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0) {
        if (errno == ENOENT) return true;
        return fault_set_errno(fault, kind_of(errno), errno, "look at it");
    }
    if (!S_ISSOCK(found.st_mode)) return fault_set(fault, FAULT_INPUT, "a file lies there");
    int descriptor = -1;
    struct fault reason;
    if (connect_to(address, &descriptor, &reason)) {
        close(descriptor);
        return fault_set(fault, FAULT_RETRY, "another process serves there");
    }
    if (reason.kind != FAULT_RETRY) return fault_set(fault, reason.kind, "%s", reason.text);
    if (unlink(address->sun_path) == 0 || errno == ENOENT) return true;
    return fault_set_errno(fault, kind_of(errno), errno, "remove the old socket");
}

// Nobody can connect before it listens, so the mode is right from the start.
static bool bind_to(const struct sockaddr_un *address, const struct rpc_local_options *options,
                    int descriptor, struct fault *fault) {
    if (bind(descriptor, (const struct sockaddr *)address, sizeof *address) != 0) {
        return fault_set_errno(fault, kind_of(errno), errno, "bind");
    }
    bool is_given = !options->has_group || chown(address->sun_path, (uid_t)-1, options->group) == 0;
    // Without the right to give it to the group, it stays the owner's.
    mode_t mode = options->has_group && is_given ? 0660 : 0600;
    if (chmod(address->sun_path, mode) == 0 && listen(descriptor, BACKLOG) == 0) return true;
    fault_set_errno(fault, FAULT_IO, errno, "set the socket up");
    unlink(address->sun_path);
    return false;
}

bool rpc_socket_listen(const struct rpc_local_options *options, int *descriptor,
                       struct fault *fault) {
    struct sockaddr_un address;
    int folder;
    if (!make_address(options->path, &address, &folder, fault)) return false;
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_good = made >= 0 || fault_set_errno(fault, FAULT_IO, errno, "make a socket");
    is_good = is_good && remove_stale(&address, fault) && bind_to(&address, options, made, fault);
    if (folder >= 0) close(folder);
    if (!is_good) {
        if (made >= 0) close(made);
        return fault_add(fault, "%s", options->path);
    }
    *descriptor = made;
    return true;
}
