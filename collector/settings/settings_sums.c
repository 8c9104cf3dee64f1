#include "collector/settings/settings_sums.h"

#include <inttypes.h>
#include <string.h>

#include "base/crypto.h"

static uint64_t sum_parts(const struct span *parts, uint32_t parts_count) {
    uint8_t digest[SHA256_SIZE];
    uint64_t sum;
    crypto_sha256(parts, parts_count, digest);
    memcpy(&sum, digest, sizeof sum);
    return sum;
}

static void print_text(const char *name, const char *value, struct buffer *text) {
    const struct span part = span_text(value == NULL ? "" : value);
    buffer_print(text, "%s %016" PRIx64 "\n", name, sum_parts(&part, 1));
}

static void print_number(const char *name, uint64_t value, struct buffer *text) {
    const struct span part = span_of(&value, sizeof value);
    buffer_print(text, "%s %016" PRIx64 "\n", name, sum_parts(&part, 1));
}

// A text with the zero at its end, so that two beside each other are not one.
static struct span with_end(const char *value) {
    const char *text = value == NULL ? "" : value;
    return span_of(text, strlen(text) + 1);
}

static void print_list(const char *name, const char *const *items, uint32_t count,
                       struct buffer *text) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < count; index++) {
        const struct span parts[] = {span_of(&sum, sizeof sum), with_end(items[index])};
        sum = sum_parts(parts, 2);
    }
    print_number(name, sum, text);
}

static uint64_t sum_account(const struct roster_account *account) {
    const struct span head[] = {with_end(account->id), with_end(account->name),
                                with_end(account->unit)};
    uint64_t sum = sum_parts(head, 3);
    for (uint32_t index = 0; index < account->regions_count; index++) {
        const struct span parts[] = {span_of(&sum, sizeof sum), with_end(account->regions[index])};
        sum = sum_parts(parts, 2);
    }
    return sum;
}

static void print_s3(const struct settings *settings, struct buffer *text) {
    const struct settings_s3 *s3 = &settings->delivery_s3;
    print_text("delivery.s3.endpoint", s3->endpoint, text);
    print_text("delivery.s3.region", s3->region, text);
    print_number("delivery.s3.style", s3->style, text);
    print_text("delivery.s3.ca", settings->delivery_s3_ca, text);
    print_text("delivery.s3.credentials", settings->delivery_s3_credentials, text);
    print_text("delivery.s3.profile", s3->profile, text);
    print_number("delivery.s3.encryption", s3->encryption, text);
    print_text("delivery.s3.kms_key", s3->kms_key, text);
    print_text("delivery.s3.acl", s3->acl, text);
    print_text("delivery.s3.proxy", s3->proxy, text);
    const struct settings_logs *logs = &settings->delivery_logs;
    print_text("delivery.logs.region", logs->region, text);
    print_text("delivery.logs.endpoint", logs->endpoint, text);
    print_text("delivery.logs.ca", settings->delivery_logs_ca, text);
    print_text("delivery.logs.credentials", settings->delivery_logs_credentials, text);
    print_text("delivery.logs.profile", logs->profile, text);
    print_text("delivery.logs.proxy", logs->proxy, text);
    print_list("delivery.logs.groups", (const char *const *)logs->groups, logs->groups_count, text);
    print_number("delivery.logs.interval_s", settings->delivery_logs_interval_s, text);
    print_number("delivery.logs.event_size_max", settings->delivery_logs_event_size_max, text);
}

static void print_topics(const struct settings *settings, struct buffer *text) {
    const struct target_service *service = &settings->notify_topic_service;
    print_list("notify.sns.topics", settings->notify_topics, settings->notify_topics_count, text);
    print_text("notify.sns.endpoint", service->endpoint, text);
    print_text("notify.sns.ca", service->ca, text);
    print_text("notify.sns.credentials", service->credentials, text);
    print_text("notify.sns.profile", service->profile, text);
    print_text("notify.sns.proxy", service->proxy, text);
}

