#include "collector/settings/settings_delivery.h"

#define OPTIONAL (CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL)

const cyaml_schema_field_t settings_delivery_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", OPTIONAL, struct settings_delivery, directory, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_MAPPING("s3", CYAML_FLAG_OPTIONAL, struct settings_delivery, s3,
                        settings_s3_fields),
    CYAML_FIELD_MAPPING("logs", CYAML_FLAG_OPTIONAL, struct settings_delivery, logs,
                        settings_logs_fields),
    CONFIG_FIELD_RANGE("interval_s", struct settings_delivery, interval_s, 1,
                       SETTINGS_INTERVAL_S_MAX),
    CONFIG_FIELD_RANGE("digest_interval_s", struct settings_delivery, digest_interval_s,
                       SETTINGS_DIGEST_INTERVAL_S_MIN, SETTINGS_DIGEST_INTERVAL_S_MAX),
    CONFIG_FIELD_RANGE("digest_key_lifetime_s", struct settings_delivery, digest_key_lifetime_s,
                       SETTINGS_DIGEST_KEY_LIFETIME_S_MIN, SETTINGS_DIGEST_KEY_LIFETIME_S_MAX),
    CYAML_FIELD_STRING_PTR("file_size_max", OPTIONAL, struct settings_delivery, file_size_max, 1,
                           32),
    CONFIG_FIELD_RANGE("compression", struct settings_delivery, compression, 1,
                       SETTINGS_COMPRESSION_MAX),
    CYAML_FIELD_END,
};

const struct config_help settings_delivery_helps[SETTINGS_DELIVERY_HELPS] = {
    {"delivery.directory", "path", "trails deliver nothing",
     "Where trails deliver to: one folder for each bucket, of its name. A bucket exists when its "
     "folder does."},
    {"delivery.s3.region", "region", "trails deliver to no S3",
     "Where trails deliver to in place of `directory`: S3, or a store that speaks like it. Its "
     "region signs requests; a store without regions takes `us-east-1`."},
    {"delivery.s3.endpoint", "`https://HOST[:PORT]`", "AWS's of the region",
     "The store's address."},
    {"delivery.s3.style", NULL, "`auto`: `virtual` with AWS, `path` elsewhere",
     "Whether a bucket is in the path or before the host's name."},
    {"delivery.s3.ca", "path", "the system's", "PEM of the CA that the store's certificate is of."},
    {"delivery.s3.credentials", "path", "`AWS_ACCESS_KEY_ID` and so on of the environment",
     "A file like `~/.aws/credentials`, mode 600 or 640. Read again when it changes."},
    {"delivery.s3.profile", "name", "`default`", "The file's section."},
    {"delivery.s3.encryption", NULL, "`bucket`: what the bucket does by itself",
     "Asks for SSE-S3 (`s3`) or SSE-KMS (`kms`)."},
    {"delivery.s3.kms_key", "key id, ARN or alias", "the account's own for S3", "With `kms`."},
    {"delivery.s3.acl", "text", "none",
     "`bucket-owner-full-control` for another account's bucket."},
    {"delivery.s3.proxy", "`http://HOST:PORT`", "none",
     "An HTTP proxy; the environment's is not used."},
    {"delivery.logs.region", "region", "trails deliver to no log group",
     "Where trails with a log group deliver to besides: CloudWatch Logs, or a store that speaks "
     "like it. The group's ARN has the same region."},
    {"delivery.logs.endpoint", "`https://HOST[:PORT]`", "AWS's of the region",
     "The store's address."},
    {"delivery.logs.ca", "path", "the system's",
     "PEM of the CA that the store's certificate is of."},
    {"delivery.logs.credentials", "path", "`AWS_ACCESS_KEY_ID` and so on of the environment",
     "A file like `~/.aws/credentials`, mode 600 or 640. Read again when it changes."},
    {"delivery.logs.profile", "name", "`default`", "The file's section."},
    {"delivery.logs.proxy", "`http://HOST:PORT`", "none",
     "An HTTP proxy; the environment's is not used."},
    {"delivery.logs.groups", "list of names", "any that the access key can write to",
     "The log groups that trails may name; one that ends in `*` stands for all that begin so. "
     "Names, "
     "not ARNs: the account is that of the access key."},
    {"delivery.logs.interval_s", NULL, "5", "Seconds between deliveries of a trail to its group."},
    {"delivery.logs.event_size_max", "size, 1KiB to 1MiB", "1MiB, less 26 bytes",
     "Events that are larger are left out, counted and told. CloudTrail itself leaves out more "
     "than 256KiB, and so much some stores take only."},
    {"delivery.interval_s", NULL, "300", "Seconds between deliveries of a trail."},
    {"delivery.digest_interval_s", NULL, "3600",
     "Seconds that a digest file stands for. Change it for tests only: verifiers expect an hour."},
    {"delivery.digest_key_lifetime_s", NULL, "31536000, a year",
     "How long a key signs digests before the next one does. Public keys are kept for ever."},
    {"delivery.file_size_max", "size, 64KiB to 32MiB", "32MiB",
     "The text of one log file, before it is compressed."},
    {"delivery.compression", NULL, "4, 1.04 times the size of `gzip -6`",
     "Level of log files: 1 takes a third of the CPU time and a seventh more room, 6 is the size "
     "of `gzip -6`, 12 takes far more time."},
};

