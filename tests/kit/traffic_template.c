#include "tests/kit/traffic_template.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/buffer.h"

enum {
    SLOTS_MAX = 512,
    GROUPS_MAX = 128,
    ACCOUNT_SIZE = 12,
    TIME_SIZE = 20,
    UUID_SIZE = 36,
    TOKEN_SIZE_MIN = 40,
    INVENTED_MAX = 64,
    INVENTED_MIN = 8,
};

// What is looked for in one record, and what was found.
struct scan {
    struct span text;
    struct span account;
    struct span region;
    struct span event_time;
    struct span event_id;
    struct span request_id;
    struct span address;
    struct span users[2];
    size_t identity_begin;
    size_t identity_end;
    struct traffic_slot slots[SLOTS_MAX];
    uint32_t slots_count;
    struct span groups[GROUPS_MAX];
    uint32_t groups_count;
};

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_upper(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z';
}

static bool is_lower(uint8_t byte) {
    return byte >= 'a' && byte <= 'z';
}

static bool is_hex(uint8_t byte) {
    return is_digit(byte) || (byte >= 'a' && byte <= 'f');
}

static bool is_word(uint8_t byte) {
    return is_digit(byte) || is_upper(byte) || is_lower(byte);
}

// The byte at an offset, 0 outside.
static uint8_t byte_at(struct span text, size_t offset) {
    return offset < text.size ? text.bytes[offset] : 0;
}

static bool stands_at(struct span text, size_t offset, struct span what) {
    return what.size > 0 && offset + what.size <= text.size &&
           memcmp(text.bytes + offset, what.bytes, what.size) == 0;
}

// How many bytes from the offset on satisfy the test, at most size_max.
static size_t run_at(struct span text, size_t offset, bool (*test)(uint8_t), size_t size_max) {
    size_t size = 0;
    while (size < size_max && offset + size < text.size && test(text.bytes[offset + size])) size++;
    return size;
}

static bool is_key_byte(uint8_t byte) {
    return is_digit(byte) || is_upper(byte);
}

static bool is_token_byte(uint8_t byte) {
    return is_word(byte) || byte == '+' || byte == '/' || byte == '=';
}

static bool is_uuid_at(struct span text, size_t offset) {
    if (offset + UUID_SIZE > text.size) return false;
    for (size_t index = 0; index < UUID_SIZE; index++) {
        bool dash = index == 8 || index == 13 || index == 18 || index == 23;
        uint8_t byte = text.bytes[offset + index];
        if (dash ? byte != '-' : !is_hex(byte)) return false;
    }
    return !is_word(byte_at(text, offset + UUID_SIZE));
}

static bool is_time_at(struct span text, size_t offset) {
    static const char form[] = "0000-00-00T00:00:00Z";
    if (offset + TIME_SIZE > text.size) return false;
    for (size_t index = 0; index < TIME_SIZE; index++) {
        uint8_t byte = text.bytes[offset + index];
        if (form[index] == '0' ? !is_digit(byte) : byte != (uint8_t)form[index]) return false;
    }
    return true;
}

static bool is_ipv4(struct span text) {
    size_t dots = 0;
    for (size_t index = 0; index < text.size; index++) {
        if (text.bytes[index] == '.') dots++;
        if (text.bytes[index] != '.' && !is_digit(text.bytes[index])) return false;
    }
    return dots == 3 && text.size >= 7;
}

// A token is long, begins its string and has all three kinds of characters.
static size_t token_at(struct span text, size_t offset) {
    if (offset == 0 || text.bytes[offset - 1] != '"') return 0;
    size_t size = run_at(text, offset, is_token_byte, 60000);
    if (size < TOKEN_SIZE_MIN || byte_at(text, offset + size) != '"') return 0;
    bool digit = false, upper = false, lower = false;
    for (size_t index = 0; index < size; index++) {
        uint8_t byte = text.bytes[offset + index];
        digit |= is_digit(byte);
        upper |= is_upper(byte);
        lower |= is_lower(byte);
    }
    return digit && upper && lower ? size : 0;
}

