#include "collector/settings/settings_notify.h"

#define NEEDED CYAML_FLAG_POINTER
#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

enum { TEXT_SIZE_MAX = 1024 };

static const cyaml_strval_t forms[] = {
    {"cloudtrail", MESSAGE_CLOUDTRAIL},
    {"s3_event", MESSAGE_S3_EVENT},
};

static const cyaml_schema_field_t target_fields[] = {
    CYAML_FIELD_STRING_PTR("name", NEEDED, struct settings_notify_target, name, 1,
                           TARGET_NAME_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("trail", NEEDED, struct settings_notify_target, trail, 1, 128),
    CYAML_FIELD_STRING_PTR("account", OPTIONAL, struct settings_notify_target, account, 1, 64),
    CYAML_FIELD_STRING_PTR("webhook", OPTIONAL, struct settings_notify_target, webhook, 1,
                           TARGET_ADDRESS_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("queue", OPTIONAL, struct settings_notify_target, queue, 1,
                           TARGET_ADDRESS_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("topic", OPTIONAL, struct settings_notify_target, topic, 1,
                           TARGET_ADDRESS_SIZE_MAX),
    CYAML_FIELD_ENUM("form", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct settings_notify_target,
                     form, forms, 2),
    CYAML_FIELD_STRING_PTR("secret", OPTIONAL, struct settings_notify_target, secret, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("region", OPTIONAL, struct settings_notify_target, region, 1, 64),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_notify_target, ca, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("credentials", OPTIONAL, struct settings_notify_target, credentials, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL, struct settings_notify_target, profile, 1,
                           TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_notify_target, proxy, 1,
                           TEXT_SIZE_MAX),
    CYAML_FIELD_BOOL("allow_private", CYAML_FLAG_OPTIONAL, struct settings_notify_target,
                     allow_private),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t target_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct settings_notify_target, target_fields),
};

static const cyaml_schema_value_t topic_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TARGET_ADDRESS_SIZE_MAX),
};

static const cyaml_schema_field_t sns_fields[] = {
    CYAML_FIELD_SEQUENCE("topics", NEEDED, struct settings_notify_sns, topics, &topic_schema, 1,
                         SETTINGS_NOTIFY_TOPICS_MAX),
    CYAML_FIELD_STRING_PTR("endpoint", OPTIONAL, struct settings_notify_sns, endpoint, 1,
                           TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_notify_sns, ca, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("credentials", OPTIONAL, struct settings_notify_sns, credentials, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL, struct settings_notify_sns, profile, 1,
                           TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_notify_sns, proxy, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t settings_notify_fields[] = {
    CYAML_FIELD_MAPPING("sns", CYAML_FLAG_OPTIONAL, struct settings_notify, sns, sns_fields),
    CYAML_FIELD_SEQUENCE("targets", OPTIONAL, struct settings_notify, targets, &target_schema, 0,
                         SETTINGS_NOTIFY_TARGETS_MAX),
    CYAML_FIELD_END,
};

#define CREDENTIALS_FORM "`AWS_ACCESS_KEY_ID` and so on of the environment"
#define CREDENTIALS_TEXT \
    "A file like `~/.aws/credentials`, mode 600 or 640. Read again when it changes."

const struct config_help settings_notify_helps[SETTINGS_NOTIFY_HELPS] = {
    {"notify.sns.topics", "list of ARNs", "no trail's topic is published to",
     "The topics that trails (`SnsTopicName`) and targets may name; one that ends in `*` stands "
     "for "
     "all that begin so."},
    {"notify.sns.endpoint", "`https://HOST[:PORT]`", "AWS's of the topic's region",
     "Where SNS, or what speaks like it, is."},
    {"notify.sns.ca", "path", "the system's", "PEM of the CA that its certificate is of."},
    {"notify.sns.credentials", "path", CREDENTIALS_FORM, CREDENTIALS_TEXT},
    {"notify.sns.profile", "name", "`default`", "The file's section."},
    {"notify.sns.proxy", "`http://HOST:PORT`", "none",
     "An HTTP proxy; the environment's is not used."},
    {"notify.targets[].name", "1 to 16 letters, digits and `-`", NULL,
     "What it is called in metrics, logs and GetTrailStatus."},
    {"notify.targets[].trail", "name", NULL, "Whose delivered files it is told of."},
    {"notify.targets[].account", "account", "`organization.management_account`",
     "The trail's owner."},
    {"notify.targets[].webhook", "`https://HOST[:PORT]/PATH`", "a queue or a topic",
     "Where messages are posted to, signed. Only public addresses are connected to, and redirects "
     "are not followed."},
    {"notify.targets[].queue", "`https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`",
     "a webhook or a topic", "The URL of a queue of SQS, or of what speaks like it."},
    {"notify.targets[].topic", "ARN", "a webhook or a queue",
     "A topic of SNS, reached as `notify.sns` says. A trail's own topic, `SnsTopicName`, is told "
     "without a target."},
    {"notify.targets[].form", NULL, "`cloudtrail`",
     "The message: CloudTrail's own, or that of S3 for a new object."},
    {"notify.targets[].secret", "path", "none: a webhook needs one",
     "A file, mode 600 or 640: `whsec_` and 16 to 128 bytes in base64, which webhooks are signed "
     "with. Two lines while one replaces the other. Read each time."},
    {"notify.targets[].region", "region", "that of the queue's host",
     "Of a queue: what signs requests."},
    {"notify.targets[].ca", "path", "the system's",
     "PEM of the CA that the target's certificate is of; not of a topic."},
    {"notify.targets[].credentials", "path", CREDENTIALS_FORM, "Of a queue. " CREDENTIALS_TEXT},
    {"notify.targets[].profile", "name", "`default`", "The file's section."},
    {"notify.targets[].proxy", "`http://HOST:PORT`", "none",
     "An HTTP proxy; the environment's is not used. What it connects to cannot be checked here: "
     "for a webhook only with `allow_private`."},
    {"notify.targets[].allow_private", NULL, "`false`",
     "Whether the webhook may be at an address that is not public, and without TLS (`http://`)."},
};

// Refuses what one of the targets says.
static bool refuse(const struct settings_origin *origin, const struct settings_notify_target *given,
                   const char *words, struct fault *fault) {
    fault_set(fault, FAULT_INPUT, "notify.targets: %s: %s", given->name, words);
    return settings_refuse(origin, "name", given->name, fault);
}

static bool is_url(const char *text, bool allows_plain) {
    bool is_good =
        strncmp(text, "https://", 8) == 0 || (allows_plain && strncmp(text, "http://", 7) == 0);
    return is_good && strpbrk(text, "@ #") == NULL;
}

// What is wrong with a webhook's settings; NULL: nothing.
static const char *check_webhook(const struct settings_notify_target *given) {
    if (given->secret == NULL) return "a webhook needs a secret";
    if (!is_url(given->webhook, given->allow_private)) {
        return "a webhook is https://HOST/PATH, or with allow_private: true also http://, without "
               "user, blank and '#'";
    }
    if (given->proxy != NULL && !given->allow_private) {
        return "what a proxy connects to cannot be checked here: only with allow_private: true";
    }
    if (given->credentials != NULL || given->profile != NULL || given->region != NULL) {
        return "credentials, profile and region are for queues";
    }
    return NULL;
}

static const char *check_queue(const struct settings_notify_target *given) {
    if (!is_url(given->queue, true)) {
        return "a queue is https://HOST/ACCOUNT/NAME, without user, blank and '#'";
    }
    if (given->region == NULL && strstr(given->queue, "://sqs.") == NULL) {
        return "of which region is the queue? Set region";
    }
    if (given->profile != NULL && given->credentials == NULL) {
        return "profile: of which credentials file?";
    }
    return NULL;
}

static const char *check_topic(const struct settings *settings,
                               const struct settings_notify_target *given) {
    if (strncmp(given->topic, "arn:", 4) != 0) return "a topic is named by its ARN";
    if (settings->notify_topics_count == 0) return "topics are reached as notify.sns says: set it";
    if (given->ca != NULL || given->proxy != NULL || given->credentials != NULL ||
        given->profile != NULL || given->region != NULL) {
        return "ca, proxy and credentials of topics stand in notify.sns";
    }
    return NULL;
}

static const char *check_kind(const struct settings *settings,
                              const struct settings_notify_target *given) {
    const char *const addresses[] = {given->webhook, given->queue, given->topic};
    uint32_t count = 0;
    for (size_t index = 0; index < sizeof addresses / sizeof addresses[0]; index++) {
        if (addresses[index] != NULL) count++;
    }
    if (count != 1) return "one of webhook, queue and topic";
    if (given->webhook != NULL) return check_webhook(given);
    if (given->secret != NULL || given->allow_private) {
        return "secret and allow_private are for webhooks";
    }
    return given->queue != NULL ? check_queue(given) : check_topic(settings, given);
}

static bool check(const struct settings *settings, const struct settings_notify_target *given,
                  const struct settings_origin *origin, struct fault *fault) {
    const char *words = check_kind(settings, given);
    if (strspn(given->name, NAME_LETTERS) != strlen(given->name)) {
        words = "a name has letters, digits and '-'";
    } else if (strcmp(given->name, TARGET_TOPIC_NAME) == 0) {
        words = "so a trail's own topic is called: choose another name";
    }
    for (uint32_t index = 0; words == NULL && index < settings->notify_targets_count; index++) {
        if (strcmp(settings->notify_targets[index].name, given->name) == 0) {
            words = "two targets have this name";
        }
    }
    return words == NULL || refuse(origin, given, words, fault);
}

static bool resolve(struct settings *settings, const struct settings_origin *origin,
                    const char *given, const char **path, struct fault *fault) {
    return given == NULL || settings_resolve(settings, origin, given, path, fault);
}

static bool fill(struct settings *settings, const struct settings_notify_target *given,
                 const struct settings_origin *origin, struct target *target, struct fault *fault) {
    *target = (struct target){
        .kind = given->webhook != NULL ? TARGET_WEBHOOK
                : given->queue != NULL ? TARGET_QUEUE
                                       : TARGET_TOPIC,
        .name = given->name,
        .trail = given->trail,
        .account = given->account == NULL ? settings->management_account : given->account,
        .address = given->webhook != NULL ? given->webhook
                   : given->queue != NULL ? given->queue
                                          : given->topic,
        .form = given->form,
        .allows_private = given->allow_private,
        .service = {.region = given->region, .profile = given->profile, .proxy = given->proxy},
    };
    if (target->kind == TARGET_TOPIC) {
        target->service = settings->notify_topic_service;
        return true;
    }
    return resolve(settings, origin, given->secret, &target->secret, fault) &&
           resolve(settings, origin, given->ca, &target->service.ca, fault) &&
           resolve(settings, origin, given->credentials, &target->service.credentials, fault);
}

static bool fill_sns(struct settings *settings, const struct settings_notify_sns *sns,
                     const struct settings_origin *origin, struct fault *fault) {
    struct target_service *service = &settings->notify_topic_service;
    if (sns->topics_count == 0) return true;
    if (sns->profile != NULL && sns->credentials == NULL) {
        fault_set(fault, FAULT_INPUT, "notify.sns.profile: of which credentials file?");
        return settings_refuse(origin, "profile", sns->profile, fault);
    }
    settings->notify_topics = (const char *const *)sns->topics;
    settings->notify_topics_count = sns->topics_count;
    *service = (struct target_service){
        .endpoint = sns->endpoint, .profile = sns->profile, .proxy = sns->proxy};
    return resolve(settings, origin, sns->ca, &service->ca, fault) &&
           resolve(settings, origin, sns->credentials, &service->credentials, fault);
}

bool settings_notify_fill(struct settings *settings, const struct settings_notify *notify,
                          const struct settings_origin *origin, struct fault *fault) {
    struct target *targets =
        arena_allocate_array(settings->arena, notify->targets_count, sizeof *targets);
    if (targets == NULL) return fault_set(fault, FAULT_FULL, "no memory for the settings");
    if (!fill_sns(settings, &notify->sns, origin, fault)) return false;
    settings->notify_targets = targets;
    for (uint32_t index = 0; index < notify->targets_count; index++) {
        const struct settings_notify_target *given = &notify->targets[index];
        if (!check(settings, given, origin, fault) ||
            !fill(settings, given, origin, &targets[index], fault)) {
            return false;
        }
        settings->notify_targets_count++;
    }
    return true;
}
