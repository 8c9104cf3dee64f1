#include "collector/control/api_start.h"

#include "base/clock.h"
#include "base/crypto_seal.h"
#include "base/files.h"
#include "collector/settings/secret.h"

enum { PEM_SIZE_MAX = 64 * 1024, OTHERS_MODE = 07 };

struct pair {
    struct buffer certificate;
    struct buffer key;
};

static void done(struct pair *pair) {
    if (pair->key.size > 0) crypto_wipe(pair->key.bytes, pair->key.size);
    buffer_done(&pair->certificate);
    buffer_done(&pair->key);
}

static bool read_pair(const struct settings *settings, struct pair *pair, struct fault *fault) {
    bool is_there;
    struct files_entry entry = {0};
    buffer_init(&pair->certificate, PEM_SIZE_MAX);
    buffer_init(&pair->key, PEM_SIZE_MAX);
    bool is_good =
        files_read_whole(files_system(), settings->api_certificate_path, PEM_SIZE_MAX,
                         &pair->certificate, fault) &&
        files_find(files_system(), settings->api_key_path, &is_there, &entry, fault) &&
        files_read_whole(files_system(), settings->api_key_path, PEM_SIZE_MAX, &pair->key, fault);
    if (is_good && (entry.mode & OTHERS_MODE) != 0) {
        is_good = fault_set(fault, FAULT_INPUT, "%s: every user can read the key: chmod 600 it",
                            settings->api_key_path);
    }
    if (!is_good) done(pair);
    return is_good || fault_add(fault, "api");
}

bool api_check(const struct settings *settings, bool *has_secret, struct fault *fault) {
    struct pair pair;
    *has_secret = true;
    if (settings->api_listen == NULL) return true;
    if (!read_pair(settings, &pair, fault)) return false;
    done(&pair);
    return secret_check(settings->secret_path, has_secret, fault) || fault_add(fault, "api");
}

bool api_start(const struct settings *settings, struct roster_live *roster, struct server *server,
               const struct delivery *delivery, struct service **service, struct fault *fault) {
    struct pair pair;
    *service = NULL;
    if (settings->api_listen == NULL) return true;
    if (!read_pair(settings, &pair, fault)) return false;
    const struct service_options options = {
        .listen = settings->api_listen,
        .certificate = buffer_span(&pair.certificate),
        .key = buffer_span(&pair.key),
        .secret_path = settings->secret_path,
        .readers = settings->api_readers,
        .connections_max = settings->api_connections_max,
        .lookups_per_second = settings->api_lookups_per_second,
        .store_directory = settings->store_directory,
        .world = {.organization = settings->organization,
                  .place = {settings->management_account, settings->home_region},
                  .roster = roster,
                  .random = random_system(),
                  .objects = delivery_objects(delivery),
                  .buckets = delivery_directory(delivery)},
        .append = server_append(server),
        .notes = server_notes(server),
        .clock = clock_system(),
    };
    bool is_good = service_start(&options, service, fault);
    done(&pair);
    return is_good;
}

bool api_reload(const struct settings *settings, struct service *service, struct fault *fault) {
    struct pair pair;
    if (service == NULL) return true;
    if (!read_pair(settings, &pair, fault)) return false;
    bool is_good = service_replace_certificate(service, buffer_span(&pair.certificate),
                                               buffer_span(&pair.key), fault);
    done(&pair);
    return is_good || fault_add(fault, "api");
}