// The hex tail of a resource id: behind "i-", "vpc-", "sg-" and the like.
static size_t hex_at(struct span text, size_t offset) {
    if (offset < 2 || text.bytes[offset - 1] != '-' || !is_lower(text.bytes[offset - 2])) return 0;
    size_t size = run_at(text, offset, is_hex, 18);
    return (size == 8 || size == 17) && !is_word(byte_at(text, offset + size)) ? size : 0;
}

static uint8_t group_of(struct scan *scan, struct span text) {
    for (uint32_t index = 0; index < scan->groups_count; index++) {
        if (span_equal(scan->groups[index], text)) return (uint8_t)index;
    }
    if (scan->groups_count == GROUPS_MAX) return GROUPS_MAX - 1;
    scan->groups[scan->groups_count] = text;
    return (uint8_t)scan->groups_count++;
}

// The slot that begins at the offset, or none: *kind untouched and 0 returned. *skip is how much of
// the text before the slot stays (the AKIA of a key).
static size_t match_known(const struct scan *scan, size_t offset, enum traffic_slot_kind *kind) {
    struct span text = scan->text;
    if (stands_at(text, offset, scan->event_id)) {
        *kind = TRAFFIC_EVENT_ID;
        return scan->event_id.size;
    }
    if (stands_at(text, offset, scan->request_id)) {
        *kind = scan->request_id.size == UUID_SIZE ? TRAFFIC_REQUEST_ID : TRAFFIC_REQUEST_ID_S3;
        return scan->request_id.size;
    }
    if (stands_at(text, offset, scan->account) && !is_digit(byte_at(text, offset + ACCOUNT_SIZE))) {
        *kind = TRAFFIC_ACCOUNT;
        return ACCOUNT_SIZE;
    }
    if (stands_at(text, offset, scan->region)) {
        *kind = TRAFFIC_REGION;
        return scan->region.size;
    }
    if (stands_at(text, offset, scan->address)) {
        *kind = TRAFFIC_ADDRESS;
        return scan->address.size;
    }
    if (offset < scan->identity_begin || offset >= scan->identity_end) return 0;
    for (size_t index = 0; index < 2; index++) {
        struct span user = scan->users[index];
        if (!stands_at(text, offset, user) || is_word(byte_at(text, offset + user.size))) continue;
        uint8_t before = text.bytes[offset - 1];
        if (before != '"' && before != '/' && before != ':') continue;
        *kind = TRAFFIC_USER;
        return user.size;
    }
    return 0;
}

// Slots that are known by their shape.
static size_t match_shape(const struct scan *scan, size_t offset, enum traffic_slot_kind *kind) {
    struct span text = scan->text;
    if (text.bytes[offset] == TRAFFIC_FILLER_MARK) {
        size_t size = 1;
        while (byte_at(text, offset + size) == TRAFFIC_FILLER_MARK) size++;
        *kind = TRAFFIC_FILLER;
        return size;
    }
    if (is_time_at(text, offset)) {
        *kind = stands_at(text, offset, scan->event_time) ? TRAFFIC_TIME : TRAFFIC_SESSION_TIME;
        return TIME_SIZE;
    }
    if (is_uuid_at(text, offset)) {
        *kind = TRAFFIC_UUID;
        return UUID_SIZE;
    }
    size_t size = hex_at(text, offset);
    if (size > 0) {
        *kind = TRAFFIC_HEX;
        return size;
    }
    size = token_at(text, offset);
    if (size > 0) *kind = TRAFFIC_TOKEN;
    return size;
}

// Keys and principal ids keep their prefix, which says what they are.
static size_t match_prefixed(const struct scan *scan, size_t offset, enum traffic_slot_kind *kind) {
    struct span text = scan->text;
    if (offset < 5 || is_word(text.bytes[offset - 5])) return 0;
    struct span prefix = span_of(text.bytes + offset - 4, 4);
    size_t size = run_at(text, offset, is_key_byte, 18);
    if (is_word(byte_at(text, offset + size))) return 0;
    if ((span_is(prefix, "AKIA") || span_is(prefix, "ASIA")) && size == 16) {
        *kind = TRAFFIC_ACCESS_KEY;
        return size;
    }
    if ((span_is(prefix, "AROA") || span_is(prefix, "AIDA")) && size == 17) {
        *kind = TRAFFIC_PRINCIPAL;
        return size;
    }
    return 0;
}

