#include "base/denied.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, NAME_SIZE = 64 };

static void name_user(uid_t id, char name[NAME_SIZE]) {
    const struct passwd *user = getpwuid(id);
    snprintf(name, NAME_SIZE, "%u", id);
    if (user != NULL) snprintf(name, NAME_SIZE, "%s", user->pw_name);
}

static void name_group(gid_t id, char name[NAME_SIZE]) {
    const struct group *group = getgrgid(id);
    snprintf(name, NAME_SIZE, "%u", id);
    if (group != NULL) snprintf(name, NAME_SIZE, "%s", group->gr_name);
}

// Shortens the path to the first folder on it that this process may not enter.
static void find_obstacle(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (eaccess(path, X_OK) != 0) return;
        *slash = '/';
    }
}

void denied_describe(const char *denied, char *text, size_t text_size) {
    char path[PATH_SIZE];
    char owner[NAME_SIZE];
    char group[NAME_SIZE];
    char user[NAME_SIZE];
    struct stat status;
    text[0] = 0;
    if (denied[0] == 0 || strlen(denied) >= sizeof path) return;
    memcpy(path, denied, strlen(denied) + 1);
    find_obstacle(path);
    if (stat(path, &status) != 0) return;
    name_user(status.st_uid, owner);
    name_group(status.st_gid, group);
    name_user(geteuid(), user);
    // Nobody is put into root's group, and a folder closed to its group is opened by its owner.
    bool is_for_group = status.st_gid != 0 && (status.st_mode & S_IXGRP) != 0;
    if (is_for_group) {
        snprintf(text, text_size,
                 " (%s belongs to %s, group %s, mode %o; \"usermod -aG %s %s\" as root and a new "
                 "login let %s read it)",
                 path, owner, group, status.st_mode & 07777, group, user, user);
    } else {
        snprintf(text, text_size, " (%s belongs to %s, group %s, mode %o: run it as %s)", path,
                 owner, group, status.st_mode & 07777, owner);
    }
}
