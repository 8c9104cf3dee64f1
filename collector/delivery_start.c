#include "collector/delivery_start.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto_seal.h"
#include "base/random.h"
#include "collector/deliver/deliver.h"
#include "collector/follow/followers.h"
#include "collector/secret.h"

struct delivery {
    struct objects_directory directory;
    struct objects objects;
    struct followers *followers;
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
};

static bool check_directory(const char *path, struct fault *fault) {
    bool is_there = false;
    struct files_entry entry = {0};
    if (!files_find(files_system(), path, &is_there, &entry, fault)) return false;
    if (is_there && entry.is_directory) return true;
    return fault_set(fault, FAULT_INPUT, "%s is no folder: make it, and one in it for each bucket",
                     path);
}

static bool start(struct delivery *delivery, const struct settings *settings,
                  struct roster_live *roster, struct server *server, struct fault *fault) {
    delivery->directory = (struct objects_directory){files_system(), settings->delivery_directory};
    delivery->objects = objects_in_directory(&delivery->directory);
    if (!check_directory(settings->delivery_directory, fault) ||
        !secret_load(settings->secret_path, random_system(), delivery->secret, fault)) {
        return false;
    }
    const struct followers_options followers = {
        .store_directory = settings->store_directory,
        .append = server_append(server),
        .clock = clock_system(),
        .random = random_system(),
    };
    if (!followers_start(&followers, &delivery->followers, fault)) return false;
    const struct deliver_options options = {
        .followers = delivery->followers,
        .objects = &delivery->objects,
        .roster = roster,
        .organization = settings->organization,
        .secret = delivery->secret,
        .interval_s = settings->delivery_interval_s,
        .digest_interval_s = settings->delivery_digest_interval_s,
        .key_lifetime_ms = (int64_t)settings->delivery_digest_key_lifetime_s * 1000,
        .file_size_max = settings->delivery_file_size_max,
    };
    return deliver_start(&options, fault);
}

bool delivery_start(const struct settings *settings, struct roster_live *roster,
                    struct server *server, struct delivery **delivery, struct fault *fault) {
    *delivery = NULL;
    if (settings->delivery_directory == NULL) return true;
    struct delivery *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for deliveries");
    if (!start(made, settings, roster, server, fault)) {
        delivery_stop(made);
        return fault_add(fault, "delivery");
    }
    *delivery = made;
    return true;
}

void delivery_stop(struct delivery *delivery) {
    // What a follower that hangs still uses stays.
    if (delivery == NULL || !followers_stop(delivery->followers)) return;
    crypto_wipe(delivery->secret, sizeof delivery->secret);
    free(delivery);
}

const struct objects_directory *delivery_directory(const struct delivery *delivery) {
    return delivery == NULL ? NULL : &delivery->directory;
}
