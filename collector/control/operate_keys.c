#include "collector/control/operate_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "collector/append/append_documents.h"
#include "collector/control/operate.h"
#include "collector/notes/own_event.h"
#include "proto/control.pb-c.h"

enum {
    ARENA_SIZE_MAX = 8 * 1024 * 1024,
    REPLY_SIZE_MAX = 4 * 1024 * 1024,
    REPLY_KEYS_MAX = 64,  // of one part of a list
    NAME_SIZE = 64,       // bytes of a document's name with its final zero
};

// ---- answers

static char *copy_text(struct arena *arena, struct span text) {
    char *copy = arena_copy_text(arena, text);
    return copy == NULL ? (char *)(uintptr_t) "" : copy;
}

static void fill_key(struct arena *arena, const struct keys_facts *facts, Orgtrail__V1__Key *key) {
    orgtrail__v1__key__init(key);
    key->id = copy_text(arena, facts->id);
    key->name = copy_text(arena, facts->name);
    key->account = copy_text(arena, facts->account);
    key->role = (char *)(uintptr_t)keys_role_name(facts->role);
    key->is_disabled = facts->is_disabled;
    key->is_unreadable = facts->is_unreadable;
    key->created_ms = facts->created_ms;
    key->creator = copy_text(arena, facts->creator);
    key->accounts = arena_allocate_array(arena, facts->accounts_count, sizeof *key->accounts);
    if (key->accounts == NULL) return;
    key->n_accounts = facts->accounts_count;
    for (uint32_t index = 0; index < facts->accounts_count; index++) {
        key->accounts[index] = copy_text(arena, facts->accounts[index]);
    }
}

// What the reply says beside the keys.
struct extra {
    struct span secret;  // of the one that was made; without bytes: none was
    char **unlisted;     // accounts of it that the roster lacks
    uint32_t unlisted_count;
    bool is_management;  // it is of the management account
};

static void send_keys(struct control_call *call, struct arena *arena,
                      const struct keys_facts *facts, uint32_t count, const struct extra *extra) {
    const struct span secret = extra->secret;
    Orgtrail__V1__Key keys[REPLY_KEYS_MAX];
    Orgtrail__V1__Key *list[REPLY_KEYS_MAX];
    Orgtrail__V1__KeyReply reply = ORGTRAIL__V1__KEY_REPLY__INIT;
    for (uint32_t index = 0; index < count; index++) {
        fill_key(arena, &facts[index], &keys[index]);
        list[index] = &keys[index];
    }
    reply.keys = list;
    reply.n_keys = count;
    if (secret.size > 0) reply.secret = copy_text(arena, secret);
    reply.unlisted = extra->unlisted;
    reply.n_unlisted = extra->unlisted_count;
    reply.is_management = extra->is_management;
    struct buffer bytes;
    buffer_init(&bytes, REPLY_SIZE_MAX);
    size_t size = protobuf_c_message_get_packed_size(&reply.base);
    uint8_t *to = buffer_reserve(&bytes, size);
    if (to != NULL) {
        protobuf_c_message_pack(&reply.base, to);
        control_call_reply(call, span_of(to, size));
        if (secret.size > 0) crypto_wipe(to, size);
    }
    buffer_done(&bytes);
}

static void refuse(struct control_call *call, enum fault_kind kind, const char *text) {
    struct fault fault;
    fault_set(&fault, kind, "%s", text);
    control_call_end(call, &fault);
}

// The keys, or the call is ended: this collector serves no API.
static struct keys *find_keys(const struct operate *operate, struct control_call *call) {
    if (operate->service != NULL) return service_keys(operate->service);
    refuse(call, FAULT_INPUT,
           "this collector serves no API: \"api: {listen: 127.0.0.1:8443}\" in its settings");
    return NULL;
}

void operate_run_key_list(void *context, struct control_call *call) {
    const struct operate *operate = context;
    struct fault fault;
    struct keys_facts *list = NULL;
    uint32_t count = 0;
    struct keys *keys = find_keys(operate, call);
    if (keys == NULL) return;
    struct arena *arena = arena_create(ARENA_SIZE_MAX);
    bool is_good = arena != NULL || fault_set(&fault, FAULT_FULL, "no memory for the keys");
    is_good = is_good && keys_list(keys, arena, &list, &count, &fault);
    for (uint32_t index = 0; is_good && index < count; index += REPLY_KEYS_MAX) {
        uint32_t part = count - index < REPLY_KEYS_MAX ? count - index : REPLY_KEYS_MAX;
        send_keys(call, arena, &list[index], part, &(struct extra){.unlisted = NULL});
    }
    for (uint32_t index = 0; index < count; index++) {
        crypto_wipe((void *)(uintptr_t)list[index].secret.bytes, list[index].secret.size);
    }
    arena_destroy(arena);
    control_call_end(call, is_good ? NULL : &fault);
}

// ---- changes

