// settings.h: the collector's settings, as they stand in its YAML file. docs/collector.md explains
// each.
//
//   organization: {id: o-abc, management_account: "111111111111", home_region: us-east-1}
//   listen: 0.0.0.0:7443
//   http: {listen: 127.0.0.1:9090}
//   store: {directory: ../store, min_free: 1GiB, quarantine_max: 256MiB, retention_days: 90}
//   certificates: {ca: ca.pem, certificate: collector.pem, key: collector.key}
//   roster:
//     unknown: quarantine
//     accounts:
//       - {id: "222222222222", name: shop, unit: retail, regions: [eu-west-1, us-east-1]}
//   control: {socket: ../store/control.sock, group: orgtrail, admin_group: orgtrail-admin}
//   api: {listen: 127.0.0.1:8443}
//   delivery: {directory: ../buckets, interval_s: 300, digest_interval_s: 3600}
//   notify:
//     sns: {topics: ["arn:aws:sns:eu-west-1:111111111111:*"]}
//     targets:
//       - {name: pager, trail: org, webhook: "https://hooks.example.com/x", secret: pager.secret}
//   deny: deny.txt
//   heartbeat_ms: 15000
//   region_silent_s: 86400
//   future_max_hours: 24
//   streams_max: 2048
//
// Relative paths count from the folder of the settings file.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/certificate_files.h"
#include "base/fault.h"
#include "collector/admit/roster.h"
#include "collector/notify/target.h"
#include "collector/settings/settings_logs.h"
#include "collector/settings/settings_s3.h"

enum {
    SETTINGS_HEARTBEAT_MS = 15000,  // unless set
    SETTINGS_HEARTBEAT_MS_MIN = 100,
    SETTINGS_HEARTBEAT_MS_MAX = 600000,
    SETTINGS_REGION_SILENT_S = 86400,
    SETTINGS_REGION_SILENT_S_MAX = 86400 * 365,
    SETTINGS_FUTURE_HOURS = 24,
    SETTINGS_FUTURE_HOURS_MAX = 24 * 365,
    SETTINGS_STREAMS = 2048,
    SETTINGS_STREAMS_MAX = 16384,
    SETTINGS_QUARANTINE_SIZE = 256 << 20,  // bytes per agent
    SETTINGS_STORE_SIZE_MIN = 64 << 20,    // least store.size_max: a commit needs room to turn in
    SETTINGS_RETENTION_DAYS_MAX = 36500,
    SETTINGS_API_READERS = 2,
    SETTINGS_API_READERS_MAX = 16,
    SETTINGS_API_CONNECTIONS = 1024,
    SETTINGS_API_CONNECTIONS_MAX = 16384,
    SETTINGS_API_RATE_MAX = 1000000,
    SETTINGS_INTERVAL_S = 300,
    SETTINGS_INTERVAL_S_MAX = 86400,
    SETTINGS_DIGEST_INTERVAL_S = 3600,
    SETTINGS_DIGEST_INTERVAL_S_MIN = 2,
    SETTINGS_DIGEST_INTERVAL_S_MAX = 86400,
    SETTINGS_DIGEST_KEY_LIFETIME_S = 365 * 86400,
    SETTINGS_DIGEST_KEY_LIFETIME_S_MIN = 5,
    SETTINGS_DIGEST_KEY_LIFETIME_S_MAX = 10 * 365 * 86400,
    SETTINGS_FILE_SIZE = 32 << 20,  // bytes of a log file's text
    SETTINGS_FILE_SIZE_MIN = 64 << 10,
    SETTINGS_LOGS_INTERVAL_S = 5,
    SETTINGS_LOGS_EVENT_SIZE = 1 << 20,  // bytes
    SETTINGS_LOGS_EVENT_SIZE_MIN = 1 << 10,
    SETTINGS_COMPRESSION = 4,
    SETTINGS_COMPRESSION_MAX = 12,
    SETTINGS_FREE_SIZE = 1 << 30,  // bytes, or 2 % of the disk if that is less
};

#define SETTINGS_DENY_FILE "deny.txt"           // in the store's folder, unless set
#define SETTINGS_SECRET_KEY "secret.key"        // beside the certificate's key, unless set
#define SETTINGS_CONTROL_SOCKET "control.sock"  // in the store's folder, unless set

struct settings_file;

// All texts live as long as the settings.
struct settings {
    const char *organization;  // its id
    const char *management_account;
    const char *home_region;
    const char *listen;
    const char *http_listen;  // NULL: no metrics and health
    const char *store_directory;
    uint64_t free_size_min;   // 0: not set
    uint64_t store_size_max;  // 0: no limit
    uint64_t quarantine_size_max;
    const char *deny_path;     // of the deny list
    bool is_deny_given;        // the settings name it, so it must be there
    uint32_t retention_days;   // 0: all days are kept
    const char *control_path;  // of the control socket
    const char *control_group;
    const char *control_admin_group;
    const char *ca_path;
    const char *certificate_path;
    const char *key_path;
    const char *api_listen;            // NULL: no API
    const char *api_certificate_path;  // the collector's own, unless set
    const char *api_key_path;
    const char *secret_path;
    uint32_t api_readers;
    uint32_t api_connections_max;
    uint32_t api_lookups_per_second;  // 0: no limit
    const char *delivery_directory;   // NULL: trails do not deliver to a folder
    struct settings_s3 delivery_s3;   // as the file has it; paths are:
    const char *delivery_s3_ca;
    const char *delivery_s3_credentials;
    struct settings_logs delivery_logs;  // the same
    const char *delivery_logs_ca;
    const char *delivery_logs_credentials;
    uint32_t delivery_logs_interval_s;
    uint64_t delivery_logs_event_size_max;
    uint32_t delivery_interval_s;
    uint32_t delivery_digest_interval_s;
    uint32_t delivery_digest_key_lifetime_s;
    uint64_t delivery_file_size_max;
    uint32_t delivery_compression;     // level
    const char *const *notify_topics;  // that may be published to; each may end in '*'
    uint32_t notify_topics_count;
    struct target_service notify_topic_service;
    const struct target *notify_targets;
    uint32_t notify_targets_count;
    enum roster_unknown unknown;
    const struct roster_account *accounts;
    uint32_t accounts_count;
    uint32_t heartbeat_ms;
    uint32_t region_silent_s;
    uint32_t future_max_hours;
    uint32_t streams_max;

    struct settings_file *file;  // what the texts stand in
    struct arena *arena;
};

// Loads the file, fills in what is not set, makes paths absolute (or relative to the present
// folder) and checks each value. FAULT_INPUT: "PATH: line 3: ..." says what and where.
MUST_CHECK bool settings_load(const char *path, struct settings **settings, struct fault *fault);

// Appends a table of all settings, in Markdown. FAULT_FULL if memory runs out.
MUST_CHECK bool settings_print_reference(struct buffer *text, struct fault *fault);

// Frees it. NULL is allowed.
void settings_destroy(struct settings *settings);

// Checks what the settings name: certificates that belong together and are valid now, a store that
// is a folder, addresses that could be listened on. FAULT_INPUT.
MUST_CHECK bool settings_check(const struct settings *settings, int64_t now_s, struct fault *fault);

// Reads and checks the certificates it names. The caller calls certificate_files_done. Faults as
// certificate_files_read.
MUST_CHECK bool settings_read_certificates(const struct settings *settings, int64_t now_s,
                                           struct certificate_files *read, struct fault *fault);