static void scan_slots(struct scan *scan) {
    size_t offset = 0;
    while (offset < scan->text.size && scan->slots_count < SLOTS_MAX) {
        enum traffic_slot_kind kind = TRAFFIC_ACCOUNT;
        size_t size = match_known(scan, offset, &kind);
        if (size == 0) size = match_prefixed(scan, offset, &kind);
        if (size == 0) size = match_shape(scan, offset, &kind);
        if (size == 0) {
            offset++;
            continue;
        }
        struct span text = span_of(scan->text.bytes + offset, size);
        scan->slots[scan->slots_count++] = (struct traffic_slot){
            .offset = (uint32_t)offset,
            .size = (uint16_t)size,
            .kind = (uint8_t)kind,
            .group = group_of(scan, text),
            .is_session = kind == TRAFFIC_ACCESS_KEY && scan->text.bytes[offset - 3] == 'S',
        };
        offset += size;
    }
}

// Where the value of "userIdentity" lies, by its braces.
static void find_identity(struct scan *scan) {
    static const char name[] = "\"userIdentity\":{";
    const uint8_t *found = memmem(scan->text.bytes, scan->text.size, name, sizeof name - 1);
    if (found == NULL) return;
    size_t offset = (size_t)(found - scan->text.bytes) + sizeof name - 2;
    scan->identity_begin = offset;
    uint32_t depth = 0;
    for (; offset < scan->text.size; offset++) {
        if (scan->text.bytes[offset] == '{') depth++;
        if (scan->text.bytes[offset] == '}' && --depth == 0) break;
    }
    scan->identity_end = offset;
}

static struct span kept_if(struct span text, bool keep) {
    return keep ? text : (struct span){NULL, 0};
}

static bool is_s3_request(struct span text) {
    return text.size == 16 && run_at(text, 0, is_key_byte, 16) == 16;
}

static void read_facts(const struct yyjson_val *root, struct scan *scan, bool *is_role,
                       bool *is_error) {
    const struct yyjson_val *identity = json_member(root, SPAN_LITERAL("userIdentity"));
    const struct yyjson_val *context = json_member(identity, SPAN_LITERAL("sessionContext"));
    const struct yyjson_val *issuer = json_member(context, SPAN_LITERAL("sessionIssuer"));
    struct span account = json_member_string(root, SPAN_LITERAL("recipientAccountId"));
    if (account.size == 0) account = json_member_string(identity, SPAN_LITERAL("accountId"));
    struct span id = json_member_string(root, SPAN_LITERAL("eventID"));
    struct span request = json_member_string(root, SPAN_LITERAL("requestID"));
    struct span address = json_member_string(root, SPAN_LITERAL("sourceIPAddress"));

    scan->account = kept_if(account, account.size == ACCOUNT_SIZE);
    scan->region = json_member_string(root, SPAN_LITERAL("awsRegion"));
    scan->event_time = json_member_string(root, SPAN_LITERAL("eventTime"));
    scan->event_id = kept_if(id, id.size == UUID_SIZE);
    scan->request_id = kept_if(request, request.size == UUID_SIZE || is_s3_request(request));
    scan->address = kept_if(address, is_ipv4(address));
    scan->users[0] = json_member_string(identity, SPAN_LITERAL("userName"));
    scan->users[1] = json_member_string(issuer, SPAN_LITERAL("userName"));
    *is_role = scan->users[1].size > 0;
    *is_error = json_member(root, SPAN_LITERAL("errorCode")) != NULL ||
                json_member(root, SPAN_LITERAL("errorMessage")) != NULL;
}

