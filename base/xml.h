// xml.h: small XML documents: those of other servers read, texts put into ours: the door to expat.
//
// What no answer of a service has is refused: a document type (and with it entities of its own),
// elements 16 deep, a text of more than XML_TEXT_SIZE_MAX. Prefixes of names ("s3:Key") are left
// out; attributes, comments and instructions are not shown.

#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    XML_DEPTH_MAX = 16,
    XML_PATH_SIZE = 512,            // bytes of all names that are open, with the final zero
    XML_TEXT_SIZE_MAX = 16 * 1024,  // bytes of one element's text
};

// Reads a document. on_end is called at each element's end with the names from the outermost to its
// own ("ListBucketResult/Contents/Key") and the text directly in it, entities resolved; both are
// borrowed for the call. It may stop the reading with false, which is no fault. FAULT_INPUT if the
// document is not XML, or is one of what is refused; what was told by then stands.
MUST_CHECK bool xml_read(struct span document,
                         bool (*on_end)(void *user, const char *path, struct span text), void *user,
                         struct fault *fault);

// Appends a text to a document, for an element or an attribute in double quotes: escaped, and
// without the control characters that no document may have.
void xml_append(struct buffer *output, struct span text);