// A change of a key on its way through the writer.
struct change {
    struct control_call *call;
    struct keys *keys;
    struct arena *arena;
    const char *event;        // name of the own event
    struct keys_facts facts;  // as they will be
    bool is_new;
    struct extra extra;
    struct buffer before;  // documents
    struct buffer after;
};

static void end(struct change *change, const struct fault *fault) {
    control_call_end(change->call, fault);
    if (change->facts.secret.size > 0) {
        crypto_wipe((void *)(uintptr_t)change->facts.secret.bytes, change->facts.secret.size);
    }
    buffer_done(&change->before);
    buffer_done(&change->after);
    arena_destroy(change->arena);
    free(change);
}

// On the writer's thread.
static void on_done(void *context, bool is_current, const struct fault *fault) {
    struct change *change = context;
    struct fault own;
    if (fault == NULL && !is_current) {
        fault_set(&own, FAULT_RETRY, "another change of this key came before: look at it again");
        fault = &own;
    }
    if (fault == NULL &&
        !keys_take(change->keys, change->facts.id, buffer_span(&change->after), &own)) {
        fault = &own;
    }
    if (fault == NULL) {
        LOG(LOG_INFO, "an access key changed", log_text("change", change->event),
            (struct log_field){"id", change->facts.id, 0},
            (struct log_field){"name", change->facts.name, 0},
            log_text("user", control_call_user(change->call)));
        if (change->is_new) change->extra.secret = change->facts.secret;
        send_keys(change->call, change->arena, &change->facts, 1, &change->extra);
    }
    end(change, fault);
}

static struct span join_accounts(const struct change *change) {
    const struct keys_facts *facts = &change->facts;
    const char *text = "";
    for (uint32_t index = 0; index < facts->accounts_count && text != NULL; index++) {
        text = arena_print(change->arena, "%s%s%.*s", text, index > 0 ? "," : "",
                           SPAN_PRINT(facts->accounts[index]));
    }
    return text == NULL ? SPAN_LITERAL("?") : span_text(text);
}

static struct span print_event(const struct operate *operate, const struct change *change) {
    uint8_t id[OWN_EVENT_ID_SIZE];
    const struct clock *clock = clock_system();
    const struct own_event_place place = {operate->settings->management_account,
                                          operate->settings->home_region};
    const struct keys_facts *facts = &change->facts;
    const struct own_event_detail details[] = {
        {"user", span_text(control_call_user(change->call)), 0},
        {"accessKeyId", facts->id, 0},
        {"name", facts->name, 0},
        {"account", facts->account, 0},
        {"role", span_text(keys_role_name(facts->role)), 0},
        {"accounts", join_accounts(change), 0},
    };
    own_event_make_id(random_system(), id);
    return own_event_print(&place, change->event, id, clock->now_ms(clock->context) / 1000, details,
                           facts->accounts_count > 0 ? 6 : 5, change->arena);
}

// Hands the change to the writer. It is the writer's then, or ended here.
static void submit(const struct operate *operate, struct change *change) {
    char name[NAME_SIZE];
    struct fault fault;
    snprintf(name, sizeof name, KEYS_DOCUMENTS "%.*s", SPAN_PRINT(change->facts.id));
    const struct append_document document = {span_text(name), buffer_span(&change->before),
                                             buffer_span(&change->after)};
    const struct span event = print_event(operate, change);
    const struct append_documents_options options = {
        .documents = &document,
        .documents_count = 1,
        .records = &event,
        .records_count = 1,
        .done = on_done,
        .context = change,
    };
    if (event.bytes == NULL) {
        fault_set(&fault, FAULT_FULL, "no memory for this");
    } else if (append_documents_submit(server_append(operate->server), &options, &fault)) {
        return;
    }
    end(change, &fault);
}

static struct change *make_change(const struct operate *operate, struct control_call *call) {
    struct keys *keys = find_keys(operate, call);
    if (keys == NULL) return NULL;
    struct change *change = calloc(1, sizeof *change);
    if (change != NULL) change->arena = arena_create(ARENA_SIZE_MAX);
    if (change == NULL || change->arena == NULL) {
        free(change);
        refuse(call, FAULT_FULL, "no memory for this");
        return NULL;
    }
    change->call = call;
    change->keys = keys;
    buffer_init(&change->before, KEYS_DOCUMENT_SIZE_MAX);
    buffer_init(&change->after, KEYS_DOCUMENT_SIZE_MAX);
    return change;
}

// Notes which accounts of the key the roster lacks: allowed, and often a typing error.
static void find_unlisted(const struct operate *operate, struct change *change) {
    const struct keys_facts *facts = &change->facts;
    struct extra *extra = &change->extra;
    uint32_t place;
    extra->unlisted =
        arena_allocate_array(change->arena, facts->accounts_count + 1, sizeof *extra->unlisted);
    if (extra->unlisted == NULL) return;
    const struct roster *roster = roster_live_enter(operate->roster, &place);
    for (uint32_t index = 0; index <= facts->accounts_count; index++) {
        struct span account = index == 0 ? facts->account : facts->accounts[index - 1];
        bool is_management = span_is(account, operate->settings->management_account);
        if (is_management || roster_find(roster, account) != NULL) continue;
        extra->unlisted[extra->unlisted_count++] = copy_text(change->arena, account);
    }
    roster_live_leave(operate->roster, place);
}

