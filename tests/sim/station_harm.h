// station_harm.h: what can befall the disk of a simulated agent, and what is lost by it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "tests/sim/ledger.h"
#include "tests/sim/station.h"

// Keeps a copy of the disk as it is, instead of the one before. The station may be up or down.
void station_keep_copy(struct station *station);

// Puts the disk back to its copy, which there must be; the station is down. From now on it reads
// other events of this fork between those of its line; fork 0: its line alone.
void station_roll_back(struct station *station, uint32_t fork);

// Damages some bytes of the spool's frames, or the header of a segment, as chance decides. Nothing
// happens if nothing is synced.
void station_damage(struct station *station);

// Damages a byte of one synced frame.
void station_damage_frame(struct station *station, uint64_t number);

// The disk has no more room than a little until the time comes (station_relieve). Up or down.
void station_fill_disk(struct station *station, int64_t until_ms);

// Gives the disk its room back if the time has come, or at once.
void station_relieve(struct station *station, bool at_once);

// A restored collector knows nothing of the present stream: a Notice tells that what went before
// it, and is in the spool no more, may be lost.
void station_tell_lost(struct station *station);

// Whether the gap is of a stream of this station and names frame `number` (on the wire) rightly:
// what is lost by it is excused then.
bool station_excuse(struct station *station, const struct ledger_gap *gap, uint64_t number);

// Reads the whole spool and compares: every frame is what it was, or is damaged, and gaps name the
// damaged ones alone. FAULT_CORRUPT.
MUST_CHECK bool station_inspect(struct station *station, struct fault *fault);