bool traffic_template_read(struct json_reader *reader, struct arena *arena, struct span text,
                           struct traffic_template *out, struct fault *fault) {
    struct scan scan = {.text = text};
    struct traffic_template made = {0};
    // The mark of a filler is no JSON: it is read as a blank string of letters.
    uint8_t *readable = arena_allocate(arena, text.size);
    if (readable == NULL) return fault_set(fault, FAULT_FULL, "no memory for a template");
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        readable[index] = byte == TRAFFIC_FILLER_MARK ? 'x' : byte;
    }
    const struct yyjson_val *root = NULL;
    if (!json_read(reader, span_of(readable, text.size), &root, fault)) return false;
    read_facts(root, &scan, &made.is_role, &made.is_error);
    find_identity(&scan);
    scan_slots(&scan);

    made.slots_count = scan.slots_count;
    made.slots = arena_allocate_array(arena, scan.slots_count + 1, sizeof scan.slots[0]);
    if (made.slots == NULL || !arena_copy(arena, text, &made.text)) {
        return fault_set(fault, FAULT_FULL, "no memory for a template");
    }
    memcpy(made.slots, scan.slots, scan.slots_count * sizeof scan.slots[0]);
    *out = made;
    return true;
}

// One invented record: what was decided for it.
struct invention {
    const struct traffic_operation *operation;
    const struct traffic_words *agents;
    uint64_t seed;
    uint32_t draws;
    bool is_error;
    size_t filler_size;
};

static double draw_unit(struct invention *invention) {
    invention->draws++;
    return traffic_unit(
        traffic_mix(invention->seed + invention->draws * UINT64_C(0x9E3779B97F4A7C15)));
}

static struct span draw_share(const struct traffic_shares *shares, double unit) {
    for (uint32_t index = 0; index < shares->count; index++) {
        unit -= shares->items[index].share;
        if (unit < 0) return shares->items[index].name;
    }
    return shares->count > 0 ? shares->items[0].name : SPAN_LITERAL("IAMUser");
}

static void print_identity(struct buffer *buffer, struct span type, struct span source) {
    if (span_is(type, "IAMUser")) {
        buffer_append_text(
            buffer,
            "{\"type\":\"IAMUser\",\"principalId\":\"AIDA00000000000000000\","
            "\"arn\":\"arn:aws:iam::999999999999:user/nobody\","
            "\"accountId\":\"999999999999\",\"accessKeyId\":\"AKIA0000000000000000\","
            "\"userName\":\"nobody\"}");
    } else if (span_is(type, "AssumedRole")) {
        buffer_append_text(
            buffer,
            "{\"type\":\"AssumedRole\",\"principalId\":\"AROA00000000000000000:nobody\","
            "\"arn\":\"arn:aws:sts::999999999999:assumed-role/nobody/nobody\","
            "\"accountId\":\"999999999999\",\"accessKeyId\":\"ASIA0000000000000000\","
            "\"sessionContext\":{\"sessionIssuer\":{\"type\":\"Role\","
            "\"principalId\":\"AROA00000000000000000\","
            "\"arn\":\"arn:aws:iam::999999999999:role/nobody\",\"accountId\":\"999999999999\","
            "\"userName\":\"nobody\"},\"webIdFederationData\":{},\"attributes\":{"
            "\"creationDate\":\"2000-01-01T00:00:00Z\",\"mfaAuthenticated\":\"false\"}}}");
    } else if (span_is(type, "Root")) {
        buffer_append_text(buffer,
                           "{\"type\":\"Root\",\"principalId\":\"999999999999\","
                           "\"arn\":\"arn:aws:iam::999999999999:root\","
                           "\"accountId\":\"999999999999\",\"accessKeyId\":\"\"}");
    } else if (span_is(type, "AWSService")) {
        buffer_print(buffer, "{\"type\":\"AWSService\",\"invokedBy\":\"%.*s.amazonaws.com\"}",
                     SPAN_PRINT(source));
    } else {
        buffer_print(buffer,
                     "{\"accountId\":\"999999999999\",\"invokedBy\":\"%.*s.amazonaws.com\"}",
                     SPAN_PRINT(source));
    }
}

