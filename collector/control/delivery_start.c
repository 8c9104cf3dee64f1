#include "collector/control/delivery_start.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/aws/logs.h"
#include "base/clock.h"
#include "base/crypto_seal.h"
#include "base/random.h"
#include "collector/cloudwatch/logs_trail.h"
#include "collector/deliver/deliver.h"
#include "collector/deliver/objects_s3.h"
#include "collector/follow/followers.h"
#include "collector/notify/notifier.h"
#include "collector/notify/sender.h"
#include "collector/settings/secret.h"

struct delivery {
    struct objects_directory directory;
    struct objects_s3 *s3;  // NULL: they deliver to the directory
    struct objects objects;
    struct logs_trail_options logs;
    struct deliver_kind kind;  // of logs
    atomic_bool is_stopped;    // calls of logs
    struct followers *followers;
    struct notifier *notifier;
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

// S3 as the settings have it. The bucket of each trail is asked for when it is made and written to.
static bool create_s3(struct delivery *delivery, const struct settings *settings,
                      struct fault *fault) {
    const struct settings_s3 *s3 = &settings->delivery_s3;
    const struct objects_s3_options options = {
        .s3 = {.endpoint = s3->endpoint,
               .region = s3->region,
               .style = s3->style,
               .credentials_file = settings->delivery_s3_credentials,
               .profile = s3->profile,
               .http = {.ca_file = settings->delivery_s3_ca, .proxy = s3->proxy},
               .clock = clock_system(),
               .files = files_system()},
        .encryption = s3->encryption,
        .kms_key = s3->kms_key,
        .acl = s3->acl,
    };
    if (!objects_s3_create(&options, &delivery->s3, fault)) return fault_add(fault, "s3");
    delivery->objects = objects_in_s3(delivery->s3);
    return true;
}

static bool open_objects(struct delivery *delivery, const struct settings *settings,
                         struct fault *fault) {
    if (settings->delivery_s3.region != NULL) return create_s3(delivery, settings, fault);
    if (settings->delivery_directory == NULL) return true;
    delivery->directory =
        (struct objects_directory){files_system(), settings->delivery_directory, OBJECTS_WHOLE_MIN};
    delivery->objects = objects_in_directory(&delivery->directory);
    return check_directory(settings->delivery_directory, fault);
}

static bool has_files(const struct settings *settings) {
    return settings->delivery_directory != NULL || settings->delivery_s3.region != NULL;
}

// Whether what targets name can be used; nobody is connected to.
static bool check_targets(const struct settings *settings, struct fault *fault) {
    const atomic_bool stop = false;
    for (uint32_t index = 0; index < settings->notify_targets_count; index++) {
        struct sender sender = {0};
        const struct sender_options options = {.target = &settings->notify_targets[index],
                                               .clock = clock_system(),
                                               .files = files_system(),
                                               .stop = &stop};
        if (!sender_create(&options, &sender, fault)) {
            return fault_add(fault, "notify.targets: %s", options.target->name);
        }
        sender_destroy(&sender);
    }
    return true;
}

static bool is_wanted(const struct settings *settings) {
    return has_files(settings) || settings->delivery_logs.region != NULL;
}

// CloudWatch Logs as the settings have it. Whether its parts can be used is seen by making a
// client.
static bool open_logs(struct delivery *delivery, const struct settings *settings,
                      struct fault *fault) {
    const struct settings_logs *logs = &settings->delivery_logs;
    struct caller *caller = NULL;
    uint64_t size_max = settings->delivery_logs_event_size_max;
    if (logs->region == NULL) return true;
    delivery->logs = (struct logs_trail_options){
        .caller = {.name = "logs",
                   .endpoint = logs->endpoint,
                   .region = logs->region,
                   .credentials_file = settings->delivery_logs_credentials,
                   .profile = logs->profile,
                   .http = {.ca_file = settings->delivery_logs_ca,
                            .proxy = logs->proxy,
                            .is_stopped = &delivery->is_stopped},
                   .clock = clock_system(),
                   .files = files_system()},
        .organization = settings->organization,
        .event_size_max = size_max < LOGS_EVENT_SIZE_MAX ? size_max : LOGS_EVENT_SIZE_MAX,
        .groups = (const char *const *)logs->groups,
        .groups_count = logs->groups_count,
        .interval_s = settings->delivery_logs_interval_s,
    };
    delivery->kind = logs_trail_kind(&delivery->logs);
    if (!caller_create(&delivery->logs.caller, &caller, fault)) return fault_add(fault, "logs");
    caller_destroy(caller);
    return true;
}

bool delivery_check(const struct settings *settings, struct fault *fault) {
    struct delivery delivery = {0};
    if (!check_targets(settings, fault)) return false;
    if (!is_wanted(settings)) return true;
    bool is_good =
        open_objects(&delivery, settings, fault) && open_logs(&delivery, settings, fault);
    objects_s3_destroy(delivery.s3);
    return is_good || fault_add(fault, "delivery");
}

static bool start_notifier(struct delivery *delivery, const struct settings *settings,
                           struct fault *fault) {
    const struct notifier_options options = {
        .followers = delivery->followers,
        .files = files_system(),
        .bucket_region = settings->delivery_s3.region != NULL ? settings->delivery_s3.region
                                                              : settings->home_region,
        .targets = settings->notify_targets,
        .targets_count = settings->notify_targets_count,
        .topics = settings->notify_topics,
        .topics_count = settings->notify_topics_count,
        .topic_service = settings->notify_topic_service,
    };
    return notifier_start(&options, &delivery->notifier, fault);
}

static bool is_told(void *context, const struct trail *trail) {
    const struct delivery *delivery = context;
    return notifier_wants(delivery->notifier, trail);
}

static bool start(struct delivery *delivery, const struct settings *settings,
                  struct roster_live *roster, struct server *server, struct fault *fault) {
    if (!open_objects(delivery, settings, fault) || !open_logs(delivery, settings, fault) ||
        !secret_load(settings->secret_path, random_system(), delivery->secret, fault)) {
        return false;
    }
    const struct followers_options followers = {
        .store_directory = settings->store_directory,
        .append = server_append(server),
        .notes = server_notes(server),
        .clock = clock_system(),
        .random = random_system(),
    };
    if (!followers_start(&followers, &delivery->followers, fault) ||
        !start_notifier(delivery, settings, fault)) {
        return false;
    }
    delivery->logs.followers = delivery->followers;
    delivery->logs.notes = server_notes(server);
    const struct deliver_options options = {
        .followers = delivery->followers,
        .objects = has_files(settings) ? &delivery->objects : NULL,
        .more = &delivery->kind,
        .more_count = settings->delivery_logs.region != NULL ? 1 : 0,
        .roster = roster,
        .organization = settings->organization,
        .secret = delivery->secret,
        .interval_s = settings->delivery_interval_s,
        .digest_interval_s = settings->delivery_digest_interval_s,
        .key_lifetime_ms = (int64_t)settings->delivery_digest_key_lifetime_s * 1000,
        .file_size_max = settings->delivery_file_size_max,
        .level = (int)settings->delivery_compression,
        .is_told = is_told,
        .context = delivery,
    };
    return deliver_start(&options, fault);
}

bool delivery_start(const struct settings *settings, struct roster_live *roster,
                    struct server *server, struct delivery **delivery, struct fault *fault) {
    *delivery = NULL;
    if (!is_wanted(settings)) return true;
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
    if (delivery == NULL) return;
    // What waits for a store that does not answer ends first, as the last thing of a follower.
    followers_end_soon(delivery->followers);
    atomic_store(&delivery->is_stopped, true);
    if (delivery->s3 != NULL) objects_s3_stop(delivery->s3);
    notifier_end_soon(delivery->notifier);
    // What a follower that hangs still uses stays.
    if (!followers_stop(delivery->followers)) return;
    notifier_destroy(delivery->notifier);
    objects_s3_destroy(delivery->s3);
    crypto_wipe(delivery->secret, sizeof delivery->secret);
    free(delivery);
}

const struct objects_directory *delivery_directory(const struct delivery *delivery) {
    return delivery == NULL || delivery->directory.root == NULL ? NULL : &delivery->directory;
}

const struct objects *delivery_objects(const struct delivery *delivery) {
    return delivery == NULL || delivery->objects.operations == NULL ? NULL : &delivery->objects;
}
