// stand_in.h: what the stand-ins for an agent and a collector of another version share.
//
// They speak previous.proto, so that everything added since is missing in what they send and
// unknown in what they read. With --next they speak like the version after today's: what they send
// has fields that nobody knows, and messages of a kind that nobody knows.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/rpc/rpc.h"
#include "tests/skew/previous.pb-c.h"

enum { STAND_IN_TEXT_SIZE = 16 * 1024, STAND_IN_MESSAGE_SIZE = 512 * 1024 };

struct stand_in {
    const char *address;  // of the collector, or to listen at
    const char *folder;   // with ca.pem, and certificate and key by the name of the stand-in
    uint32_t protocol;
    bool is_next;
    bool is_wrong;      // the chain it tells is not that of what it sends
    int64_t behind_ms;  // by how much its clock is, if it tells the time; -1: it does not
    struct buffer ca;
    struct buffer certificate;
    struct buffer key;
    struct buffer message;  // the last one packed
};

// Reads --address, --folder, --protocol, --behind (seconds), --next and --wrong-chain, and the
// credentials NAME.pem and NAME.key. FAULT_INPUT names what is wrong.
MUST_CHECK bool stand_in_open(struct stand_in *stand_in, const char *name, int argc, char **argv,
                              struct fault *fault);

// Frees it.
void stand_in_done(struct stand_in *stand_in);

// The credentials, borrowed.
struct rpc_credentials stand_in_credentials(const struct stand_in *stand_in);

// Adds a field that nobody knows to a message, if it is of the next version. The message must be
// packed before another one gets it.
void stand_in_extend(const struct stand_in *stand_in, ProtobufCMessage *message);

// The message's bytes; they live until the next one is packed.
struct span stand_in_pack(struct stand_in *stand_in, const ProtobufCMessage *message);