static void print_head(struct buffer *buffer, struct invention *invention) {
    const struct traffic_operation *operation = invention->operation;
    struct span type = draw_share(&operation->identities, draw_unit(invention));
    buffer_append_text(buffer, "{\"eventVersion\":\"1.08\",\"userIdentity\":");
    print_identity(buffer, type, operation->source);
    buffer_print(buffer,
                 ",\"eventTime\":\"1999-12-31T00:00:00Z\",\"eventSource\":\"%.*s.amazonaws.com\","
                 "\"eventName\":\"%.*s\",\"awsRegion\":\"xx-region-0\",",
                 SPAN_PRINT(operation->source), SPAN_PRINT(operation->name));
    if (span_is(type, "AWSService")) {
        buffer_print(buffer,
                     "\"sourceIPAddress\":\"%.*s.amazonaws.com\","
                     "\"userAgent\":\"%.*s.amazonaws.com\"",
                     SPAN_PRINT(operation->source), SPAN_PRINT(operation->source));
    } else {
        uint32_t count = invention->agents->count;
        double unit = draw_unit(invention);
        struct span agent = count == 0 ? SPAN_LITERAL("aws-internal/3")
                                       : invention->agents->items[(size_t)(unit * unit * count)];
        buffer_print(buffer, "\"sourceIPAddress\":\"203.0.113.77\",\"userAgent\":\"%.*s\"",
                     SPAN_PRINT(agent));
    }
    if (!invention->is_error) return;
    struct span code =
        draw_share(&operation->errors, draw_unit(invention) * operation->error_share);
    buffer_print(buffer, ",\"errorCode\":\"%.*s\",\"errorMessage\":\"The request was refused\"",
                 SPAN_PRINT(code));
}

static void print_filler(struct buffer *buffer, size_t size) {
    for (size_t index = 0; index < size; index++) buffer_append_byte(buffer, TRAFFIC_FILLER_MARK);
}

static void print_body(struct buffer *buffer, struct invention *invention) {
    const struct traffic_operation *operation = invention->operation;
    if (draw_unit(invention) < operation->request_null) {
        buffer_append_text(buffer, ",\"requestParameters\":null");
    } else {
        buffer_append_text(buffer, ",\"requestParameters\":{\"parameters\":\"");
        print_filler(buffer, invention->filler_size);
        buffer_append_text(buffer, "\"}");
    }
    bool response_null = draw_unit(invention) < operation->response_null;
    buffer_append_text(buffer, response_null ? ",\"responseElements\":null"
                                             : ",\"responseElements\":{\"_return\":true}");
    if (draw_unit(invention) < operation->with_additional) {
        buffer_append_text(
            buffer,
            ",\"additionalEventData\":{\"SignatureVersion\":\"SigV4\","
            "\"CipherSuite\":\"ECDHE-RSA-AES128-GCM-SHA256\",\"bytesTransferredIn\":500.0,"
            "\"AuthenticationMethod\":\"AuthHeader\",\"x-amz-id-2\":\""
            "aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0aA0=\","
            "\"bytesTransferredOut\":0.0}");
    }
    buffer_append_text(buffer, span_is(operation->source, "s3")
                                   ? ",\"requestID\":\"REQUESTREQUEST00\""
                                   : ",\"requestID\":\"11111111-0000-4000-8000-000000000001\"");
    buffer_print(buffer, ",\"eventID\":\"22222222-0000-4000-8000-000000000002\",\"readOnly\":%s",
                 operation->is_read_only ? "true" : "false");
}

