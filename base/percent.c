#include "base/percent.h"

#include "base/crypto.h"

bool percent_is_unreserved(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void percent_append(struct buffer *output, struct span text, bool keeps_slash) {
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        if (percent_is_unreserved(byte) || (keeps_slash && byte == '/')) {
            buffer_append_byte(output, byte);
        } else {
            buffer_print(output, "%%%02X", byte);
        }
    }
}

bool percent_next(struct span text, size_t *at, uint8_t *byte) {
    *byte = text.bytes[(*at)++];
    if (*byte != '%') return true;
    if (text.size - *at < 2 || !crypto_parse_hex(span_of(text.bytes + *at, 2), byte, 1)) {
        *byte = '%';
        return false;
    }
    *at += 2;
    return true;
}