static void print_targets(const struct settings *settings, struct buffer *text) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < settings->notify_targets_count; index++) {
        const struct target *target = &settings->notify_targets[index];
        const uint8_t kinds[] = {(uint8_t)target->kind, (uint8_t)target->form,
                                 target->allows_private};
        const struct target_service *service = &target->service;
        const char *const texts[] = {target->name,     target->trail,  target->account,
                                     target->address,  target->secret, service->endpoint,
                                     service->region,  service->ca,    service->credentials,
                                     service->profile, service->proxy};
        const struct span head[] = {span_of(&sum, sizeof sum), span_of(kinds, sizeof kinds)};
        sum = sum_parts(head, 2);
        for (size_t at = 0; at < sizeof texts / sizeof texts[0]; at++) {
            const struct span parts[] = {span_of(&sum, sizeof sum), with_end(texts[at])};
            sum = sum_parts(parts, 2);
        }
    }
    print_number("notify.targets", sum, text);
}

void settings_sums_print(const struct settings *settings, const struct settings *roster,
                         struct buffer *text) {
    print_text("organization.id", settings->organization, text);
    print_text("organization.management_account", settings->management_account, text);
    print_text("organization.home_region", settings->home_region, text);
    print_text("listen", settings->listen, text);
    print_text("http.listen", settings->http_listen, text);
    print_text("store.directory", settings->store_directory, text);
    print_number("store.min_free", settings->free_size_min, text);
    print_number("store.size_max", settings->store_size_max, text);
    print_number("store.quarantine_max", settings->quarantine_size_max, text);
    print_number("store.retention_days", settings->retention_days, text);
    print_text("certificates.ca", settings->ca_path, text);
    print_text("certificates.certificate", settings->certificate_path, text);
    print_text("certificates.key", settings->key_path, text);
    print_text("control.socket", settings->control_path, text);
    print_text("control.group", settings->control_group, text);
    print_text("control.admin_group", settings->control_admin_group, text);
    print_text("api.listen", settings->api_listen, text);
    print_text("api.certificate", settings->api_certificate_path, text);
    print_text("api.key", settings->api_key_path, text);
    print_text("api.secret_key", settings->secret_path, text);
    print_number("api.readers", settings->api_readers, text);
    print_number("api.connections_max", settings->api_connections_max, text);
    print_number("api.lookups_per_second", settings->api_lookups_per_second, text);
    print_text("delivery.directory", settings->delivery_directory, text);
    print_s3(settings, text);
    print_number("delivery.interval_s", settings->delivery_interval_s, text);
    print_number("delivery.digest_interval_s", settings->delivery_digest_interval_s, text);
    print_number("delivery.digest_key_lifetime_s", settings->delivery_digest_key_lifetime_s, text);
    print_number("delivery.file_size_max", settings->delivery_file_size_max, text);
    print_number("delivery.compression", settings->delivery_compression, text);
    print_topics(settings, text);
    print_targets(settings, text);
    print_text("deny", settings->deny_path, text);
    print_number("heartbeat_ms", settings->heartbeat_ms, text);
    print_number("region_silent_s", settings->region_silent_s, text);
    print_number("future_max_hours", settings->future_max_hours, text);
    print_number("streams_max", settings->streams_max, text);
    print_number("roster.unknown", roster->unknown, text);
    uint64_t sum = 0;
    for (uint32_t index = 0; index < roster->accounts_count; index++) {
        sum ^= sum_account(&roster->accounts[index]);
    }
    print_number("roster.accounts", sum, text);
}

// Cuts the first line off.
static struct span take_line(struct span *text) {
    size_t size = span_find(*text, '\n');
    struct span line = span_of(text->bytes, size);
    *text = span_from(*text, size < text->size ? size + 1 : size);
    return line;
}

// The line of this name; no bytes if there is none.
static struct span find_line(struct span text, struct span name) {
    while (text.size > 0) {
        struct span line = take_line(&text);
        if (span_equal(span_of(line.bytes, span_find(line, ' ')), name)) return line;
    }
    return (struct span){NULL, 0};
}

void settings_sums_compare(struct span before, struct span now, struct buffer *names) {
    size_t begin = names->size;
    while (now.size > 0) {
        struct span line = take_line(&now);
        struct span name = span_of(line.bytes, span_find(line, ' '));
        struct span old = find_line(before, name);
        if (old.size == 0 || span_equal(old, line)) continue;
        if (names->size > begin) buffer_append_byte(names, ' ');
        buffer_append(names, name);
    }
}