bool settings_delivery_fill(struct settings *settings, const struct settings_delivery *delivery,
                            const struct settings_origin *origin, struct fault *fault) {
    settings->delivery_interval_s = settings_choose(delivery->interval_s, SETTINGS_INTERVAL_S);
    settings->delivery_digest_interval_s =
        settings_choose(delivery->digest_interval_s, SETTINGS_DIGEST_INTERVAL_S);
    settings->delivery_digest_key_lifetime_s =
        settings_choose(delivery->digest_key_lifetime_s, SETTINGS_DIGEST_KEY_LIFETIME_S);
    settings->delivery_compression = settings_choose(delivery->compression, SETTINGS_COMPRESSION);
    const struct settings_logs *logs = &delivery->logs;
    uint64_t *event_size = &settings->delivery_logs_event_size_max;
    settings->delivery_logs_interval_s =
        settings_choose(logs->interval_s, SETTINGS_LOGS_INTERVAL_S);
    if (!settings_parse_size(origin, "delivery.logs.event_size_max", logs->event_size_max,
                             event_size, fault)) {
        return false;
    }
    if (*event_size == 0) *event_size = SETTINGS_LOGS_EVENT_SIZE;
    if (*event_size < SETTINGS_LOGS_EVENT_SIZE_MIN || *event_size > SETTINGS_LOGS_EVENT_SIZE) {
        fault_set(fault, FAULT_INPUT, "delivery.logs.event_size_max: \"%s\" is not 1KiB to 1MiB",
                  logs->event_size_max);
        return settings_refuse(origin, "event_size_max", logs->event_size_max, fault);
    }
    uint64_t *size = &settings->delivery_file_size_max;
    if (!settings_parse_size(origin, "delivery.file_size_max", delivery->file_size_max, size,
                             fault)) {
        return false;
    }
    if (*size == 0) *size = SETTINGS_FILE_SIZE;
    if (*size >= SETTINGS_FILE_SIZE_MIN && *size <= SETTINGS_FILE_SIZE) return true;
    fault_set(fault, FAULT_INPUT, "delivery.file_size_max: \"%s\" is not 64KiB to 32MiB",
              delivery->file_size_max);
    return settings_refuse(origin, "file_size_max", delivery->file_size_max, fault);
}

bool settings_delivery_resolve(struct settings *settings, const struct settings_delivery *delivery,
                               const struct settings_origin *origin, struct fault *fault) {
    const struct settings_s3 *s3 = &delivery->s3;
    if (delivery->directory != NULL && s3->region != NULL) {
        fault_set(fault, FAULT_INPUT, "delivery: directory or s3, not both");
        return settings_refuse(origin, "directory", delivery->directory, fault);
    }
    if (!settings_s3_check(s3, fault)) return settings_refuse(origin, "region", s3->region, fault);
    settings->delivery_s3 = *s3;
    const struct settings_logs *logs = &delivery->logs;
    const char *key, *value;
    if (!settings_logs_check(logs, &key, &value, fault)) {
        return settings_refuse(origin, key, value, fault);
    }
    settings->delivery_logs = *logs;
    return (logs->ca == NULL ||
            settings_resolve(settings, origin, logs->ca, &settings->delivery_logs_ca, fault)) &&
           (logs->credentials == NULL ||
            settings_resolve(settings, origin, logs->credentials,
                             &settings->delivery_logs_credentials, fault)) &&
           (delivery->directory == NULL ||
            settings_resolve(settings, origin, delivery->directory, &settings->delivery_directory,
                             fault)) &&
           (s3->ca == NULL ||
            settings_resolve(settings, origin, s3->ca, &settings->delivery_s3_ca, fault)) &&
           (s3->credentials == NULL || settings_resolve(settings, origin, s3->credentials,
                                                        &settings->delivery_s3_credentials, fault));
}
