#include "cli/names.h"

#include <assert.h>
#include <string.h>

#include "event/key.h"

static bool is_lower_or_digit(char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
}

static bool is_letter_or_digit(char letter) {
    return is_lower_or_digit(letter) || (letter >= 'A' && letter <= 'Z');
}

bool names_check(const char *what, const char *text, struct fault *fault) {
    size_t size = strlen(text);
    bool is_good = size >= 1 && size < NAMES_SIZE && is_letter_or_digit(text[0]);
    for (size_t index = 0; is_good && index < size; index++) {
        is_good = is_letter_or_digit(text[index]) || strchr("-_.", text[index]) != NULL;
    }
    if (is_good) return true;
    return fault_set(fault, FAULT_INPUT,
                     "%s \"%.80s\": must be 1 to 64 letters, digits, '-', '_' and '.', beginning "
                     "with a letter or digit",
                     what, text);
}

bool names_check_account(const char *what, const char *text, struct fault *fault) {
    return names_check(what, text, fault) && key_check_account(text, fault);
}

bool names_check_region(const char *text, struct fault *fault) {
    size_t size = strlen(text);
    bool is_good = size >= 1 && size < NAMES_SIZE && is_lower_or_digit(text[0]);
    for (size_t index = 0; is_good && index < size; index++) {
        is_good = is_lower_or_digit(text[index]) || text[index] == '-';
    }
    if (is_good) return true;
    return fault_set(fault, FAULT_INPUT,
                     "region \"%.80s\": must be lower-case letters, digits and '-', as in "
                     "\"eu-west-1\"",
                     text);
}

bool names_check_organization(const char *text, struct fault *fault) {
    size_t size = strlen(text);
    bool is_good = size >= 3 && size <= 34 && text[0] == 'o' && text[1] == '-';
    for (size_t index = 2; is_good && index < size; index++) {
        is_good = is_lower_or_digit(text[index]);
    }
    if (is_good) return true;
    return fault_set(fault, FAULT_INPUT,
                     "organization \"%.80s\": must be \"o-\" and 1 to 32 lower-case letters and "
                     "digits, as AWS Organizations prints it",
                     text);
}

static bool parse_port(const char *text, uint16_t *port) {
    uint32_t value = 0;
    size_t size = strlen(text);
    if (size == 0 || size > 5) return false;
    for (size_t index = 0; index < size; index++) {
        if (text[index] < '0' || text[index] > '9') return false;
        value = value * 10 + (uint32_t)(text[index] - '0');
    }
    if (value == 0 || value > UINT16_MAX) return false;
    *port = (uint16_t)value;
    return true;
}

static bool is_host(const char *host, size_t size, bool is_bracketed) {
    if (size == 0 || size >= NAMES_HOST_SIZE) return false;
    for (size_t index = 0; index < size; index++) {
        bool is_good = is_letter_or_digit(host[index]) || host[index] == '.' ||
                       (is_bracketed ? host[index] == ':' : host[index] == '-');
        if (!is_good) return false;
    }
    return true;
}

bool names_split_address(const char *address, uint16_t port_default, char host[NAMES_HOST_SIZE],
                         uint16_t *port, struct fault *fault) {
    bool is_bracketed = address[0] == '[';
    const char *begin = is_bracketed ? address + 1 : address;
    size_t size = strcspn(begin, is_bracketed ? "]" : ":");
    const char *rest = begin + size;
    if (is_bracketed && *rest == ']') rest++;
    uint16_t found = port_default;
    bool is_good = is_host(begin, size, is_bracketed) && (!is_bracketed || rest[-1] == ']') &&
                   (*rest == 0 || (*rest == ':' && parse_port(rest + 1, &found)));
    if (!is_good) {
        return fault_set(fault, FAULT_INPUT,
                         "address \"%.100s\": must be HOST, HOST:PORT or [IPV6]:PORT", address);
    }
    memcpy(host, begin, size);
    host[size] = 0;
    *port = found;
    return true;
}