static void print_tail(struct buffer *buffer, struct invention *invention) {
    const struct traffic_operation *operation = invention->operation;
    bool is_management = operation->category.size == 0;
    if (draw_unit(invention) < operation->with_resources) {
        buffer_print(buffer,
                     ",\"resources\":[{\"accountId\":\"999999999999\",\"type\":\"AWS::S3::Bucket\","
                     "\"ARN\":\"arn:aws:%.*s:::resource-0123456789abcdef0\"}]",
                     SPAN_PRINT(operation->source));
    }
    struct span type = operation->type.size > 0 ? operation->type : SPAN_LITERAL("AwsApiCall");
    buffer_print(buffer,
                 ",\"eventType\":\"%.*s\",\"managementEvent\":%s,"
                 "\"recipientAccountId\":\"999999999999\"",
                 SPAN_PRINT(type), is_management ? "true" : "false");
    if (draw_unit(invention) < operation->with_shared_id) {
        buffer_append_text(buffer, ",\"sharedEventID\":\"33333333-0000-4000-8000-000000000003\"");
    }
    if (draw_unit(invention) < operation->with_endpoint) {
        buffer_append_text(buffer, ",\"vpcEndpointId\":\"vpce-0123456789abcdef1\"");
    }
    struct span category = is_management ? SPAN_LITERAL("Management") : operation->category;
    buffer_print(buffer, ",\"eventCategory\":\"%.*s\"", SPAN_PRINT(category));
    if (draw_unit(invention) < operation->with_tls) {
        buffer_print(buffer,
                     ",\"tlsDetails\":{\"tlsVersion\":\"TLSv1.2\","
                     "\"cipherSuite\":\"ECDHE-RSA-AES128-GCM-SHA256\","
                     "\"clientProvidedHostHeader\":\"%.*s.xx-region-0.amazonaws.com\"}",
                     SPAN_PRINT(operation->source));
    }
    buffer_append_byte(buffer, '}');
}

static void print_record(struct buffer *buffer, struct invention *invention) {
    invention->draws = 0;
    buffer_reset(buffer);
    print_head(buffer, invention);
    print_body(buffer, invention);
    print_tail(buffer, invention);
}

// Bytes of a record, log-linear between the quantiles: p50 to p90 for 90 %, p90 to the largest.
static double size_at(const struct traffic_operation *operation, double unit) {
    double low = operation->size_p50, high = operation->size_p90;
    if (unit >= 0.9) {
        low = high;
        high = operation->size_max;
        unit = (unit - 0.9) / 0.1;
    } else {
        unit /= 0.9;
    }
    return low < 1 ? 1 : low * pow(high / low, unit);
}

bool traffic_template_invent(struct json_reader *reader, struct arena *arena,
                             const struct traffic_words *agents,
                             struct traffic_operation *operation, struct fault *fault) {
    // Operations that come often get more variants, so that sizes and fillers spread.
    uint32_t good = operation->size_max > operation->size_p50 ? INVENTED_MAX : INVENTED_MIN;
    uint32_t failed = operation->error_share > 0 ? INVENTED_MIN : 0;
    operation->good = arena_allocate_array(arena, good, sizeof *operation->good);
    operation->failed = arena_allocate_array(arena, failed + 1, sizeof *operation->failed);
    if (operation->good == NULL || operation->failed == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory for invented records");
    }
    struct buffer buffer;
    buffer_init(&buffer, 256 * 1024);
    bool made = true;
    for (uint32_t index = 0; made && index < good + failed; index++) {
        struct invention invention = {
            .operation = operation,
            .agents = agents,
            .seed = traffic_mix(index + operation->name.size * 977 + operation->size_p50),
            .is_error = index >= good,
        };
        print_record(&buffer, &invention);
        double wanted = size_at(operation, ((double)(index % good) + 0.5) / good);
        double missing = wanted - (double)buffer.size;
        invention.filler_size = missing < 1 ? 1 : (size_t)missing;
        print_record(&buffer, &invention);
        assert(!buffer_overflowed(&buffer));
        struct traffic_template *out =
            index < good ? &operation->good[index] : &operation->failed[index - good];
        made = traffic_template_read(reader, arena, buffer_span(&buffer), out, fault);
    }
    buffer_done(&buffer);
    if (!made) return fault_add(fault, "invented %.*s", SPAN_PRINT(operation->name));
    operation->good_count = good;
    operation->failed_count = failed;
    return true;
}
