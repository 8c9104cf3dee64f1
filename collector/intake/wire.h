// wire.h: messages of proto/orgtrail.proto, to and from bytes.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/span.h"
#include "proto/orgtrail.pb-c.h"

// Unpacks a message of an agent into the arena. NULL if the bytes are none, or the arena is full.
Orgtrail__V1__AgentMessage *wire_unpack(struct arena *arena, struct span bytes);

// Unpacks a Notice into the arena. NULL as above.
Orgtrail__V1__Notice *wire_unpack_notice(struct arena *arena, struct span bytes);

// Appends a packed message of the collector.
void wire_pack(const Orgtrail__V1__CollectorMessage *message, struct buffer *buffer);

// The bytes of a field, borrowed from its message.
struct span wire_span(ProtobufCBinaryData data);