static bool fill_new(const struct operate *operate, const Orgtrail__V1__KeyCreateRequest *request,
                     struct change *change, struct fault *fault) {
    struct keys_facts *facts = &change->facts;
    const char *account =
        request->account[0] == 0 ? operate->settings->management_account : request->account;
    struct span *accounts =
        arena_allocate_array(change->arena, request->n_accounts, sizeof *accounts);
    bool is_copied =
        accounts != NULL && arena_copy(change->arena, span_text(request->name), &facts->name) &&
        arena_copy(change->arena, span_text(account), &facts->account) &&
        arena_copy(change->arena, span_text(control_call_user(change->call)), &facts->creator);
    for (size_t index = 0; is_copied && index < request->n_accounts; index++) {
        is_copied =
            arena_copy(change->arena, span_text(request->accounts[index]), &accounts[index]);
    }
    if (!is_copied) return fault_set(fault, FAULT_FULL, "no memory for this");
    facts->accounts = accounts;
    facts->accounts_count = (uint32_t)request->n_accounts;
    facts->created_ms = clock_system()->now_ms(clock_system()->context);
    if (!keys_find_role(span_text(request->role), &facts->role)) {
        return fault_set(fault, FAULT_INPUT, "a role is read or admin");
    }
    find_unlisted(operate, change);
    change->extra.is_management = span_is(facts->account, operate->settings->management_account);
    return keys_check(facts, fault) && keys_make(random_system(), change->arena, facts, fault) &&
           keys_print(change->keys, facts, random_system(), &change->after, fault);
}

void operate_run_key_create(void *context, struct control_call *call) {
    const struct operate *operate = context;
    struct fault fault;
    struct change *change = make_change(operate, call);
    if (change == NULL) return;
    change->event = "AccessKeyCreated";
    change->is_new = true;
    struct span bytes = control_call_request(call);
    Orgtrail__V1__KeyCreateRequest *request =
        orgtrail__v1__key_create_request__unpack(NULL, bytes.size, bytes.bytes);
    bool is_good = request != NULL || fault_set(&fault, FAULT_INPUT, "the request cannot be read");
    is_good = is_good && fill_new(operate, request, change, &fault);
    if (request != NULL) orgtrail__v1__key_create_request__free_unpacked(request, NULL);
    if (is_good) {
        submit(operate, change);
    } else {
        end(change, &fault);
    }
}

static bool fill_changed(const Orgtrail__V1__KeyChangeRequest *request, struct change *change,
                         struct fault *fault) {
    bool found = false;
    struct keys_facts *facts = &change->facts;
    if (!keys_find(change->keys, span_text(request->id), change->arena, &found, facts, fault)) {
        return false;
    }
    if (!found)
        return fault_set(fault, FAULT_INPUT,
                         "there is no access key %.40s: keys list shows their ids", request->id);
    if (!keys_get_document(change->keys, facts->id, &change->before)) {
        return fault_set(fault, FAULT_RETRY, "another change of this key came before");
    }
    bool is_delete = request->change == ORGTRAIL__V1__KEY_CHANGE_REQUEST__CHANGE__DELETE;
    bool is_disable = request->change == ORGTRAIL__V1__KEY_CHANGE_REQUEST__CHANGE__DISABLE;
    change->event = is_delete    ? "AccessKeyDeleted"
                    : is_disable ? "AccessKeyDisabled"
                                 : "AccessKeyEnabled";
    if (is_delete) return true;
    if (facts->is_unreadable) {
        return fault_set(fault, FAULT_INPUT, "another secret.key sealed %s: it can only be deleted",
                         request->id);
    }
    if (facts->is_disabled == is_disable) {
        return fault_set(fault, FAULT_INPUT, "%s is %s already", request->id,
                         is_disable ? "disabled" : "enabled");
    }
    facts->is_disabled = is_disable;
    return keys_print(change->keys, facts, random_system(), &change->after, fault);
}

void operate_run_key_change(void *context, struct control_call *call) {
    const struct operate *operate = context;
    struct fault fault;
    struct change *change = make_change(operate, call);
    if (change == NULL) return;
    struct span bytes = control_call_request(call);
    Orgtrail__V1__KeyChangeRequest *request =
        orgtrail__v1__key_change_request__unpack(NULL, bytes.size, bytes.bytes);
    bool is_good = request != NULL || fault_set(&fault, FAULT_INPUT, "the request cannot be read");
    is_good = is_good && fill_changed(request, change, &fault);
    if (request != NULL) orgtrail__v1__key_change_request__free_unpacked(request, NULL);
    if (is_good) {
        submit(operate, change);
    } else {
        end(change, &fault);
    }
}
