#include "collector/settings_notify.h"

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
    CYAML_FIELD_STRING_PTR("webhook", NEEDED, struct settings_notify_target, webhook, 1,
                           TARGET_ADDRESS_SIZE_MAX),
    CYAML_FIELD_ENUM("form", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct settings_notify_target,
                     form, forms, 2),
    CYAML_FIELD_STRING_PTR("secret", OPTIONAL, struct settings_notify_target, secret, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_notify_target, ca, 1,
                           SETTINGS_PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_notify_target, proxy, 1,
                           TEXT_SIZE_MAX),
    CYAML_FIELD_BOOL("allow_private", CYAML_FLAG_OPTIONAL, struct settings_notify_target,
                     allow_private),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t target_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct settings_notify_target, target_fields),
};

const cyaml_schema_field_t settings_notify_fields[] = {
    CYAML_FIELD_SEQUENCE("targets", OPTIONAL, struct settings_notify, targets, &target_schema, 0,
                         SETTINGS_NOTIFY_TARGETS_MAX),
    CYAML_FIELD_END,
};

const struct config_help settings_notify_helps[SETTINGS_NOTIFY_HELPS] = {
    {"notify.targets[].name", "1 to 16 letters, digits and `-`", NULL,
     "What it is called in metrics, logs and GetTrailStatus."},
    {"notify.targets[].trail", "name", NULL, "Whose delivered files it is told of."},
    {"notify.targets[].account", "account", "`organization.management_account`",
     "The trail's owner."},
    {"notify.targets[].webhook", "`https://HOST[:PORT]/PATH`", NULL,
     "Where messages are posted to, signed. Only public addresses are connected to, and redirects "
     "are not followed."},
    {"notify.targets[].form", NULL, "`cloudtrail`",
     "The message: CloudTrail's own, or that of S3 for a new object."},
    {"notify.targets[].secret", "path", "none: a webhook needs one",
     "A file, mode 600 or 640: `whsec_` and 16 to 128 bytes in base64, which webhooks are signed "
     "with. Two lines while one replaces the other. Read each time."},
    {"notify.targets[].ca", "path", "the system's",
     "PEM of the CA that the target's certificate is of."},
    {"notify.targets[].proxy", "`http://HOST:PORT`", "none",
     "An HTTP proxy; the environment's is not used. What it connects to cannot be checked here: "
     "only with `allow_private`."},
    {"notify.targets[].allow_private", NULL, "`false`",
     "Whether the webhook may be at an address that is not public, and without TLS (`http://`)."},
};

// Refuses what one of the targets says.
static bool refuse(const struct settings_origin *origin, const struct settings_notify_target *given,
                   const char *words, struct fault *fault) {
    fault_set(fault, FAULT_INPUT, "notify.targets: %s: %s", given->name, words);
    return settings_refuse(origin, "name", given->name, fault);
}

static bool check(const struct settings *settings, const struct settings_notify_target *given,
                  const struct settings_origin *origin, struct fault *fault) {
    const char *word = NULL;
    if (strspn(given->name, NAME_LETTERS) != strlen(given->name)) {
        word = "a name has letters, digits and '-'";
    } else if (strcmp(given->name, TARGET_TOPIC_NAME) == 0) {
        word = "so a trail's own topic is called: choose another name";
    } else if (given->secret == NULL) {
        word = "a webhook needs a secret";
    } else if (strncmp(given->webhook, "https://", 8) != 0 &&
               (!given->allow_private || strncmp(given->webhook, "http://", 7) != 0)) {
        word = "a webhook begins with https://, or with allow_private: true also http://";
    } else if (strpbrk(given->webhook, "@ #") != NULL) {
        word = "a webhook's address has no user, no blank and no '#'";
    } else if (given->proxy != NULL && !given->allow_private) {
        word = "what a proxy connects to cannot be checked here: only with allow_private: true";
    }
    for (uint32_t index = 0; word == NULL && index < settings->notify_targets_count; index++) {
        if (strcmp(settings->notify_targets[index].name, given->name) == 0) {
            word = "two targets have this name";
        }
    }
    return word == NULL || refuse(origin, given, word, fault);
}

static bool fill(struct settings *settings, const struct settings_notify_target *given,
                 const struct settings_origin *origin, struct target *target, struct fault *fault) {
    *target = (struct target){
        .kind = TARGET_WEBHOOK,
        .name = given->name,
        .trail = given->trail,
        .account = given->account == NULL ? settings->management_account : given->account,
        .address = given->webhook,
        .form = given->form,
        .allows_private = given->allow_private,
        .service = {.proxy = given->proxy},
    };
    return settings_resolve(settings, origin, given->secret, &target->secret, fault) &&
           (given->ca == NULL ||
            settings_resolve(settings, origin, given->ca, &target->service.ca, fault));
}

bool settings_notify_fill(struct settings *settings, const struct settings_notify *notify,
                          const struct settings_origin *origin, struct fault *fault) {
    struct target *targets =
        arena_allocate_array(settings->arena, notify->targets_count, sizeof *targets);
    if (targets == NULL) return fault_set(fault, FAULT_FULL, "no memory for the settings");
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
